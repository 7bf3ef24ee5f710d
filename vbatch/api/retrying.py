"""Which rows a retry selects, and the memory that lets an interrupted one go on."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from vbatch.errors import FAILURE_CODES, JobError
from vbatch.sink.storage import Storage, put

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from vbatch.records import JsonValue
    from vbatch.sink.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The words of a retry: failures by ``only`` (codes; empty: all), answers by ``finish_reason``.

    With a finish reason alone no failure is selected.
    """

    only: tuple[str, ...] = ()
    finish_reason: str | None = None
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.only) - FAILURE_CODES)
        if unknown:
            known = ", ".join(sorted(FAILURE_CODES))
            raise JobError(f"--only: no such code: {', '.join(unknown)}. Known: {known}")

    def selects_failure(self, code: str) -> bool:
        """Whether a failure with this code is asked again."""
        if not self.only:
            return self.finish_reason is None
        return code in self.only

    def selects_answer(self, finish_reason: str | None) -> bool:
        """Whether an answer that ended so is asked again."""
        return self.finish_reason is not None and finish_reason == self.finish_reason


class Memory:
    """What an unfinished retry has been through, in a small file that may be lost without harm."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, selection: Selection, invocation: str) -> frozenset[str]:
        """The earlier invocations of this very retry, if it was interrupted; notes the new one."""
        words = _words(selection)
        before = self._read()
        earlier = before.get("invocations", []) if before.get("words") == words else []
        data = orjson.dumps({"words": words, "invocations": [*earlier, invocation]})
        put(Storage(), self._path, data)
        return frozenset(earlier)

    def finish(self) -> None:
        """The retry is through: the same words begin a new one."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _read(self) -> Mapping[str, JsonValue]:
        try:
            fields = orjson.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return fields if isinstance(fields, dict) else {}


def chosen(
    selection: Selection,
    *,
    failures: Iterable[tuple[str, str, str]],
    answers: Iterable[tuple[str, str | None, str]],
    done_by: frozenset[str],
) -> frozenset[str]:
    """The ids to ask.

    ``failures`` are (id, code, invocation), ``answers`` (id, finish reason, invocation). Rows whose
    newest outcome comes from one of ``done_by`` have had their turn in this retry.
    """
    failed = (
        row_id
        for row_id, code, invocation in failures
        if invocation not in done_by and selection.selects_failure(code)
    )
    answered = (
        row_id
        for row_id, finish_reason, invocation in answers
        if invocation not in done_by and selection.selects_answer(finish_reason)
    )
    return frozenset(failed) | frozenset(answered)


def answers_of(history: History) -> Iterator[tuple[str, str | None, str]]:
    """Id and finish reason of every answer, and the invocation that asked its row last.

    That is a later one where the row then failed, and its answer stands.
    """
    for row in history.answers(("finish_reason", "invocation")):
        setback = history.setback(row["id"])
        yield (
            row["id"],
            row["finish_reason"],
            row["invocation"] if setback is None else setback.invocation,
        )


def _words(selection: Selection) -> dict[str, JsonValue]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(selection).items()}
