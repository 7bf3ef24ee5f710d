"""From a row to the bytes of its request. Pure.

A body is spliced from bytes: no JSON encoder ever walks an image.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbatch.endpoint.body import Body, Splice, TokenField
from vbatch.endpoint.strings import OutsizedJsonError, dump
from vbatch.errors import PermanentError
from vbatch.records import Item, JsonValue, RemoteImage, SentImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.job import Job
    from vbatch.profile import Profile, RequestDialect

__all__ = ["Body", "Question", "TokenField", "build", "question"]

_TOKEN_FIELDS: tuple[TokenField, ...] = ("max_tokens", "max_completion_tokens")
_OURS = frozenset({"messages", "stream"})
_DETAILS = ("low", "auto", "high")


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
    extra: Mapping[str, JsonValue] = field(default_factory=dict)


def question(job: Job, item: Item) -> Question:
    """What to ask about ``item``: its params over the job's request settings.

    A param that is None counts as absent, so that a column of structs can leave it open. A row
    cannot set ``messages`` and ``stream``.
    """
    if item.body is not None:
        return _asked_by(item.body, job.model)
    request = job.request
    fields: dict[str, JsonValue] = {
        "model": job.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "detail": request.detail,
        **request.extra,
    }
    fields.update((name, value) for name, value in item.params.items() if value is not None)
    return _question(fields, prompt=item.prompt, system=item.system)


def build(
    question: Question,
    item: Item,
    images: Sequence[SentImage],
    profile: Profile,
    *,
    token_field: TokenField | None = None,
) -> Body:
    """Return the body that asks ``question`` about ``images``, in the profile's dialect.

    ``token_field`` names the token cap where the endpoint refused the profile's name for it. A line
    in OpenAI's Batch format is sent as it is. Raises PermanentError ``invalid_request`` for params
    that JSON cannot hold.
    """
    dialect = profile.request
    splice = Splice()
    if item.body is not None:
        fields = dict(item.body)
        _rename_cap(fields, token_field)
        splice.write(_dump(fields))
        return splice.body(model=question.model, token_field=token_field or dialect.token_field)
    details = [image.detail or question.detail for image in images]
    fields = _fields(question, dialect, token_field)
    if dialect.detail == "body":
        _put(fields, "detail", _highest(details or [question.detail]))
    in_parts = dialect.detail == "image_url" and "detail" not in dialect.drop
    splice.write(_opening(question))
    for number, (image, detail) in enumerate(zip(images, details, strict=True)):
        splice.write(b"," if number or question.prompt else b"")
        _add_image(splice, image, detail if in_parts else None)
    splice.write(_closing(fields, dialect.drop))
    return splice.body(
        model=question.model,
        token_field=token_field or dialect.token_field,
        detail_merged=dialect.detail == "body" and len(set(filter(None, details))) > 1,
    )


def _asked_by(body: Mapping[str, JsonValue], model: str) -> Question:
    """What a Batch line asks, as far as we must know."""
    cap = body.get("max_completion_tokens", body.get("max_tokens"))
    return _question({"model": body.get("model") or model, "max_tokens": cap})


def _question(
    fields: dict[str, JsonValue], *, prompt: str | None = None, system: str | None = None
) -> Question:
    """Sort ``fields`` into those with a type of their own and the rest."""
    return Question(
        model=str(fields.pop("model")),
        prompt=prompt,
        system=system,
        max_tokens=_take(fields, "max_tokens", int),
        temperature=_take(fields, "temperature", (int, float)),
        detail=_take(fields, "detail", str),
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
    _rename_cap(fields, token_field)
    return fields


def _put(fields: dict[str, JsonValue], name: str, value: JsonValue) -> None:
    if value is not None:
        fields.setdefault(name, value)


def _rename_cap(fields: dict[str, JsonValue], token_field: TokenField | None) -> None:
    for other in _TOKEN_FIELDS:
        if token_field is not None and other != token_field and other in fields:
            fields.setdefault(token_field, fields.pop(other))


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


def _closing(fields: Mapping[str, JsonValue], drop: Sequence[str]) -> bytes:
    if drop:
        fields = {name: value for name, value in fields.items() if name not in drop}
    return b"]}]," + _dump(fields)[1:] if fields else b"]}]}"


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
