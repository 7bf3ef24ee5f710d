"""Which rows an invocation asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbatch.records import BadRow, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from vbatch.records import ManifestScan
    from vbatch.sink.history import History
    from vbatch.source.manifest import Manifest
    from vbatch.state import Past, PastFailure

Row = Item | BadRow


@dataclass(slots=True, kw_only=True)
class Todo:
    """Decides row by row.

    Without ``chosen`` a row is asked unless it is answered, or has failed for good under this very
    job. With ``chosen`` (ids, for a retry) exactly those rows are asked. An answered row that
    ``changed`` since it was asked, and since a moment (seconds since the epoch), is asked again.
    Only with ``asks_answered`` may rows that have an answer be among those to ask.
    """

    history: History
    job_digest: str
    reach_digest: str
    chosen: AbstractSet[str] | None = None
    asks_answered: bool = False
    changed: Callable[[Item, float], bool] = field(default=lambda _row, _since: False)

    def rows(
        self, manifest: Manifest, scan: ManifestScan, done: bytes | None
    ) -> Iterator[Item | BadRow]:
        """The rows to decide about, most of the answered ones left out; ``done`` as there."""
        if self.asks_answered:
            return manifest.rows(scan)
        return manifest.rows(scan, done=done, answered=self.history.stands)

    def wanted(self, row: Row) -> bool:
        """Whether to ask ``row``. Called from the reading thread only."""
        return row.id in self.chosen if self.chosen is not None else self._is_open(row)

    def past(self, row_id: str, row_digest: str) -> Past:
        """What earlier invocations tried in vain for a row that has not changed since."""
        return self.history.past(row_id, row_digest)

    def _is_open(self, row: Row) -> bool:
        if self.history.is_answered(row):
            return isinstance(row, Item) and self.changed(row, self._failed_for_good_at(row))
        before = self.history.failure(row.id)
        return before is None or self._may_be_tried(row, before)

    def _failed_for_good_at(self, row: Item) -> float:
        """When an answered row failed as it was asked again; 0.0 if it may be tried once more."""
        setback = self.history.setback(row.id)
        if setback is None or self._may_be_tried(row, setback):
            return 0.0
        return setback.last_at

    def _may_be_tried(self, row: Row, before: PastFailure) -> bool:
        if before.row_digest not in {row.row_digest, *row.former_digests}:
            return True
        forbidden = before.code == "image_forbidden"
        now = self.reach_digest if forbidden else self.job_digest
        return before.retryable or before.job_digest != now
