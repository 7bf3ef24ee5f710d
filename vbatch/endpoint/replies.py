"""From a reply to an answer: one tolerant reader for every shape a gateway wraps it in. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vbatch.endpoint import refusals
from vbatch.endpoint.complaints import Complaint
from vbatch.endpoint.refusals import Case
from vbatch.endpoint.reply import NotJsonError, Reply
from vbatch.endpoint.strings import OutsizedJsonError, dump, whole
from vbatch.endpoint.usage import NOTHING, read_cost, read_usage
from vbatch.errors import AmbiguousError, EndpointError, PermanentError, redact
from vbatch.records import Completion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbatch.records import JsonValue, Usage

_UNSPOKEN = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_text"})
_FINE = frozenset({"0", "200", "ok", "success"})
_MAX_LAYERS = 4
_COST_HEADER = "x-litellm-response-cost"

_Object = dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a model said, its values still as they came."""

    content: JsonValue = None
    refusal: JsonValue = None
    tool_calls: JsonValue = None
    finish_reason: JsonValue = None
    error: JsonValue = None


def read(
    reply: Reply, *, model: str = "", secrets: Sequence[str] = (), credentials: Sequence[str] = ()
) -> Completion:
    """Return the answer in ``reply``.

    ``model`` is what was asked for. ``secrets`` appear in no error. An answer keeps them, as they
    may be words of its question, but for ``credentials``: what we only sent to be let in.

    Raises:
        AmbiguousError: ``bad_response``, the reply is not JSON.
        PermanentError: ``empty_answer``; ``bad_response`` for JSON that cannot be held.
        EndpointError: as ``refusals`` says, for any status but 2xx and for an error inside a 2xx.
    """
    if not 200 <= reply.status < 300:  # noqa: PLR2004 - HTTP
        raise refusals.classify(reply, model=model, secrets=secrets)
    layers = _layers(_document(reply, secrets))
    said = _said(layers[-1])
    broken = next(filter(complains, layers), said.error)
    if broken is not None:
        error = refusals.classify_inside(reply, broken, model=model, secrets=secrets)
        error.usage = _usage(layers, reply.headers)
        raise error
    try:
        answer = _completion(said, layers, reply.headers)
    except OutsizedJsonError as outsized:
        raise _unreadable(reply, outsized, secrets) from None
    if answer.text is None and answer.refusal is None and answer.tool_calls is None:
        raise _empty(reply, answer, secrets)
    return _without(credentials, answer) if credentials else answer


def _document(reply: Reply, secrets: Sequence[str]) -> _Object:
    """The reply as an object; the first one, where a list wraps it."""
    try:
        document = reply.json()
    except OutsizedJsonError as error:
        raise _unreadable(reply, error, secrets) from None
    except NotJsonError:
        kind = reply.headers.get("content-type", "no type")
        what = f"{len(reply.body)} bytes of {kind}" if reply.body.strip() else "an empty body"
        raise _bad(reply, f"{what} instead of JSON", secrets) from None
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        raise _bad(reply, "JSON that is no answer", secrets)
    return document


def _bad(reply: Reply, what: str, secrets: Sequence[str]) -> EndpointError:
    message = f"HTTP {reply.status} with {what}"
    return _case(reply, secrets).error(AmbiguousError, "bad_response", message)


def _unreadable(reply: Reply, error: OutsizedJsonError, secrets: Sequence[str]) -> EndpointError:
    message = f"the answer cannot be held: {error}"
    return _case(reply, secrets).error(PermanentError, "bad_response", message)


def _empty(reply: Reply, answer: Completion, secrets: Sequence[str]) -> EndpointError:
    message = f"no text and no tool call (finish_reason {answer.finish_reason})"
    error = _case(reply, secrets).error(PermanentError, "empty_answer", message)
    error.usage = answer.usage
    return error


def _case(reply: Reply, secrets: Sequence[str]) -> Case:
    return Case(reply=reply, status=reply.status, complaint=Complaint(), secrets=secrets)


def _layers(document: _Object) -> list[_Object]:
    """The reply and what it wraps, outermost first; the last one holds the answer."""
    layers = [document]
    while len(layers) < _MAX_LAYERS and not layers[-1].get("choices"):
        inner = layers[-1].get("data")
        if inner is None:
            inner = layers[-1].get("output")
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            inner = inner[0] if inner[0].get("choices") else None
        if not isinstance(inner, dict):
            break
        layers.append(inner)
    return layers


def complains(layer: _Object) -> bool:
    """Whether an answer says that something went wrong, in one of the ways that gateways do."""
    error = layer.get("error")
    if isinstance(error, dict):
        error = [said for said in error.values() if not _is_fine(said)]
    return bool(error) or layer.get("success") is False


def _is_fine(said: JsonValue) -> bool:
    """Whether it is nothing, or what some gateways say where others say nothing."""
    return not said or str(said).strip().lower() in _FINE


def _said(layer: _Object) -> _Said:
    choices = layer.get("choices")
    if isinstance(choices, list) and choices:
        return _chosen(choices[0])
    for output in (layer.get("output"), layer.get("data")):
        if isinstance(output, list) and output:
            return _put_out(output)
    named = (layer.get(name) for name in ("data", "output", "output_text", "text"))
    return _Said(content=next((value for value in named if value is not None), None))


