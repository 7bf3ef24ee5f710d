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
    from pathlib import Path

_MAKE = """
CREATE TABLE IF NOT EXISTS vbatch_answers_1 (key BLOB PRIMARY KEY, answer BLOB NOT NULL)
WITHOUT ROWID
"""
_GET = "SELECT answer FROM vbatch_answers_1 WHERE key = ?"
_PUT = "INSERT OR IGNORE INTO vbatch_answers_1 VALUES (?, ?)"
_WAIT_S = 5.0
"""For another process that writes: after that the question is asked, or its answer not kept."""
_NOTHING = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0, cost=Decimal(0))


def unpaid(completion: Completion) -> Completion:
    """The same answer for a row that did not ask for it: it cost nothing."""
    return replace(completion, usage=_NOTHING)


class AnswerCache:
    """Completions by a digest of everything that was sent; for several threads and processes.

    Raises JobError where the file is something else, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._using = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode = WAL")  # else each answer is synced
            self._file.execute("PRAGMA synchronous = NORMAL")
            with self._file:
                self._file.execute(_MAKE)
        except (sqlite3.Error, OSError) as error:
            raise JobError(
                f"{path} cannot keep answers: {error}. Name another file in cache.path, or take "
                "this one away"
            ) from None

    def get(self, key: bytes) -> Completion | None:
        """The answer to what ``key`` is the digest of, None where there is none. Blocks."""
        with suppress(sqlite3.Error, ValueError, TypeError), self._using:
            row = self._file.execute(_GET, (key,)).fetchone()
            return None if row is None else unpaid(Completion(**orjson.loads(row[0])))
        return None

    def put(self, key: bytes, completion: Completion) -> None:
        """Keep an answer; one that is there already stays. Blocks."""
        fields = asdict(completion)
        del fields["usage"]
        with suppress(sqlite3.Error, TypeError), self._using, self._file:
            self._file.execute(_PUT, (key, orjson.dumps(fields)))

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error), self._using:
            self._file.close()
