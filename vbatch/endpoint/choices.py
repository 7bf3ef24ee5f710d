"""One answer of a stream, as it grows from chunk to chunk. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vbatch.records import JsonValue

_MOST_CALLS = 1_024


class Choice:
    """Texts grow, everything else is what was said last."""

    def __init__(self, number: int) -> None:
        self.finish_reason: JsonValue = None
        self._number = number
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, Call] = {}
        self._call = 0
        self._function = Call()
        self._other: dict[str, Any] = {}

    def take(self, said: dict[str, Any]) -> bool:
        """Add what a chunk says; whether there is a word of the answer in it."""
        self.finish_reason = said.get("finish_reason") or self.finish_reason
        delta = said.get("delta")
        if not isinstance(delta, dict):
            delta = said.get("message")
        if not isinstance(delta, dict):
            delta = {"content": said.get("text")}
        spoken = [self._take(name, value) for name, value in delta.items()]
        return any(spoken)

    def _take(self, name: str, value: JsonValue) -> bool:
        if name == "tool_calls" and isinstance(value, list):
            return self._take_calls(value)
        if name == "function_call" and isinstance(value, dict):
            self._function.take({"function": value})
            return True
        text = _text(value)
        if text is not None and name != "role":
            self._texts.setdefault(name, []).append(text)
            return bool(text)
        if value is not None:
            self._other[name] = value
        return False

    def _take_calls(self, calls: list[Any]) -> bool:
        """Without an index a piece belongs to the last call, or begins one with another id."""
        for call in calls:
            if not isinstance(call, dict):
                continue
            if "index" in call:
                self._call = number_of(call["index"], _MOST_CALLS)
            elif self._calls and call.get("id") not in (None, self._calls[self._call].id):
                self._call = min(max(self._calls) + 1, _MOST_CALLS - 1)
            self._calls.setdefault(self._call, Call()).take(call)
        return bool(calls)

    def whole(self) -> dict[str, Any]:
        """As the endpoint would have said it at once."""
        message: dict[str, Any] = {"content": None, **self._other}
        message.update({name: "".join(parts) for name, parts in self._texts.items()})
        if self._calls:
            message["tool_calls"] = [call.whole() for _, call in sorted(self._calls.items())]
        if self._function.begun:
            message["function_call"] = self._function.whole()["function"]
        if self._calls or self._function.begun:
            message["content"] = message["content"] or None
        return {"index": self._number, "message": message, "finish_reason": self.finish_reason}


class Call:
    """The call of a tool: its arguments grow, whatever else stands where it is said."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}
        self._function: dict[str, Any] = {}
        self._arguments: list[str] = []

    @property
    def id(self) -> JsonValue:
        """What it is called; None as long as that was not said."""
        return self._said.get("id")

    @property
    def begun(self) -> bool:
        """Whether anything was said of it."""
        return bool(self._said or self._function or self._arguments)

    def take(self, said: dict[str, Any]) -> None:
        """Add a piece."""
        for name, value in said.items():
            if name == "function" and isinstance(value, dict):
                self._take_function(value)
            elif name not in ("index", "function") and value is not None:
                self._said[name] = value

    def _take_function(self, said: dict[str, Any]) -> None:
        for name, value in said.items():
            if name == "arguments" and isinstance(value, str):
                self._arguments.append(value)
            elif value is not None:
                self._function[name] = value

    def whole(self) -> dict[str, Any]:
        """As the endpoint would have said it at once."""
        function = dict(self._function)
        if self._arguments or "arguments" not in function:
            function["arguments"] = "".join(self._arguments)
        return {**self._said, "function": function}


def _text(value: JsonValue) -> str | None:
    """A piece of text, or of a list of parts that hold text."""
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in value]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if texts else None
    return value if isinstance(value, str) else None


def number_of(value: JsonValue, most: int) -> int:
    """A place in a list; 0 for what is none."""
    return value if type(value) is int and 0 <= value < most else 0
