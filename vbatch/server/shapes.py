"""The body an answer goes out in: OpenAI's chat completion, or one of IndoxHub's wrappings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.records import JsonValue
    from vbatch.server.answers import Answer
    from vbatch.server.dialects import Dialect
    from vbatch.server.settings import Shape

_ROTATION: tuple[Shape, ...] = ("text", "chat", "responses", "output")
_USD_PER_TOKEN = (2.5e-6, 1e-5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a body tells beside the answer. ``number`` is the request's, ``created`` in seconds."""

    number: int
    created: int
    dialect: Dialect
    shape: Shape
    with_usage: bool


def body_of(answer: Answer, envelope: Envelope) -> dict[str, JsonValue]:
    """Return the whole body of a successful answer."""
    if not envelope.dialect.wrapped:
        plain = _completion(answer, envelope) | dict(envelope.dialect.extras)
        return plain | _usage(answer, envelope, _with_cost(envelope.dialect))
    naming = _NAMINGS[(envelope.number - 1) // len(_ROTATION) % len(_NAMINGS)]
    return {
        "request_id": f"req-{envelope.number:08d}",
        "success": True,
        "provider": answer.model.partition("/")[0],
        "model": answer.model,
        "message": "",
        "finish_reason": answer.finish_reason,
        **_wrapped(answer, envelope),
        **_usage(answer, envelope, naming),
    }


def error_inside(message: str, dialect: Dialect) -> dict[str, JsonValue]:
    """Return the body of an error that goes out with status 200."""
    if dialect.wrapped:
        return {"success": False, "message": message, "data": None}
    inside: dict[str, JsonValue] = {"message": message, "type": "server_error"}
    inside |= {"param": None, "code": 502}
    if dialect.error_form == "routed":
        raw = orjson.dumps({"error": {"message": message, "code": 500}}).decode()
        metadata = {"raw": raw, "provider_name": "Stand-in"}
        inside = {"message": "Provider returned error", "code": 502, "metadata": metadata}
    return {"error": inside}


def cost_headers(answer: Answer, envelope: Envelope) -> dict[str, str]:
    """Return the header a proxy names the price in, if the dialect has it there."""
    if envelope.dialect.cost != "header" or not envelope.with_usage:
        return {}
    return {"x-litellm-response-cost": str(_cost(answer))}


def _wrapped(answer: Answer, envelope: Envelope) -> dict[str, JsonValue]:
    shape = envelope.shape
    if shape == "rotate":
        shape = _ROTATION[(envelope.number - 1) % len(_ROTATION)]
    if shape == "text":
        return {"data": answer.text if answer.refusal is None else answer.refusal}
    if shape == "chat":
        return {"data": _completion(answer, envelope)}
    if shape == "responses":
        return {"data": {"output": _output(answer)}}
    return {"output": _output(answer)}


def _completion(answer: Answer, envelope: Envelope) -> dict[str, JsonValue]:
    message: dict[str, JsonValue] = {"role": "assistant", "content": answer.text}
    if answer.refusal is not None:
        message["refusal"] = answer.refusal
    if answer.call is not None:
        name, arguments = answer.call
        function = {"name": name, "arguments": arguments}
        call = {"id": f"call-{envelope.number:08d}", "type": "function", "function": function}
        message["tool_calls"] = [call]
    finish = answer.finish_reason
    finish = envelope.dialect.stop_word if finish == "stop" else finish
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {
        "id": _id(envelope),
        "object": "chat.completion",
        "created": envelope.created,
        "model": answer.model,
        "choices": [choice],
    }


def _output(answer: Answer) -> list[JsonValue]:
    content: list[JsonValue] = []
    if answer.refusal is not None:
        content = [{"type": "refusal", "refusal": answer.refusal}]
    elif answer.text is not None:
        content = [{"type": "output_text", "text": answer.text, "annotations": []}]
    return [{"type": "message", "role": "assistant", "status": "completed", "content": content}]


def _id(envelope: Envelope) -> str:
    return f"chatcmpl-{envelope.number:08d}"


def _usage(
    answer: Answer, envelope: Envelope, naming: Callable[[Answer], dict[str, JsonValue]]
) -> dict[str, JsonValue]:
    return {"usage": naming(answer)} if envelope.with_usage else {}


def _openai_usage(answer: Answer) -> dict[str, JsonValue]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.total_tokens,
    }


def _with_cost(dialect: Dialect) -> Callable[[Answer], dict[str, JsonValue]]:
    """OpenAI's usage, with the price by the dialect's name. A tick of xAI's is 1e-10 USD."""

    def naming(answer: Answer) -> dict[str, JsonValue]:
        usage = _openai_usage(answer)
        if dialect.cost == "cost_in_usd_ticks":
            return usage | {dialect.cost: round(_cost(answer) * 1e10)}
        if dialect.cost in ("cost", "estimated_cost"):
            return usage | {dialect.cost: _cost(answer)}
        return usage

    return naming


def _cost(answer: Answer) -> float:
    per_prompt, per_completion = _USD_PER_TOKEN
    cost = answer.prompt_tokens * per_prompt + answer.completion_tokens * per_completion
    return round(cost, 8)


def _indoxhub_usage(answer: Answer) -> dict[str, JsonValue]:
    return {
        "tokens_prompt": answer.prompt_tokens,
        "tokens_completion": answer.completion_tokens,
        "tokens_total": answer.total_tokens,
        "cost": _cost(answer),
    }


def _responses_usage(answer: Answer) -> dict[str, JsonValue]:
    return {
        "input_tokens": answer.prompt_tokens,
        "output_tokens": answer.completion_tokens,
        "total_tokens": answer.total_tokens,
    }


_NAMINGS = (_indoxhub_usage, _responses_usage, _openai_usage)
