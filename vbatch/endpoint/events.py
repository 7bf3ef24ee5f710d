"""An answer that comes as a stream of events: server-sent events (WHATWG HTML 9.2). Pure.

Two vocabularies: chunks of a chat completion (``choices[].delta``), and OpenAI's Responses
(``response.output_text.delta`` … ``response.completed``). What comes together is the document that
the endpoint would have answered with at once, so that one reader does for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.records import JsonValue

DONE = b"[DONE]"
_LINE_ENDS = (b"\r\n", b"\r")
_BOM = b"\xef\xbb\xbf"
_MOST_CHOICES = 128
_MOST_CALLS = 1_024
_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class BrokenStreamError(ValueError):
    """What came is no stream of JSON events; the message says where."""


class Lines:
    """The ``data`` of each event, out of bytes as they come."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the events that ``data`` completes."""
        data = self._rest + data
        if not self._begun and data:
            self._begun, data = True, data.removeprefix(_BOM)
        held = data.endswith(b"\r")  # half of a line's end, perhaps
        body = data[:-1] if held else data
        for end in _LINE_ENDS:
            body = body.replace(end, b"\n")
        *lines, self._rest = body.split(b"\n")
        self._rest += b"\r" if held else b""
        for line in lines:
            yield from self._line(line)

    def end(self) -> Iterator[bytes]:
        """Yield an event that lacks the empty line after it, as some servers end."""
        yield from self._line(self._rest.rstrip(b"\r"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if not line:
            data, self._data = b"\n".join(self._data), []
            if data:
                yield data
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))


class Collector:
    """Puts the events of one answer together.

    ``begun``: the first word of the answer has come. ``whole``: the endpoint has said how it ended;
    a stream that ends before is never a whole answer.
    """

    def __init__(self) -> None:
        self.begun = False
        self.whole = False
        self._lines = Lines()
        self._document: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._said: dict[str, Any] | None = None
        self._empty = True

    def feed(self, data: bytes) -> None:
        """Take bytes as they come. Raises BrokenStreamError."""
        for event in self._lines.feed(data):
            self._take(event)

    def document(self) -> JsonValue:
        """What came together, as one answer would have said it. Ends the stream.

        Raises BrokenStreamError.
        """
        for event in self._lines.end():
            self._take(event)
        if self._said is not None:
            return self._said
        if self._empty:
            raise BrokenStreamError("a stream without events")
        choices = [choice.whole() for _, choice in sorted(self._choices.items())]
        return {**self._document, "choices": choices} if choices else self._document

    def _take(self, event: bytes) -> None:
        if event.strip() == DONE:
            self.whole = True
            return
        try:
            said = orjson.loads(event)
        except orjson.JSONDecodeError as error:
            raise BrokenStreamError(f"an event that is no JSON ({error})") from None
        self._empty = False
        if not isinstance(said, dict):
            raise BrokenStreamError("an event that is no object")
        kind = said.get("type")
        if isinstance(kind, str) and kind.startswith("response."):
            self._take_response(kind, said)
        else:
            self._take_chunk(said)

    def _take_response(self, kind: str, said: dict[str, Any]) -> None:
        if kind.endswith(".delta"):
            self.begun = True
        elif kind in _FINAL and isinstance(said.get("response"), dict):
            self.whole, self._said = True, said["response"]

    def _take_chunk(self, said: dict[str, Any]) -> None:
        if said.get("error") is not None:  # the endpoint gives up in the middle
            self.whole, self._said = True, said
            return
        for name, value in said.items():
            if name != "choices" and value is not None:
                self._document[name] = value
        choices = said.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._take_choice(choice)

    def _take_choice(self, said: dict[str, Any]) -> None:
        number = _number(said.get("index"), _MOST_CHOICES)
        choice = self._choices.setdefault(number, _Choice(number))
        self.begun = choice.take(said) or self.begun
        self.whole = all(one.finish_reason is not None for one in self._choices.values())


class _Choice:
    """One of the answers to a request: texts grow, everything else is what was said last."""

    def __init__(self, number: int) -> None:
        self.finish_reason: JsonValue = None
        self._number = number
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._other: dict[str, Any] = {}

    def take(self, said: dict[str, Any]) -> bool:
        """Add what a chunk says; whether there is a word of the answer in it."""
        self.finish_reason = said.get("finish_reason") or self.finish_reason
        delta = said.get("delta")
        if not isinstance(delta, dict):
            delta = {"content": said.get("text")}
        spoken = False
        for name, value in delta.items():
            if name == "tool_calls" and isinstance(value, list):
                spoken = self._take_calls(value) or spoken
            elif name != "role" and isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
                spoken = spoken or bool(value)
            elif value is not None:
                self._other[name] = value
        return spoken

    def _take_calls(self, calls: list[Any]) -> bool:
        for call in calls:
            if isinstance(call, dict):
                number = _number(call.get("index"), _MOST_CALLS)
                _grow(self._calls.setdefault(number, {}), call)
        return bool(calls)

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"content": None, **self._other}
        message.update({name: "".join(parts) for name, parts in self._texts.items()})
        if self._calls:
            message["tool_calls"] = [call for _, call in sorted(self._calls.items())]
            message["content"] = message["content"] or None
        return {
            "index": self._number,
            "message": message,
            "finish_reason": self.finish_reason,
        }


def _grow(call: dict[str, Any], more: dict[str, Any]) -> None:
    """Add a piece of a tool call: the arguments grow, whatever else stands where it is said."""
    for name, value in more.items():
        if name == "index" or value is None:
            continue
        if name == "function" and isinstance(value, dict):
            function = call.setdefault("function", {})
            for key, text in value.items():
                grows = key == "arguments" and isinstance(text, str)
                function[key] = function.get(key, "") + text if grows else text
        else:
            call[name] = value


def _number(value: JsonValue, most: int) -> int:
    return value if type(value) is int and 0 <= value < most else 0
