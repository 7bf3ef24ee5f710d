"""What the endpoint was asked and what it answered: the other side's book, for comparing."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING

import orjson

from vbatch.errors import JobError
from vbatch.server.refusals import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from vbatch.records import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request. ``n`` counts from 1, ``at`` is seconds since the epoch when it came.

    ``status`` is None when no status went out. ``fault`` names the scripted one. ``answered``: a
    whole answer was made and billed, whether or not it could be delivered; the tokens are its own.
    ``image_sha256`` is of each picture's bytes as received, ``media_types`` as declared (None for
    URLs), ``urls`` None for pictures sent inline; the three run in the order of the request.
    """

    n: int
    at: float
    model: str | None = None
    status: int | None = None
    fault: str | None = None
    answered: bool = False
    prompt: str | None = None
    image_sha256: tuple[str, ...] = ()
    media_types: tuple[str | None, ...] = ()
    urls: tuple[str | None, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Ledger:
    """Sums in memory, and a line of JSON per request in ``path`` (appended) if one is given.

    Raises JobError when the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._file = None if path is None else _opened(path)
        self._in_flight = 0
        self._peak = 0
        self._requests = 0
        self._sums: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """Requests that came and are not done with."""
        return self._in_flight

    @property
    def total_tokens(self) -> int:
        """Tokens of all answers made."""
        return self._sums["prompt_tokens"] + self._sums["completion_tokens"]

    def came(self) -> int:
        """Count a request in and return its number, from 1."""
        self._requests += 1
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        return self._requests

    def went(self) -> None:
        """Count a request out."""
        self._in_flight -= 1

    def record(self, entry: Entry) -> None:
        """Add up and write one request; raises Refusal (500) when the file takes no more."""
        self._write(entry)
        self._by_status[str(entry.status or entry.fault)] += 1
        self._sums["answered"] += entry.answered
        self._sums["prompt_tokens"] += entry.prompt_tokens
        self._sums["completion_tokens"] += entry.completion_tokens

    def summary(self) -> dict[str, JsonValue]:
        """Return the sums: requests, answered, tokens, most in flight, and counts by status."""
        return {
            "requests": self._requests,
            "answered": self._sums["answered"],
            "prompt_tokens": self._sums["prompt_tokens"],
            "completion_tokens": self._sums["completion_tokens"],
            "total_tokens": self.total_tokens,
            "peak_in_flight": self._peak,
            "by_status": dict(self._by_status),
        }

    def close(self) -> None:
        """Close the file; what a full disk did not take was refused when it was recorded."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _write(self, entry: Entry) -> None:
        if self._file is None:
            return
        try:
            self._file.write(orjson.dumps(asdict(entry), option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()
        except OSError as error:
            raise Refusal(500, f"the ledger cannot be written: {error.strerror}") from error


def _opened(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        raise JobError(f"the ledger {path} cannot be written: {error.strerror}") from error
