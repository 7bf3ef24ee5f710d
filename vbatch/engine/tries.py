"""What was tried for one row in this invocation, and when to stop trying."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from vbatch.errors import (
    AmbiguousError,
    EndpointError,
    Fault,
    Remedy,
    TransientError,
    UnreachedError,
)
from vbatch.records import Usage

if TYPE_CHECKING:
    from vbatch.job import Retry

INTERNAL_ERRORS_PER_ROW = 3
"""HTTP 500s in a row after which the row, not the endpoint, is taken for the cause."""

_NOT_THE_ROWS_FAULT = frozenset({"rate_limited", "too_many_open_files"})


class Step(Enum):
    """What a row on its way is at, in words that go on with ``for 12 s``."""

    ROOM = "waiting for room in limits.max_bytes_in_flight"
    PREPARING = "preparing its images"
    TURN = "waiting for its turn"
    RECORDING = "being written to the journal"
    SENT = "sent and not answered"
    NAP = "waiting for another try"


@dataclass(frozen=True, slots=True)
class Unfit:
    """An answer that did not follow the schema, and what is wrong with it."""

    text: str
    complaint: str


@dataclass(slots=True)
class Tries:
    """One row's attempts so far. ``wasted`` is what its failed attempts were reported to cost.

    ``invalid`` counts the answers that did not follow the job's schema; ``unfit`` is the last one.
    ``step`` is what the row is at, ``since`` when (seconds, monotonic).
    """

    first_at: float
    sent: int = 0
    counted: int = 0
    ambiguous: int = 0
    internal_errors: int = 0
    wasted: Usage = field(default_factory=Usage)
    mended: frozenset[Remedy] = frozenset()
    invalid: int = 0
    unfit: Unfit | None = None
    step: Step = Step.PREPARING
    since: float = 0.0

    def enter(self, step: Step, now: float) -> None:
        """The row begins its next step."""
        self.step = step
        self.since = now

    def note(self, error: EndpointError, *, counts: bool) -> None:
        """Remember how an attempt ended. ``counts`` is False while the whole endpoint is down."""
        self.wasted += error.usage or Usage()
        if counts:
            self.internal_errors = self.internal_errors + 1 if error.status == 500 else 0  # noqa: PLR2004 - HTTP
        if error.fault is Fault.MAYBE:
            self.ambiguous += 1
        if counts and not _says_nothing_of_the_row(error):
            self.counted += 1

    def may_go_on(self, error: EndpointError, retry: Retry) -> bool:
        """Whether the row is worth another attempt after ``error`` (already noted)."""
        match error:
            case TransientError():
                return _says_nothing_of_the_row(error) or self._refusals_left(retry)
            case AmbiguousError():
                return self.ambiguous <= retry.max_ambiguous and self.counted < retry.max_attempts
        return False

    def mend(self, remedy: Remedy) -> None:
        """Apply a remedy from the next attempt on; each is tried once."""
        self.mended |= {remedy}

    def may_ask_again(self, unfit: Unfit, retry: Retry) -> bool:
        """Whether an answer that is ``unfit`` is worth another request, which then speaks of it."""
        self.invalid += 1
        self.unfit = unfit
        return self.invalid <= retry.on_invalid

    def _refusals_left(self, retry: Retry) -> bool:
        return self.counted < retry.max_attempts and self.internal_errors < INTERNAL_ERRORS_PER_ROW


def _says_nothing_of_the_row(error: EndpointError) -> bool:
    """Whether the network, the endpoint's limits or our own are at fault."""
    if isinstance(error, TransientError):
        return isinstance(error, UnreachedError) or error.code in _NOT_THE_ROWS_FAULT
    return False
