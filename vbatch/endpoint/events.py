"""An answer that comes as a stream of events: server-sent events (WHATWG HTML 9.2). Pure.

Two vocabularies: chunks of a chat completion (``choices[].delta``), and OpenAI's Responses
(``response.output_text.delta`` … ``response.completed``). What comes together is the document that
the endpoint would have answered with at once, so that one reader does for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbatch.endpoint.choices import Choice, number_of
from vbatch.endpoint.replies import complains
from vbatch.endpoint.reply import NotJsonError, Reply
from vbatch.endpoint.strings import OutsizedJsonError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.records import JsonValue

DONE = b"[DONE]"
_BOM = b"\xef\xbb\xbf"
_MOST_CHOICES = 128
_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class BrokenStreamError(ValueError):
    """What came is no stream of JSON events; the message says where."""


class Lines:
    """The ``data`` of each event, out of bytes as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._data: list[bytes] = []
        self._first = True
        self._after_return = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the events that ``data`` completes."""
        if self._after_return and data:
            self._after_return, data = False, data.removeprefix(b"\n")
        self._after_return = data.endswith(b"\r")
        first, *rest = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._pieces.append(first)
        for piece in rest:
            line = b"".join(self._pieces)
            self._pieces = [piece]
            yield from self._line(line)

    def end(self) -> Iterator[bytes]:
        """Yield an event that lacks the empty line after it, as some servers end."""
        yield from self._line(b"".join(self._pieces))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if self._first:
            self._first, line = False, line.removeprefix(_BOM)
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

    ``events`` counts those that came. ``begun``: the first word of the answer has come. ``whole``:
    the endpoint has said how it ended; a stream that ends before is never a whole answer, and
    nothing that comes after it takes the answer away. ``done``: no more can come.
    """

    def __init__(self) -> None:
        self.events = 0
        self.begun = False
        self.whole = False
        self.done = False
        self._lines = Lines()
        self._document: dict[str, Any] = {}
        self._choices: dict[int, Choice] = {}
        self._said: JsonValue = None
        self._bare: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take bytes as they come. Raises BrokenStreamError, but not once the answer is whole."""
        if not self.events:
            self._bare.append(data)
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
        if not self.events:
            return self._in_one_piece()
        choices = [choice.whole() for _, choice in sorted(self._choices.items())]
        return {**self._document, "choices": choices} if choices else self._document

    def _take(self, event: bytes) -> None:
        self.events += 1
        if event.strip() == DONE:
            self.whole = self.done = True
            return
        try:
            said = Reply(status=200, body=event).json()
        except (NotJsonError, OutsizedJsonError) as error:
            self._odd(f"an event that is no JSON ({error})")
            return
        kind = said.get("type") if isinstance(said, dict) else None
        if not isinstance(said, dict):
            self._odd("an event that is no object")
        elif isinstance(kind, str) and kind.startswith("response."):
            self._take_response(kind, said)
        else:
            self._take_chunk(said)

    def _in_one_piece(self) -> JsonValue:
        """An answer that came at once and only said that it would come as a stream."""
        try:
            said = Reply(status=200, body=b"".join(self._bare)).json()
        except (NotJsonError, OutsizedJsonError):
            raise BrokenStreamError("a stream without events") from None
        self.whole = True
        return said

    def _odd(self, what: str) -> None:
        if not self.whole:
            raise BrokenStreamError(what)

    def _take_response(self, kind: str, said: dict[str, Any]) -> None:
        if kind.endswith(".delta"):
            self.begun = True
        elif kind in _FINAL and isinstance(said.get("response"), dict):
            self.whole = self.done = True
            self._said = said["response"]

    def _take_chunk(self, said: dict[str, Any]) -> None:
        if complains(said):  # the endpoint gives up in the middle
            if not self.whole:
                self.whole, self._said = True, said
            return
        for name, value in said.items():
            if name not in ("choices", "error") and value is not None:
                self._document[name] = value
        choices = said.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._take_choice(choice)

    def _take_choice(self, said: dict[str, Any]) -> None:
        number = number_of(said.get("index"), _MOST_CHOICES)
        choice = self._choices.setdefault(number, Choice(number))
        self.begun = choice.take(said) or self.begun
        self.whole = all(one.finish_reason is not None for one in self._choices.values())
