"""Reading a request strictly: what the dialect's documentation does not know is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from vbatch.server.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.records import JsonValue
    from vbatch.server.dialects import Dialect, Model

_ROLES = ("system", "developer", "user", "assistant")
_DETAILS = ("low", "high", "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A picture as the request names it."""

    url: str
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that passed: ``prompt`` is the last user message's text, ``text`` all text.

    ``references`` are the pictures of all user messages in order; ``max_tokens`` None: no cap;
    ``wants_json``: the prompt speaks of JSON, or ``response_format`` does; ``schema`` is what the
    latter says of it. ``stream_usage``: a stream ends with its usage. ``tool`` is the function that
    must be called.
    """

    model: str
    prompt: str
    text: str
    references: tuple[Reference, ...]
    max_tokens: int | None
    wants_json: bool
    schema: JsonValue = None
    stream: bool = False
    stream_usage: bool = True
    tool: JsonValue = None


def parse(raw: bytes, content_type: str) -> dict[str, JsonValue]:
    """Return the body as an object; raises Refusal (415, 400)."""
    if content_type != "application/json":
        raise Refusal(415, f"The content type must be application/json, not {content_type}.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body is not valid JSON: {error}.") from error
    if not isinstance(body, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return body


def check(body: dict[str, JsonValue], dialect: Dialect) -> Ask:
    """Return what is asked; raises Refusal (400, 404) at the first thing the dialect refuses."""
    _check_fields(body, dialect)
    model = _model(body["model"], dialect)
    _check_token_field(body, model)
    turns = [_turn(message, dialect) for message in body["messages"]]
    references = tuple(
        Reference(url=url, detail=body.get("detail", detail))
        for turn in turns
        for url, detail in turn.references
    )
    prompts = [turn.text for turn in turns if turn.role == "user"]
    if turns[-1].role != "user":
        raise _bad("The last message must be the user's.", "messages")
    _check_images(len(references), model, dialect)
    return Ask(
        model=model.id,
        prompt=prompts[-1],
        text="\n".join(turn.text for turn in turns),
        references=references,
        max_tokens=body.get("max_tokens") or body.get("max_completion_tokens"),
        wants_json="json" in prompts[-1].lower() or _wants_json(body.get("response_format")),
        schema=_schema(body.get("response_format")),
        stream=_streams(body, dialect),
        stream_usage=_with_usage(body, dialect),
        tool=_tool(body.get("tools"), body.get("tool_choice")),
    )


def _check_images(count: int, model: Model, dialect: Dialect) -> None:
    if count and not model.vision:
        told = f"The model {model.id} does not take images."
        raise Refusal(400, told, param="messages", kind="blind", facts={"model": model.id})
    limit = dialect.max_images
    if limit is not None and count > limit:
        told = f"Too many images: {count}, at most {limit} in one request."
        code, facts = "too_many_images", {"count": count, "limit": limit}
        raise Refusal(400, told, code=code, param="messages", kind="images", facts=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    role: str
    text: str
    references: list[tuple[str, str | None]]


def _wants_json(response_format: JsonValue) -> bool:
    return response_format is not None and "json" in str(response_format.get("type"))


def _schema(response_format: JsonValue) -> JsonValue:
    if response_format is None or response_format.get("type") != "json_schema":
        return None
    named = response_format.get("json_schema")
    if not isinstance(named, dict) or not named.get("name"):
        message = "Missing required parameter: 'response_format.json_schema.name'."
        raise _bad(message, "response_format")
    schema = named.get("schema", {})
    if not isinstance(schema, dict):
        raise _bad("The schema must be an object.", "response_format")
    return schema


def _streams(body: dict[str, JsonValue], dialect: Dialect) -> bool:
    """A wrapped answer comes in one piece, whatever was asked."""
    if body.get("stream") and not dialect.streams:
        raise _bad("This endpoint answers in one piece; stream must be false.", "stream")
    return bool(body.get("stream")) and not dialect.wrapped


def _with_usage(body: dict[str, JsonValue], dialect: Dialect) -> bool:
    if not body.get("stream") or "stream_options" not in dialect.fields:
        return True
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _tool(tools: JsonValue, choice: JsonValue) -> JsonValue:
    """The function that ``tool_choice`` wants called; left to the model, none is."""
    functions = [tool["function"] for tool in tools or () if isinstance(tool.get("function"), dict)]
    if choice in (None, "none", "auto") or not functions:
        return None
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        named = [function for function in functions if function.get("name") == name]
        if not named:
            raise _bad(f"Tool choice {name!r} is not among the tools.", "tool_choice")
        return named[0]
    return functions[0]


def _bad(message: str, param: str | None, code: str | None = None) -> Refusal:
    return Refusal(400, message, param=param, code=code)


def _is_count(value: JsonValue) -> bool:
    return type(value) is int and value >= 1


def _is_number(value: JsonValue, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high


_KINDS: dict[str, tuple[Callable[[JsonValue], bool], str]] = {
    "model": (lambda v: isinstance(v, str) and v != "", "a model's name"),
    "messages": (lambda v: isinstance(v, list) and v != [], "a list with at least one message"),
    "max_tokens": (_is_count, "an integer of at least 1"),
    "max_completion_tokens": (_is_count, "an integer of at least 1"),
    "temperature": (lambda v: _is_number(v, 0, 2), "a number from 0 to 2"),
    "top_p": (lambda v: _is_number(v, 0, 1), "a number from 0 to 1"),
    "stream": (lambda v: isinstance(v, bool), "true or false"),
    "stream_options": (lambda v: isinstance(v, dict), "an object"),
    "n": (lambda v: type(v) is int and v == 1, "1: there is one answer to a request"),
    "seed": (lambda v: type(v) is int, "an integer"),
    "stop": (lambda v: isinstance(v, str | list), "a string or a list of strings"),
    "user": (lambda v: isinstance(v, str), "a string"),
    "detail": (lambda v: v in _DETAILS, "low, high or auto"),
    "response_format": (lambda v: isinstance(v, dict), "an object"),
    "tools": (lambda v: isinstance(v, list), "a list"),
}


def _check_fields(body: dict[str, JsonValue], dialect: Dialect) -> None:
    for name in body:
        if name not in dialect.fields and not dialect.lenient:
            told = f"Unrecognized request argument supplied: {name}"
            raise Refusal(400, told, param=name, kind="field", facts={"field": name})
    for name in ("model", "messages"):
        if name not in body:
            raise _bad(f"Missing required parameter: '{name}'.", name)
    for name, value in body.items():
        fits, wanted = _KINDS.get(name, (None, ""))
        if fits is not None and not fits(value):
            raise _bad(f"Invalid value for '{name}': it must be {wanted}.", name)


def _model(name: str, dialect: Dialect) -> Model:
    for model in dialect.models:
        if name in (model.id, dialect.id_prefix + model.id):
            return model
    if dialect.any_model:
        return dialect.models[0]
    told = f"The model `{name}` does not exist or you do not have access to it."
    code, facts = "model_not_found", {"model": name}
    raise Refusal(404, told, code=code, param="model", kind="model", facts=facts)


def _check_token_field(body: dict[str, JsonValue], model: Model) -> None:
    if model.reasoning and "max_tokens" in body:
        told = "Unsupported parameter: 'max_tokens' is not supported with this model."
        told += " Use 'max_completion_tokens' instead."
        raise _bad(told, "max_tokens", "unsupported_parameter")


def _turn(message: JsonValue, dialect: Dialect) -> _Turn:
    _check_keys(message, "a message", {"role", "content"}, optional={"name"})
    role, content = message["role"], message["content"]
    if role not in _ROLES:
        raise _bad(f"Invalid role: it must be one of {', '.join(_ROLES)}.", "messages")
    if isinstance(content, str):
        return _Turn(role=role, text=content, references=[])
    if not isinstance(content, list) or not content:
        raise _bad("A message's content must be a string or a list of parts.", "messages")
    texts = [_text(part) for part in content if _kind(part) == "text"]
    images = [_image(part, dialect) for part in content if _kind(part) == "image_url"]
    if images and role != "user":
        raise _bad("Only a user's message can hold images.", "messages")
    if dialect.text_first:
        _check_order([_kind(part) for part in content])
    return _Turn(role=role, text="\n".join(texts), references=images)


def _kind(part: JsonValue) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in ("text", "image_url"):
        told = "A content part must be an object whose type is text or image_url."
        raise _bad(told, "messages")
    return str(kind)


def _check_order(kinds: list[str]) -> None:
    if kinds[0] != "text" or "text" in kinds[1:]:
        raise _bad("The content must be one text part, then the images.", "messages")


def _text(part: dict[str, JsonValue]) -> str:
    _check_keys(part, "a text part", {"type", "text"})
    if not isinstance(part["text"], str):
        raise _bad("The text of a text part must be a string.", "messages")
    return part["text"]


def _image(part: dict[str, JsonValue], dialect: Dialect) -> tuple[str, str | None]:
    _check_keys(part, "an image part", {"type", "image_url"})
    inner = part["image_url"]
    optional = {"detail"} if dialect.detail == "image" else set()
    _check_keys(inner, "image_url", {"url"}, optional=optional)
    if not isinstance(inner["url"], str):
        raise _bad("The url of an image must be a string.", "messages", "invalid_image_url")
    if "detail" in inner and inner["detail"] not in _DETAILS:
        raise _bad("The detail of an image must be low, high or auto.", "messages")
    return inner["url"], inner.get("detail")


def _check_keys(
    value: JsonValue, what: str, needed: set[str], *, optional: set[str] | None = None
) -> None:
    if not isinstance(value, dict):
        raise _bad(f"Expected {what} to be an object.", "messages")
    if missing := needed - value.keys():
        raise _bad(f"Missing in {what}: {', '.join(sorted(missing))}.", "messages")
    if unknown := value.keys() - needed - (optional or set()):
        raise _bad(f"Unknown in {what}: {', '.join(sorted(unknown))}.", "messages")
