"""Says how an invocation stands: to progress, to run.json, and at its end."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.api.summary import Summary
from vbatch.errors import RETRYABLE_CODES, redact
from vbatch.records import ProgressView
from vbatch.sink.views import Standing
from vbatch.state import Counts

if TYPE_CHECKING:
    from vbatch.api.tally import Live
    from vbatch.api.watch import Watch
    from vbatch.clock import Clock
    from vbatch.engine.worker import Worker
    from vbatch.job import Job
    from vbatch.records import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """``rows`` counts the manifest's rows, those that ask the same under one id once.

    ``started`` is on the monotonic clock; ``again`` the command that goes on after a stop,
    ``whole`` the one that asks the rows that nobody has asked yet.
    """

    job: Job
    invocation: str
    rows: int
    live: Live
    worker: Worker
    watch: Watch
    clock: Clock
    started: float
    again: str
    whole: str
    billed_before: int
    """Requests of earlier invocations whose fate is not known."""

    def view(self) -> ProgressView:
        """For progress."""
        sums = self.live.sums()
        rate = self.live.rows_per_s(self.clock.monotonic())
        return ProgressView(
            total=max(self.rows, self.live.total_answered + self.live.total_failed),
            answered=self.live.total_answered,
            failed=self.live.total_failed,
            tokens=sums.total_tokens,
            in_flight=self.worker.limiter.in_flight,
            waiting_reason=self.watch.waiting,
            rows_per_s=rate,
            eta_s=self.left() / rate if rate else None,
            cost=sums.cost,
            notices=self.watch.notices,
        )

    def standing(self, summary: Summary | None = None) -> Standing:
        """For run.json: at work, or with ``summary`` at the end."""
        live = self.live
        sums = live.sums(ended=summary is not None)
        return Standing(
            name=self.job.name,
            counts=Counts(
                rows=self.rows,
                answered=live.total_answered,
                failed=live.total_failed,
                left=self.left() if summary is None else summary.left,
                possibly_billed=self.billed_before + sums.possibly_billed,
            ),
            stop=summary.stop if summary else None,
            exit_code=summary.exit_code if summary else None,
            waiting=None if summary else self.watch.waiting,
            stalled=() if summary else self.watch.stalled,
            suspects=self.worker.client.suspect_ids,
        )

    def summary(self, stop: Stop | None, *, left: int, at_least: bool) -> Summary:
        """For the end. ``at_least``: a power cut may have lost some of what was counted."""
        live, sums = self.live, self.live.sums(ended=True)
        return Summary(
            run=Path(self.job.output),
            invocation=self.invocation,
            rows=self.rows,
            answered=live.answered,
            failed=live.failed,
            total_answered=live.total_answered,
            total_failed=live.total_failed,
            left=left,
            possibly_billed=sums.possibly_billed,
            total_possibly_billed=self.billed_before + sums.possibly_billed,
            requests=sums.requests,
            total_tokens=sums.total_tokens,
            wasted_tokens=sums.wasted_tokens,
            cost=sums.cost,
            wasted_cost=sums.wasted_cost,
            at_least=bool(sums.unreported) or at_least,
            elapsed_s=self.clock.monotonic() - self.started,
            stop=stop,
            codes=dict(live.codes),
            finish_reasons=dict(live.endings),
            notices=(*self._notices(), *self._hint(stop)),
            again=redact(self._next(stop, left), self.job.secrets),
        )

    def left(self) -> int:
        """Rows still to do, as far as counts tell: exact while the manifest only grows."""
        return max(0, self.rows - self.live.total_answered - self.live.total_failed)

    def _notices(self) -> tuple[str, ...]:
        notices = [self.worker.breakers.notice]
        if self.worker.detail_merged:
            notices.append(
                "images of one row asked for different detail: the highest was sent for all"
            )
        if self.worker.found_again:
            notices.append(f"{self.worker.found_again:,} had been answered to the same question")
        suspects = len(self.worker.client.suspect_ids)
        if suspects:
            notices.append(
                f"{suspects} answers came on a connection that brought answers nobody asked for: "
                "see suspect in run.json"
            )
        return tuple(notice for notice in notices if notice)

    def _next(self, stop: Stop | None, left: int) -> str:
        """The command that goes on from here, empty where nothing is left to do."""
        if stop is not None:
            return self.again
        if left:
            return self.whole
        return self._retry_command() if self.live.total_failed else ""

    def _hint(self, stop: Stop | None) -> tuple[str, ...]:
        """Rows that failed before a stop for reasons that may be the endpoint's are no loss."""
        if stop is None or not self.live.codes.keys() - RETRYABLE_CODES:
            return ()
        hint = f"failed rows are asked again by: {self._retry_command()}"
        return (redact(hint, self.job.secrets),)

    def _retry_command(self) -> str:
        return shlex.join(["vbatch", "retry", self.job.output])
