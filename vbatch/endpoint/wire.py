"""From a row to the bytes of its request. Pure.

A body is spliced from bytes: no JSON encoder ever walks an image.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from vbatch.endpoint import structured
from vbatch.endpoint.body import Body, Splice, TokenField
from vbatch.endpoint.strings import OutsizedJsonError, dump
from vbatch.errors import PermanentError
from vbatch.records import Item, JsonValue, RemoteImage, SentImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.job import Job
    from vbatch.profile import Profile, RequestDialect

__all__ = ["Body", "Question", "TokenField", "Writer", "build", "question"]

_TOKEN_FIELDS: tuple[TokenField, ...] = ("max_tokens", "max_completion_tokens")
_OURS = frozenset({"messages", "stream"})
_DETAILS = ("low", "auto", "high")

Unfit = tuple[str, str]
"""The text of an answer that did not follow the schema, and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the model about a row's images: the job's settings under the row's own.

    ``extra`` holds the remaining body fields as they will be sent.
    """

    model: str
    prompt: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    detail: str | None = None
    stream: bool = False
    extra: Mapping[str, JsonValue] = field(default_factory=dict)


def question(job: Job, item: Item) -> Question:
    """What to ask about ``item``: its params over the job's request settings.

    A param that is None counts as absent, so that a column of structs can leave it open. A row
    cannot set ``messages`` and ``stream``.
    """
    if item.body is not None:
        return _asked_by(item.body, job.model)
    request = job.request
    schema, form = request.response_schema, job.profile.request.structured
    fields: dict[str, JsonValue] = {
        "model": job.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "detail": request.detail,
        "response_format": None if schema is None else structured.response_format(schema, form),
        "tools": request.tools,
        "tool_choice": request.tool_choice,
        **request.extra,
    }
    fields.update((name, value) for name, value in item.params.items() if value is not None)
    prompt = item.prompt
    if schema is not None and form != "json_schema":
        prompt = "\n\n".join(filter(None, (prompt, structured.instructions(schema))))
    return _question(fields, prompt=prompt, system=item.system, stream=request.stream)


def build(
    question: Question,
    item: Item,
    images: Sequence[SentImage],
    profile: Profile,
    *,
    token_field: TokenField | None = None,
    unfit: Unfit | None = None,
) -> Body:
    """Return the body that asks ``question`` about ``images``, in the profile's dialect.

    ``token_field`` names the token cap where the endpoint refused the profile's name for it. With
    ``unfit`` the question is put again, with that answer to it and what is wrong with it. A line
    in OpenAI's Batch format is sent as it is. Raises PermanentError ``invalid_request`` for params
    that JSON cannot hold.
    """
    dialect = profile.request
    if item.body is not None:
        return _as_it_is(item.body, question.model, dialect, token_field, unfit)
    details = _details(question, images)
    return _filled(_frame(question, dialect, token_field, details, unfit), images, details)


class Writer:
    """Writes the requests of one job.

    Rows that differ in nothing but their images share one question, and the bytes around the
    images: a twentieth of a small request's CPU.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._asked: Question | None = None
        self._frames: dict[TokenField | None, _Frame] = {}

    def question(self, item: Item) -> Question:
        """As ``question``; the same object as long as rows ask the same."""
        if item.body is not None or item.params:
            return question(self._job, item)
        asked = self._asked
        if asked is None or (asked.prompt, asked.system) != (item.prompt, item.system):
            asked = self._asked = question(self._job, item)
            self._frames = {}
        return asked

    def body(
        self,
        question: Question,
        item: Item,
        images: Sequence[SentImage],
        token_field: TokenField | None,
        *,
        unfit: Unfit | None = None,
    ) -> Body:
        """As ``build``."""
        profile = self._job.profile
        if unfit or question is not self._asked or profile.request.detail == "body":
            return build(question, item, images, profile, token_field=token_field, unfit=unfit)
        details = _details(question, images)
        frame = self._frames.get(token_field)
        if frame is None:
            frame = _frame(question, profile.request, token_field, details)
            self._frames[token_field] = frame
        return _filled(frame, images, details)


class _Frame(NamedTuple):
    """A request but for its images. ``in_parts``: each image bears its detail."""

    model: str
    token_field: TokenField
    opening: bytes
    closing: bytes
    has_prompt: bool
    in_parts: bool
    detail_merged: bool


def _details(question: Question, images: Sequence[SentImage]) -> list[str | None]:
    return [image.detail or question.detail for image in images]


def _frame(
    question: Question,
    dialect: RequestDialect,
    token_field: TokenField | None,
    details: Sequence[str | None],
    unfit: Unfit | None = None,
) -> _Frame:
    """What stands around images of these ``details``, which matter to some dialects."""
    fields = _fields(question, dialect, token_field)
    if dialect.detail == "body":
        _put(fields, "detail", _highest(details or [question.detail]))
    return _Frame(
        model=question.model,
        token_field=_named_cap(fields, token_field or dialect.token_field),
        opening=_opening(question),
        closing=_closing(fields, dialect.drop, unfit),
        has_prompt=bool(question.prompt),
        in_parts=dialect.detail == "image_url" and "detail" not in dialect.drop,
        detail_merged=dialect.detail == "body" and len(set(filter(None, details))) > 1,
    )


