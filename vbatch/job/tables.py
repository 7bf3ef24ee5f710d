"""What a job file may say, table by table. None: not set, and for a request: not sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from vbatch.job.answer_schema import answer_schema
from vbatch.profile.rules import (
    Count,
    Dollars,
    Flag,
    HttpUrl,
    Money,
    Rate,
    Seconds,
    Size,
    SomeSeconds,
    Table,
    Text,
    Variable,
    Word,
    is_header_name,
    is_header_value,
    is_http_url,
    is_path,
    is_text,
    names,
    number,
    whole,
    wrong,
    wrong_private,
)
from vbatch.records import JsonValue  # noqa: TC001 - as above

MANIFEST = "a path, a glob, a folder of images, or a list of them"
PROFILE = 'a profile\'s name (see "vbatch profiles") or a path to a profile file'

_NAME_BYTES = 200
_EXTRA_DEPTH = 32
_TOOL_CHOICES = ("none", "auto", "required")
_INT64 = 2**63
_MOST_IN_FLIGHT = 65_536


def is_folder_name(value: Any) -> bool:
    """Whether a folder can be called ``value``."""
    return (
        is_text(value)
        and value.isprintable()
        and value == value.strip()
        and "/" not in value
        and value not in (".", "..")
        and len(value.encode()) <= _NAME_BYTES
    )


def _name(value: Any) -> str:
    if not is_folder_name(value):
        raise wrong(f'a name for a folder: no "/", one line, at most {_NAME_BYTES} bytes')
    return str(value)


def _path(value: Any) -> str:
    if not is_path(value):
        raise wrong("a path")
    return str(value)


def _column(value: Any) -> str | Literal[False]:
    if value is False or is_text(value):
        return value  # type: ignore[no-any-return]
    raise wrong("the name of a column, or false to ignore the manifest's")


def _in_flight(value: Any) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if not isinstance(value, bool) and isinstance(value, int) and 1 <= value <= _MOST_IN_FLIGHT:
        return value
    raise wrong(f'"auto", or a whole number from 1 to {_MOST_IN_FLIGHT}')


def _proxy(value: Any) -> str:
    if value != "env" and not is_http_url(value):
        raise wrong_private('"env" for the environment\'s, or an address like "http://proxy:3128"')
    return str(value)


def _headers(value: Any) -> dict[str, str]:
    """Names are shown when they are wrong, values never."""
    if not isinstance(value, dict):
        raise wrong_private('a table of header names and values, like { X-Team = "vision" }')
    for name, content in value.items():
        if not is_header_name(name):
            raise wrong_private(f"header names of letters, digits and -, which {name!r} is not")
        if not is_header_value(content):
            raise wrong_private(
                "header values as ASCII text in quotes, one line, no blanks around; "
                f"that of {name} is not"
            )
    if len({name.lower() for name in value}) < len(value):
        raise wrong_private("each header once; upper and lower case are the same")
    return value


def _extra(value: Any) -> dict[str, JsonValue]:
    if not isinstance(value, dict) or not _is_json(value, _EXTRA_DEPTH):
        raise wrong(
            "a table that JSON can hold: text, finite numbers of 64 bit, true, false, lists and "
            f"tables, at most {_EXTRA_DEPTH} deep; no dates"
        )
    return value


def _tools(value: Any) -> list[dict[str, JsonValue]]:
    if not isinstance(value, list) or not value or not all(map(_is_tool, value)):
        raise wrong(
            'a list of tables as a chat completion has them: type = "function" and a table '
            "function with a name, its parameters as a JSON Schema"
        )
    return value


def _is_tool(value: Any) -> bool:
    if not isinstance(value, dict) or not is_text(value.get("type")):
        return False
    function = value.get("function")
    if value["type"] == "function" and not (
        isinstance(function, dict) and is_text(function.get("name"))
    ):
        return False
    return _is_json(value, _EXTRA_DEPTH)


def _tool_choice(value: Any) -> str | dict[str, JsonValue]:
    if value in _TOOL_CHOICES or (isinstance(value, dict) and _is_json(value, _EXTRA_DEPTH)):
        return value  # type: ignore[no-any-return]
    raise wrong(f"{', '.join(_TOOL_CHOICES)}, or a table that names a tool")


def _is_json(value: Any, depth: int) -> bool:
    match value:
        case bool() | str() | None:
            return True
        case int():
            return -_INT64 <= value < _INT64
        case float():
            return abs(value) < float("inf")
        case list():
            return depth > 0 and all(_is_json(one, depth - 1) for one in value)
        case dict():
            return depth > 0 and all(_is_json(one, depth - 1) for one in value.values())
        case _:
            return False


Column = Annotated[str | Literal[False], PlainValidator(_column)]
LocalPath = Annotated[str, PlainValidator(_path)]
Name = Annotated[str, PlainValidator(_name)]


class Columns(Table):
    """The manifest's own names for what vbatch reads. ``prompt=False``: ignore the manifest's."""

    id: Text = "id"
    image: Text = "image"
    images: Text = "images"
    prompt: Column = "prompt"
    system: Column = "system"
    params: Column = "params"


class Endpoint(Table):
    """Who is asked. ``headers`` and ``proxy`` may hold secrets: neither shown nor dumped."""

    profile: Word = Field(description=PROFILE)
    base_url: HttpUrl | None = None
    api_key_env: Variable | None = None
    model: Word | None = None
    headers: Annotated[dict[str, str], PlainValidator(_headers)] = Field(
        default_factory=dict, repr=False, exclude=True
    )
    proxy: Annotated[str, PlainValidator(_proxy)] | None = Field(
        default=None, repr=False, exclude=True
    )
    keep_alive: Flag = True


class Request(Table):
    """What is asked of every row. ``prompt`` and ``system`` are templates, not yet looked into.

    ``response_schema`` is the schema itself, read from the file that a job names. ``tools`` and
    ``tool_choice`` are as a chat completion has them.
    """

    prompt: Text | None = None
    system: Text | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, PlainValidator(number(0, 2))] | None = None
    detail: Literal["low", "high", "auto"] | None = None
    stream: Flag = False
    response_schema: Annotated[dict[str, JsonValue], PlainValidator(answer_schema)] | None = None
    tools: Annotated[list[dict[str, JsonValue]], PlainValidator(_tools)] | None = None
    tool_choice: Annotated[str | dict[str, JsonValue], PlainValidator(_tool_choice)] | None = None
    extra: Annotated[dict[str, JsonValue], PlainValidator(_extra)] = Field(default_factory=dict)
    raw: Flag = False
    """Whether the whole answer is kept as it came, in a column of its own."""


class Images(Table):
    """How images travel. ``max_side`` in pixels; ``max_bytes`` of one image before base64."""

    root: Annotated[tuple[str, ...], BeforeValidator(names("a folder, or a list of them"))] = ()
    send: Literal["auto", "inline", "url"] = "auto"
    max_side: Count | None = None
    max_bytes: Size | None = None
    format: Literal["auto", "jpeg", "png", "webp"] = "auto"
    quality: Annotated[int, PlainValidator(whole(1, 100))] = 85
    metadata: Literal["strip", "keep"] = "strip"
    allow_private_urls: Flag = False


class Limits(Table):
    """How fast and how far. Durations in seconds, sizes in bytes, costs in USD."""

    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    max_in_flight: Annotated[int | Literal["auto"], PlainValidator(_in_flight)] = "auto"
    max_bytes_in_flight: Size = 512_000_000
    max_cost: Dollars | None = None
    max_cost_total: Dollars | None = None
    max_tokens_total: Count | None = None
    max_duration: SomeSeconds | None = None
    max_failure_rate: Annotated[float, PlainValidator(number(0, 1))] = 0.5


class Retry(Table):
    """When to try again. Durations in seconds."""

    max_attempts: Annotated[int, PlainValidator(whole(1, 1000))] = 6
    max_ambiguous: Annotated[int, PlainValidator(whole(0, 1000))] = 2
    on_invalid: Annotated[int, PlainValidator(whole(0, 100))] = 1
    max_wait: Seconds = 60.0
    max_outage: Seconds = 1800.0
    timeout: SomeSeconds = 300.0
    drain: Seconds = 25.0


class Cache(Table):
    """Where answers are kept, so that the same question is paid for once in all runs."""

    path: LocalPath | None = None


class Price(Table):
    """USD per million tokens."""

    input: Money | None = None
    output: Money | None = None


class JobTables(Table):
    """The tables of a job file."""

    columns: Columns = Field(default_factory=Columns)
    request: Request = Field(default_factory=Request)
    images: Images = Field(default_factory=Images)
    limits: Limits = Field(default_factory=Limits)
    retry: Retry = Field(default_factory=Retry)
    price: Price = Field(default_factory=Price)
    cache: Cache = Field(default_factory=Cache)
    dedupe: Flag = False
    """Whether the same question is asked once within a run."""


class JobFile(JobTables):
    """A whole job file as written, paths absolute already."""

    name: Name | None = None
    manifest: Annotated[tuple[str, ...], BeforeValidator(names(MANIFEST, least=1))] = Field(
        description=MANIFEST
    )
    output: LocalPath | None = None
    endpoint: Endpoint
