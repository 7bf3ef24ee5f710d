"""What earlier invocations came to: which rows are answered, which failed and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vbatch.sink.failed_rows import COLUMNS, FailedRows, compact
from vbatch.sink.parts import read_part, texts
from vbatch.state import Past

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from vbatch.records import BadRow, Failure, Item
    from vbatch.sink.commits import Commit
    from vbatch.sink.index import Index
    from vbatch.sink.layout import Layout
    from vbatch.state import PastFailure

    Numbers = NDArray[np.int64]

Span = tuple[int, int, int]
"""The number of a first row then, how many follow one another, and its number now."""


class History:
    """The run as it was when this was made; what is recorded later does not show.

    May be asked from any thread.
    """

    def __init__(self, layout: Layout, commit: Commit, index: Index) -> None:
        self._layout = layout
        self._commit = commit
        self._index = index.frozen()
        self._failures = self._read_failures()
        tallies = commit.tallies.closed()
        self._open_pasts, self._setbacks = tallies.pasts, tallies.setbacks

    @property
    def answered(self) -> int:
        """Rows that stand as answered."""
        return self._index.answered

    @property
    def failed(self) -> int:
        """Rows that stand as failed."""
        return len(self._failures)

    def is_answered(self, row: Item | BadRow) -> bool:
        """Whether the row as it is now has an answer, under the templates of then or of now."""
        return self._stands(row)

    def stands(self, row_id: str, row_digest: str) -> bool:
        """Whether the id has an answer to this very question; one to a former may stand, too."""
        place, same = self._index.get(row_id, row_digest)
        return same and place > 0

    def keeps_answer(self, failure: Failure) -> bool:
        """Whether the row that failed has an answer, which the failure then leaves alone."""
        return self._stands(failure)

    def has_answer(self, row_id: str) -> bool:
        """Whether the id stands as answered, whatever it asked."""
        return self._index.place(row_id) > 0

    def failure(self, row_id: str) -> PastFailure | None:
        """How the row failed last, None if it has not or has an answer since."""
        return self._failures.get(row_id)

    def failures(self) -> Iterator[PastFailure]:
        """Every failed row."""
        yield from self._failures

    def setback(self, row_id: str) -> PastFailure | None:
        """How an answered row failed when it was asked again, None if it was not or has not.

        Its answer is older, and stands.
        """
        return self._setbacks.get(row_id)

    def past(self, row_id: str, row_digest: str) -> Past:
        """What was tried in vain for a row, up to its last failure and since."""
        before = self._failures.get(row_id) or self._setbacks.get(row_id)
        past = before.past if before and before.row_digest == row_digest else Past()
        since = self._open_pasts.get(row_id)
        return past + since.past if since and since.row_digest == row_digest else past

    def answered_rows(self, numbers: Mapping[str, Sequence[Span]], rows: int) -> bytes:
        """A byte for each of ``rows`` rows by number, 1 where one is answered.

        ``numbers``: of the rows that each invocation asked, those whose numbers of now are known,
        sorted. Two columns of each part are read, and no id: within a part that is not dirty all
        of them stand. What is not marked is looked up.
        """
        marks = np.zeros(rows, np.uint8)
        spans = {name: np.array(each, np.int64).T for name, each in numbers.items() if each}
        for number in self._commit.parts["results"]:
            if number not in self._commit.dirty:
                part = self._layout.part("results", number)
                table = read_part(part, ("row", "invocation"), few=("invocation",))
                for batch in table.to_batches():
                    _mark_all(marks, batch["row"].to_numpy(), batch["invocation"], spans)
        return marks.tobytes()

    def answers(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """These columns of every answered row, ``id`` added, a row at a time."""
        names = list(dict.fromkeys(("id", *columns)))
        for number in self._commit.parts["results"]:
            table = read_part(self._layout.part("results", number), names)
            for batch in table.to_batches():
                for row in batch.to_pylist():
                    if self._index.place(row["id"]) == number:
                        yield row

    def _stands(self, row: Item | BadRow | Failure) -> bool:
        place, same = self._index.get(row.id, row.row_digest)
        if place <= 0 or same:
            return place > 0
        return any(self._index.get(row.id, digest)[1] for digest in row.former_digests)

    def _read_failures(self) -> FailedRows:
        """Those that stand."""
        tables = []
        for number in self._commit.parts["failed"]:
            table = read_part(self._layout.part("failed", number), COLUMNS)
            ids = list(texts(table["id"]))
            stands = [place == -number for place in self._index.find(ids, ids)[0]]
            tables.append(compact(table.filter(pa.array(stands, pa.bool_()))))
        return FailedRows(tables)


def _mark_all(
    marks: NDArray[np.uint8],
    then: Numbers,
    by: pa.DictionaryArray,
    spans: Mapping[str, Numbers],
) -> None:
    """Mark the rows that were numbered ``then``, each by the invocation that asked it."""
    asked_by = by.indices.to_numpy()
    for place, name in enumerate(by.dictionary.to_pylist()):
        if name in spans:
            _mark(marks, then[asked_by == place], *spans[name])


def _mark(
    marks: NDArray[np.uint8], then: Numbers, firsts: Numbers, counts: Numbers, now: Numbers
) -> None:
    """Mark the rows that were numbered ``then``, by spans of numbers."""
    span = np.searchsorted(firsts, then, side="right") - 1
    inside = (span >= 0) & (then < firsts[span] + counts[span])
    span, then = span[inside], then[inside]
    numbers = then - firsts[span] + now[span]
    marks[numbers[numbers < len(marks)]] = 1