def _filled(frame: _Frame, images: Sequence[SentImage], details: Sequence[str | None]) -> Body:
    splice = Splice()
    splice.write(frame.opening)
    for number, (image, detail) in enumerate(zip(images, details, strict=True)):
        splice.write(b"," if number or frame.has_prompt else b"")
        _add_image(splice, image, detail if frame.in_parts else None)
    splice.write(frame.closing)
    return splice.body(
        model=frame.model, token_field=frame.token_field, detail_merged=frame.detail_merged
    )


def _as_it_is(
    body: Mapping[str, JsonValue],
    model: str,
    dialect: RequestDialect,
    token_field: TokenField | None,
    unfit: Unfit | None,
) -> Body:
    """A line in OpenAI's Batch format."""
    fields = dict(body)
    _rename_cap(fields, token_field)
    messages = fields.get("messages")
    if unfit is not None and isinstance(messages, list):
        fields["messages"] = [*messages, *_reproach(unfit)]
    splice = Splice()
    splice.write(_dump(fields))
    named = _named_cap(fields, token_field or dialect.token_field)
    return splice.body(model=model, token_field=named)


def _asked_by(body: Mapping[str, JsonValue], model: str) -> Question:
    """What a Batch line asks, as far as we must know."""
    cap = body.get("max_completion_tokens", body.get("max_tokens"))
    return _question({"model": body.get("model") or model, "max_tokens": cap})


def _question(
    fields: dict[str, JsonValue],
    *,
    prompt: str | None = None,
    system: str | None = None,
    stream: bool = False,
) -> Question:
    """Sort ``fields`` into those with a type of their own and the rest."""
    return Question(
        model=str(fields.pop("model")),
        prompt=prompt,
        system=system,
        max_tokens=_take(fields, "max_tokens", int),
        temperature=_take(fields, "temperature", (int, float)),
        detail=_take(fields, "detail", str),
        stream=stream,
        extra={k: v for k, v in fields.items() if v is not None and k not in _OURS},
    )


def _take(fields: dict[str, JsonValue], name: str, kind: type | tuple[type, ...]) -> JsonValue:
    """Take a field out if it has the type it should; the endpoint may judge any other."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        return None
    del fields[name]
    return value


def _fields(
    question: Question, dialect: RequestDialect, token_field: TokenField | None
) -> dict[str, JsonValue]:
    """The body's fields after ``messages``. What the user wrote into ``extra`` wins."""
    fields: dict[str, JsonValue] = {}
    _put(fields, token_field or dialect.token_field, question.max_tokens)
    _put(fields, "temperature", question.temperature)
    fields.update(question.extra)
    if question.stream:
        fields["stream"] = True
        if dialect.stream_usage:
            fields.setdefault("stream_options", {"include_usage": True})
    _rename_cap(fields, token_field)
    if dialect.rename:
        return {dialect.rename.get(name, name): value for name, value in fields.items()}
    return fields


def _put(fields: dict[str, JsonValue], name: str, value: JsonValue) -> None:
    if value is not None:
        fields.setdefault(name, value)


def _rename_cap(fields: dict[str, JsonValue], token_field: TokenField | None) -> None:
    for other in _TOKEN_FIELDS:
        if token_field is not None and other != token_field and other in fields:
            fields.setdefault(token_field, fields.pop(other))


def _named_cap(fields: Mapping[str, JsonValue], usual: TokenField) -> TokenField:
    """The name under which the token cap is sent: what a user wrote may bear the other one."""
    named = [name for name in _TOKEN_FIELDS if name in fields]
    return named[0] if len(named) == 1 else usual


def _opening(question: Question) -> bytes:
    system = prompt = b""
    if question.system:
        system = b'{"role":"system","content":' + dump(question.system) + b"},"
    if question.prompt:
        prompt = b'{"type":"text","text":' + dump(question.prompt) + b"}"
    opening = b'{"model":' + dump(question.model) + b',"messages":[' + system
    return opening + b'{"role":"user","content":[' + prompt


def _add_image(splice: Splice, image: SentImage, detail: str | None) -> None:
    splice.write(b'{"type":"image_url","image_url":{"url":')
    if isinstance(image, RemoteImage):
        splice.write(dump(image.url))
    else:
        splice.write(b'"data:' + image.media_type.encode() + b";base64,")
        splice.inline(image.data)
        splice.write(b'"')
    splice.write(b"}}" if detail is None else b',"detail":' + dump(detail) + b"}}")


def _closing(
    fields: Mapping[str, JsonValue], drop: Sequence[str], unfit: Unfit | None = None
) -> bytes:
    if drop:
        fields = {name: value for name, value in fields.items() if name not in drop}
    further = b"" if unfit is None else b"," + dump(_reproach(unfit))[1:-1]
    messages = b"]}" + further + b"]"
    return messages + b"," + _dump(fields)[1:] if fields else messages + b"}"


def _reproach(unfit: Unfit) -> list[JsonValue]:
    """The messages that follow an answer which did not follow the schema."""
    text, complaint = unfit
    return [
        {"role": "assistant", "content": text},
        {"role": "user", "content": structured.reproach(complaint)},
    ]


def _dump(fields: Mapping[str, JsonValue]) -> bytes:
    try:
        return dump(fields)
    except OutsizedJsonError:
        raise PermanentError(
            "invalid_request", "the row's params or body are nested too deeply to be sent"
        ) from None


def _highest(details: Sequence[str | None]) -> str | None:
    """The most demanding of ``details``; a word we do not know is taken for more than high."""
    named = [detail for detail in details if detail is not None]
    return max(named, key=_rank, default=None)


def _rank(detail: str) -> int:
    return _DETAILS.index(detail) if detail in _DETAILS else len(_DETAILS)
