"""An answer as a stream of chunks, the way chat completions stream it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.records import JsonValue

_WORDS_AT_ONCE = 3
_ARGUMENT_CHARS = 12
END = b"data: [DONE]\n\n"


def events(body: dict[str, JsonValue], *, with_usage: bool) -> list[bytes]:
    """The events of a chat completion that would have been ``body``, the last one included."""
    said = [orjson.dumps(chunk) for chunk in _chunks(body)]
    if with_usage and "usage" in body:
        said.append(orjson.dumps({**_head(body), "choices": [], "usage": body["usage"]}))
    return [*(b"data: " + chunk + b"\n\n" for chunk in said), END]


def _head(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    head = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    return {**head, "object": "chat.completion.chunk"}


def _chunks(body: dict[str, JsonValue]) -> Iterator[dict[str, JsonValue]]:
    head = _head(body)
    for choice in body["choices"]:
        message = choice["message"]
        deltas = [{"role": "assistant", "content": ""}, *_deltas(message)]
        for delta in deltas:
            yield {**head, "choices": [_part(choice, delta, None)]}
        yield {**head, "choices": [_part(choice, {}, choice["finish_reason"])]}


def _part(choice: JsonValue, delta: JsonValue, finish: JsonValue) -> JsonValue:
    return {"index": choice["index"], "delta": delta, "finish_reason": finish}


def _deltas(message: dict[str, JsonValue]) -> Iterator[dict[str, JsonValue]]:
    for name in ("content", "refusal"):
        words = (message.get(name) or "").split(" ")
        for start in range(0, len(words), _WORDS_AT_ONCE):
            blank = " " if start else ""
            yield {name: blank + " ".join(words[start : start + _WORDS_AT_ONCE])}
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        begun = {**call, "index": number, "function": {**function, "arguments": ""}}
        yield {"tool_calls": [begun]}
        arguments = function["arguments"]
        for start in range(0, len(arguments), _ARGUMENT_CHARS):
            piece = {"arguments": arguments[start : start + _ARGUMENT_CHARS]}
            yield {"tool_calls": [{"index": number, "function": piece}]}