def _chosen(choice: JsonValue) -> _Said:
    if not isinstance(choice, dict):
        return _Said(content=choice)
    message = choice.get("message") or choice.get("delta")
    if not isinstance(message, dict):
        message = {"content": message}
    content = message.get("content")
    if content is None:
        content = choice.get("text")
    return _Said(
        content=content,
        refusal=message.get("refusal"),
        tool_calls=message.get("tool_calls") or message.get("function_call"),
        finish_reason=choice.get("finish_reason"),
        error=choice if not content and complains(choice) else None,
    )


def _put_out(output: list[JsonValue]) -> _Said:
    """Read a list of output items, as OpenAI's Responses have it."""
    items = [item for item in output if not _is_unspoken(item)]
    calls = [item for item in items if _kind(item) == "function_call"]
    parts = [part for item in items for part in _parts(item)]
    refusals_said = [part.get("refusal") for part in parts if _kind(part) == "refusal"]
    return _Said(
        content=[part for part in parts if _kind(part) != "refusal"],
        refusal=next(iter(refusals_said), None),
        tool_calls=calls or None,
    )


def _parts(item: JsonValue) -> list[JsonValue]:
    content = item.get("content", item) if isinstance(item, dict) else item
    return content if isinstance(content, list) else [content]


def _kind(part: JsonValue) -> JsonValue:
    return part.get("type") if isinstance(part, dict) else None


def _is_unspoken(part: JsonValue) -> bool:
    kind = _kind(part)
    return isinstance(kind, str) and kind in _UNSPOKEN


def _completion(said: _Said, layers: list[_Object], headers: Mapping[str, str]) -> Completion:
    return Completion(
        text=_text(said.content),
        finish_reason=_label(said.finish_reason or _finish(layers)),
        refusal=_label(said.refusal or None),
        tool_calls=dump(said.tool_calls).decode() if said.tool_calls else None,
        model=_label(_innermost(layers, "model")),
        response_id=_label(_innermost(layers, "id") or _innermost(layers, "request_id")),
        usage=_usage(layers, headers),
    )


def _text(content: JsonValue) -> str | None:
    """The text of a message: a string, or a list of parts of which some hold text."""
    if not isinstance(content, (list, dict)):
        return _label(content)
    parts = content if isinstance(content, list) else [content]
    spoken = [text for part in parts if (text := _part_text(part)) is not None]
    return whole("".join(spoken)) if spoken else None


def _part_text(part: JsonValue) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or _is_unspoken(part):
        return None
    text = part.get("text", part.get("content"))
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else None


def _finish(layers: list[_Object]) -> JsonValue:
    """How a wrapped answer ended, in the endpoint's own word."""
    said = _innermost(layers, "finish_reason")
    if said is not None:
        return said
    details = _innermost(layers, "incomplete_details")
    if isinstance(details, dict) and details.get("reason"):
        return details["reason"]
    return layers[-1].get("status") if "output" in layers[-1] else None


def _innermost(layers: list[_Object], name: str) -> JsonValue:
    for layer in reversed(layers):
        value = layer.get(name)
        if value is not None:
            return value
    return None


def _label(value: JsonValue) -> str | None:
    """A value brought to text: what is no string as its JSON."""
    if value is None:
        return None
    return whole(value) if isinstance(value, str) else dump(value).decode()


def _usage(layers: list[_Object], headers: Mapping[str, str]) -> Usage:
    usage = read_usage(layers[-1].get("usage"))
    for told in _elsewhere(layers):
        usage = _filled(usage, told)
    if usage.cost is None and _COST_HEADER in headers:
        return replace(usage, cost=read_cost(headers[_COST_HEADER]))
    return usage


def _filled(usage: Usage, told: Usage) -> Usage:
    """``usage`` with what only ``told`` knows: tokens as a whole, cost by itself."""
    if told is NOTHING:  # as nearly always; comparing takes a hundred times as long
        return usage
    if usage == NOTHING:
        return told
    return usage if usage.cost is not None or told.cost is None else replace(usage, cost=told.cost)


def _elsewhere(layers: list[_Object]) -> Iterator[Usage]:
    """Usage that an envelope tells, or that stands beside the answer."""
    yield from (read_usage(layer.get("usage")) for layer in reversed(layers[:-1]))
    yield read_usage(layers[0])


def _without(credentials: Sequence[str], answer: Completion) -> Completion:
    said = (answer.text, answer.finish_reason, answer.refusal)
    told = (answer.tool_calls, answer.model, answer.response_id)
    everything = "\n".join(filter(None, (*said, *told)))
    if redact(everything, credentials) == everything:  # one search instead of six
        return answer
    clear = [redact(text, credentials) if text else text for text in (*said, *told)]
    text, finish_reason, refusal, tool_calls, model, response_id = clear
    return replace(
        answer,
        text=text,
        finish_reason=finish_reason,
        refusal=refusal,
        tool_calls=tool_calls,
        model=model,
        response_id=response_id,
    )
