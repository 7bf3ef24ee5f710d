"""What one invocation came to so far: for progress, run.json and the closing line."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbatch.records import Completed, Failed
from vbatch.state import Tallies, Tally, sum_of

if TYPE_CHECKING:
    from vbatch.records import Event, Failure, Result
    from vbatch.sink.history import History

PLAIN_ENDINGS = frozenset({"stop", "eos", "end_turn", "completed", "tool_calls"})
"""Finish reasons that need no word in the closing line."""
RATE_OVER = 200


@dataclass(slots=True, kw_only=True)
class Live:
    """Counts of one invocation, and what the whole run stands at.

    ``events`` folds what is recorded; ``codes`` counts failures, ``endings`` unusual answers.
    ``total_answered`` and ``total_failed`` begin with what ``history`` says.
    """

    history: History
    answered: int = 0
    failed: int = 0
    total_answered: int = field(init=False)
    total_failed: int = field(init=False)
    events: Tallies = field(default_factory=Tallies)
    codes: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    last_at: float = float("-inf")
    """When the last row ended (seconds, monotonic)."""
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_OVER))
    _latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_OVER))

    def __post_init__(self) -> None:
        self.total_answered = self.history.answered
        self.total_failed = self.history.failed

    def fold(self, event: Event, at: float) -> None:
        """Count an event that was recorded ``at`` (seconds, monotonic)."""
        self.events.fold(event)
        match event:
            case Completed(result=result):
                self._note_end(at)
                self._latencies_s.append(result.latency_s)
                self._add_result(result)
            case Failed(failure=failure):
                self._note_end(at)
                self._add_failure(failure)

    def _note_end(self, at: float) -> None:
        self.last_at = at
        self._times.append(at)

    def _add_failure(self, failure: Failure) -> None:
        self.failed += 1
        self.codes[failure.code] += 1
        if self.history.keeps_answer(failure):
            return
        self.total_answered -= self.history.has_answer(failure.id)
        self.total_failed += self.history.failure(failure.id) is None

    def _add_result(self, result: Result) -> None:
        self.answered += 1
        self.total_answered += not self.history.has_answer(result.id)
        self.total_failed -= self.history.failure(result.id) is not None
        completion = result.completion
        if completion.refusal is not None:
            self.endings["refusal"] += 1
        elif completion.finish_reason not in PLAIN_ENDINGS:
            self.endings[completion.finish_reason or "no finish reason"] += 1

    def rows_per_s(self, now: float) -> float:
        """Outcomes a second over the last ones."""
        if not self._times or now <= self._times[0]:
            return 0.0
        return len(self._times) / (now - self._times[0])

    @property
    def longest_latency_s(self) -> float:
        """Of the last answers; 0 before the first."""
        return max(self._latencies_s, default=0.0)

    def sums(self, *, ended: bool = False) -> Tally:
        """Sums over all models; with ``ended`` what is left open counts as possibly billed."""
        tallies = self.events.closed() if ended else self.events
        return sum_of(tallies.by_key.values())
