"""Which rows an invocation asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbatch.records import BadRow, Item

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from vbatch.sink.history import History
    from vbatch.state import Past

Row = Item | BadRow


@dataclass(slots=True, kw_only=True)
class Todo:
    """Decides row by row.

    Without ``chosen`` a row is asked unless it is answered, or has failed for good under this very
    job. With ``chosen`` (ids, for a retry) exactly those rows are asked. An answered row for
    which ``changed`` holds is asked again.
    """

    history: History
    job_digest: str
    reach_digest: str
    chosen: AbstractSet[str] | None = None
    changed: Callable[[Item], bool] = field(default=lambda _: False)

    def wanted(self, row: Row) -> bool:
        """Whether to ask ``row``. Called from the reading thread only."""
        return row.id in self.chosen if self.chosen is not None else self._is_open(row)

    def past(self, row_id: str, row_digest: str) -> Past:
        """What earlier invocations tried in vain for a row that has not changed since."""
        return self.history.past(row_id, row_digest)

    def _is_open(self, row: Row) -> bool:
        if self.history.is_answered(row):
            return isinstance(row, Item) and self.changed(row)
        before = self.history.failure(row.id)
        if before is None or before.row_digest not in {row.row_digest, *row.former_digests}:
            return True
        forbidden = before.code == "image_forbidden"
        now = self.reach_digest if forbidden else self.job_digest
        return before.retryable or before.job_digest != now
