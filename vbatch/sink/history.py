"""What earlier invocations came to: which rows are answered, which failed and how."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - used in a type that is read at run time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vbatch.records import Usage
from vbatch.sink.parts import read_part
from vbatch.state import Past, PastFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vbatch.records import BadRow, Failure, Item
    from vbatch.sink.commits import Commit
    from vbatch.sink.index import Index
    from vbatch.sink.layout import Layout

_FAILED_COLUMNS = (
    "id",
    "vbatch.row_digest",
    "vbatch.job_digest",
    "code",
    "retryable",
    "attempts",
    "possibly_billed",
    "vbatch.server_errors",
    "prompt_tokens",
    "completion_tokens",
    "vbatch.total_tokens",
    "vbatch.cached_tokens",
    "vbatch.reasoning_tokens",
    "vbatch.cost",
    "first_at",
    "last_at",
    "invocation",
)


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
        yield from self._failures.values()

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

    def _read_failures(self) -> dict[str, PastFailure]:
        failures = {}
        for number in self._commit.parts["failed"]:
            table = read_part(self._layout.part("failed", number), _FAILED_COLUMNS)
            for batch in table.select(_FAILED_COLUMNS).to_batches():
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if self._index.place(row[0]) == -number:
                        failures[row[0]] = _past_failure(row)
        return failures


def _past_failure(row: tuple[Any, ...]) -> PastFailure:
    row_id, row_digest, job_digest, code, retryable, attempts, billed, errors = row[:8]
    *tokens, cost, first_at, last_at, invocation = row[8:]
    first: datetime = first_at
    last: datetime = last_at
    prompt, completion, total, cached, reasoning = tokens
    return PastFailure(
        id=row_id,
        row_digest=row_digest,
        job_digest=job_digest,
        code=code,
        retryable=retryable,
        attempts=attempts,
        possibly_billed=billed,
        server_errors=errors,
        usage=Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=total,
            cached_tokens=cached,
            reasoning_tokens=reasoning,
            cost=None if cost is None else Decimal(cost),
        ),
        first_at=first.timestamp(),
        last_at=last.timestamp(),
        invocation=invocation,
    )
