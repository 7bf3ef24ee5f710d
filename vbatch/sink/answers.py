"""Answers by what was asked, so that the same question is paid for once: a SQLite file.

It may be lost or damaged at any time, and only costs money then: runs never depend on it.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson

from vbatch.errors import JobError
from vbatch.records import Completion, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAKE = """
CREATE TABLE IF NOT EXISTS vbatch_answers_1 (key BLOB PRIMARY KEY, answer BLOB NOT NULL)
WITHOUT ROWID
"""
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_GET = "SELECT answer FROM vbatch_answers_1 WHERE key = ?"
_PUT = "INSERT OR REPLACE INTO vbatch_answers_1 VALUES (?, ?)"
_LOOK_S = 0.2
"""For another process that has the file to itself: after that the question is asked."""
_WAIT_S = 5.0
"""For another process that writes: after that the answers are not kept."""
_NOTHING = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0, cost=Decimal(0))
_TEXTS = ("text", "finish_reason", "refusal", "tool_calls", "model", "response_id", "raw")


def unpaid(completion: Completion) -> Completion:
    """The same answer for a row that did not ask for it: it cost nothing."""
    return replace(completion, usage=_NOTHING)


class AnswerCache:
    """Completions by a digest of everything that was sent; for several threads and processes.

    Raises JobError where the file is something else, or cannot be made; a run's ``own`` file that
    is damaged is put aside instead, beside the new one, with ``.damaged`` after its name.
    """

    def __init__(self, path: Path, *, own: bool = False) -> None:
        self._reading, self._writing = threading.Lock(), threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._reads, self._writes = _opened(path)
            except sqlite3.DatabaseError as error:
                if not own or isinstance(error, sqlite3.OperationalError):  # locked, disk full
                    raise
                path.replace(path.with_name(f"{path.name}.damaged"))  # its log is dropped by SQLite
                self._reads, self._writes = _opened(path)
        except (sqlite3.Error, OSError) as error:
            raise JobError(f"{path} cannot keep answers: {error}. {_advice(error, own)}") from None

    def get(self, key: bytes) -> Completion | None:
        """The answer to what ``key`` is the digest of, None where none can be read. Blocks."""
        with suppress(sqlite3.Error, ValueError, TypeError), self._reading:
            row = self._reads.execute(_GET, (key,)).fetchone()
            return None if row is None else _read(row[0])
        return None

    def keep(self, answers: Mapping[bytes, Completion]) -> None:
        """Keep answers by their keys, in place of those that are there. Blocks."""
        rows = []
        for key, completion in answers.items():
            fields = asdict(completion)
            del fields["usage"]
            with suppress(TypeError):  # what JSON cannot hold
                rows.append((key, orjson.dumps(fields)))
        with suppress(sqlite3.Error), self._writing, self._writes:
            self._writes.executemany(_PUT, rows)

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error), self._reading:
            self._reads.close()
        with suppress(sqlite3.Error), self._writing:
            self._writes.close()


def _opened(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """To read from, and to write to: so a lookup does not wait while answers are written."""
    writes = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
    try:
        tables = [name for (name,) in writes.execute(_TABLES)]
        if tables and not any(name.startswith("vbatch_answers_") for name in tables):
            raise sqlite3.DatabaseError("it is another program's database")  # noqa: TRY301
        with suppress(sqlite3.OperationalError):  # where another process does it just now
            writes.execute("PRAGMA journal_mode = WAL")  # else each answer is synced
        writes.execute("PRAGMA synchronous = NORMAL")
        with writes:
            writes.execute(_MAKE)
        return sqlite3.connect(path, timeout=_LOOK_S, check_same_thread=False), writes
    except BaseException:
        writes.close()
        raise


def _advice(error: Exception, own: bool) -> str:
    if own:
        return "Take it away, or run with dedupe = false"
    if isinstance(error, sqlite3.Error) and error.args == ("database is locked",):
        return "Wait until the other program is done with it, or name another file in cache.path"
    return "Name another file in cache.path, or take this one away"


def _read(text: bytes) -> Completion:
    """An answer as it was kept. Raises ValueError or TypeError where it is none."""
    fields = orjson.loads(text)
    completion = unpaid(Completion(**fields))
    for name in _TEXTS:
        if not isinstance(getattr(completion, name), str | None):
            raise TypeError(name)
    return completion
