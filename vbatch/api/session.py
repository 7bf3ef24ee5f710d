"""One invocation, from the lock to the closing line: wires source → engine → sink."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vbatch.api.endpoint import label, with_endpoint
from vbatch.api.question import check_question, to_keep
from vbatch.api.replaced import Replaced
from vbatch.api.retrying import Memory, Selection, chosen
from vbatch.api.summary import Summary
from vbatch.api.tally import Live
from vbatch.api.todo import Todo
from vbatch.api.wiring import limiter_of, loader_of, manifest_of, slots_of
from vbatch.endpoint.budget import ByteBudget
from vbatch.endpoint.client import Client
from vbatch.endpoint.settings import settings_of
from vbatch.engine.breakers import Breakers
from vbatch.engine.feed import Feed
from vbatch.engine.local import Engine
from vbatch.engine.outcomes import Origin
from vbatch.engine.preparing import Preparing
from vbatch.engine.worker import Worker
from vbatch.errors import Exit, JournalError
from vbatch.records import ProgressView, Stop
from vbatch.sink.layout import Layout
from vbatch.sink.log import Log
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.views import Standing
from vbatch.state import Counts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from vbatch.clock import Clock
    from vbatch.endpoint.limits import Limiter
    from vbatch.job import Job
    from vbatch.records import Event, ManifestScan, Outcome
    from vbatch.sink.history import History

TICK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller wants of this invocation beside the job.

    ``again`` is the command that goes on from here, for the closing line.
    """

    limit: int | None = None
    fresh: bool = False
    accept_change: bool = False
    changed_images: bool = False
    selection: Selection | None = None
    again: str = ""


class Session:
    """One invocation on a run: ``async with session: async for outcome in session``.

    ``summary`` is there once the block has ended. ``on_tick`` is called about once a second.
    Raises JobError, ManifestError or JournalError on entering, before anything is sent.
    """

    summary: Summary
    _folder: RunFolder
    _history: History
    _scan: ManifestScan
    _todo: Todo
    _live: Live
    _client: Client
    _limiter: Limiter
    _breakers: Breakers
    _engine: Engine

    def __init__(self, job: Job, wish: Wish, *, clock: Clock) -> None:
        self.job = job
        self.on_tick: Callable[[], None] = lambda: None
        self._wish = wish
        self._clock = clock
        self._invocation = secrets.token_hex(6)
        self._stack = AsyncExitStack()
        self._started = clock.monotonic()
        self._stop_first: Stop | None = None
        self._running = False

    async def __aenter__(self) -> Self:
        try:
            await self._take_the_run()
            await self._read_the_manifest()
            await self._choose_rows()
            await self._reach_the_endpoint()
            await self._begin()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        outcome = await anext(self._engine)
        self._live.add(outcome, self._clock.monotonic())
        return outcome

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._engine.__aexit__(kind, error, traceback)
        finally:
            await self._finish()

    def stop(self, stop: Stop) -> None:
        """Send nothing more; keep the answers that are on their way."""
        if self._running:
            self._engine.stop(stop)
        else:
            self._stop_first = self._stop_first or stop

    def cancel(self) -> None:
        """Give up the answers that are on their way."""
        if self._running:
            self._engine.cancel()

    def view(self) -> ProgressView:
        """How far the run is now."""
        sums = self._live.sums()
        state = self._limiter.state
        now = self._clock.monotonic()
        rate = self._live.rows_per_s(now)
        left = self._left()
        return ProgressView(
            total=self._rows(),
            answered=self._live.total_answered,
            failed=self._live.total_failed,
            tokens=sums.total_tokens,
            in_flight=state.in_flight,
            waiting_reason=state.reason,
            rows_per_s=rate,
            eta_s=left / rate if rate else None,
            cost=sums.cost,
        )

    async def _take_the_run(self) -> None:
        """Lock the run, and see that it asks what this job asks."""
        self.job.require_key()
        self._folder = await asyncio.to_thread(
            RunFolder.open,
            self.job.output,
            clock=self._clock,
            invocation=self._invocation,
            fresh=self._wish.fresh,
        )
        self._stack.callback(self._folder.close)
        self._log = Log(
            self._hidden / "log",
            invocation=self._invocation,
            clock=self._clock,
            secrets=self.job.secrets,
        )
        self._history = await asyncio.to_thread(self._folder.history)
        if self._wish.selection is None:
            check_question(
                self._folder.kept,
                self.job,
                has_answers=self._folder.has_answers,
                accept=self._wish.accept_change,
            )

    async def _read_the_manifest(self) -> None:
        """Scan it once, with the types that the run's tables have, and keep what it was asked."""
        kept = self._folder.kept
        self._manifest = manifest_of(self.job, kept.template_columns if kept else ())
        settled = kept is not None and (self._history.answered or self._history.failed)
        types = (kept.carried_schema, kept.given_schema) if kept and settled else None
        self._scan = await asyncio.to_thread(self._manifest.scan, kept=types)
        if self._wish.selection is None:
            columns = self._manifest.template_columns
            self._folder.keep(to_keep(kept, self.job, self._scan, columns))

    async def _choose_rows(self) -> None:
        history, selection = self._history, self._wish.selection
        ids = None
        if selection is not None:
            done_by = self._memory().begin(selection, self._invocation)
            ids = chosen(
                selection,
                failures=((f.id, f.code, f.invocation) for f in history.failures()),
                answers=(
                    (row["id"], row["finish_reason"], row["invocation"])
                    for row in history.answers(("finish_reason", "invocation"))
                ),
                done_by=done_by,
            )
        self._live = Live(history=history)
        self._todo = Todo(history=history, job_digest=self._run_digest(), chosen=ids)

    async def _reach_the_endpoint(self) -> None:
        self._label = label(self.job)
        self.job = await self._stack.enter_async_context(with_endpoint(self.job, self._clock))
        self._slots = slots_of(self.job)
        settings = settings_of(self.job, connections=self._slots)
        self._client = await self._stack.enter_async_context(Client(settings, clock=self._clock))

    async def _begin(self) -> None:
        self._loader = loader_of(self.job, self._manifest, self._clock)
        self._stack.push_async_callback(self._loader.close)
        if self._wish.changed_images:
            self._todo.changed = await asyncio.to_thread(Replaced, self._history, self._loader)
        await self._folder.start()
        feed = Feed(
            self._manifest.rows(self._scan), wanted=self._todo.wanted, limit=self._wish.limit
        )
        self._asker = self._worker()
        self._engine = Engine(feed, self._asker, slots=self._slots)
        await self._engine.__aenter__()
        self._running = True
        self._log.tell(
            f"began, pid {os.getpid()}: {self._rows():,} rows, {self._live.total_answered:,} "
            f"answered before; asks {self.job.model} at {self._label}, {self._slots} at once"
        )
        ticking = asyncio.create_task(self._tick())
        self._stack.push_async_callback(_end, ticking)
        if self._stop_first is not None:
            self._engine.stop(self._stop_first)

    def _worker(self) -> Worker:
        job, limits = self.job, self.job.limits
        self._limiter = limiter_of(job, self._slots, self._clock)
        self._breakers = Breakers(limits, address=job.base_url, timeout_s=job.retry.timeout)
        return Worker(
            job=job,
            origin=Origin(
                invocation=self._invocation,
                job_digest=job.digest,
                run_digest=self._run_digest(),
                endpoint=self._label,
                model=job.model,
                max_ambiguous=job.retry.max_ambiguous,
                price=job.price,
            ),
            preparing=Preparing(
                self._loader, ByteBudget(limits.max_bytes_in_flight, clock=self._clock)
            ),
            client=self._client,
            limiter=self._limiter,
            breakers=self._breakers,
            record=self._record,
            past=self._todo.past,
            clock=self._clock,
            stop_run=self._stop_engine,
        )

    def _stop_engine(self, stop: Stop) -> None:
        self._engine.stop(stop)

    async def _record(self, event: Event) -> None:
        await self._folder.record(event)
        self._live.events.fold(event)

    async def _tick(self) -> None:
        """Once a second: run.json, the caller's progress, and the time limit."""
        longest = self.job.limits.max_duration
        while True:
            await self._clock.sleep(TICK_S)
            if longest is not None and self._clock.monotonic() - self._started > longest:
                self._engine.stop(_OUT_OF_TIME)
            with contextlib.suppress(JournalError):
                await self._folder.snapshot(self._standing(), self._live.events)
            self._log.tell_change(_waits(self._limiter.state.reason))
            self.on_tick()

    async def _finish(self) -> None:
        self._running = False
        stop = self._engine.stopped
        summary = self._summary(stop)
        if self._wish.selection is not None and stop is None:
            self._memory().finish()
        try:
            await self._folder.finish(self._standing(summary))
        except JournalError as error:
            stop = Stop(exit_code=error.exit_code, code="storage", message=error.message)
            summary = self._summary(stop)
        self._log.tell(summary.line())
        self.summary = summary
        await self._stack.aclose()

    def _summary(self, stop: Stop | None) -> Summary:
        live, sums = self._live, self._live.sums(ended=True)
        return Summary(
            run=Path(self.job.output),
            invocation=self._invocation,
            rows=self._rows(),
            answered=live.answered,
            failed=live.failed,
            total_answered=live.total_answered,
            total_failed=live.total_failed,
            left=self._left() if stop or self._wish.limit else 0,
            possibly_billed=sums.possibly_billed,
            requests=sums.requests,
            total_tokens=sums.total_tokens,
            cost=sums.cost,
            at_least=bool(sums.unreported) or self._folder.at_least,
            elapsed_s=self._clock.monotonic() - self._started,
            stop=stop,
            codes=dict(live.codes),
            finish_reasons=dict(live.endings),
            notices=self._notices(),
            again=self._wish.again if stop else self._what_next(),
        )

    def _standing(self, summary: Summary | None = None) -> Standing:
        live = self._live
        sums = live.sums(ended=summary is not None)
        return Standing(
            name=self.job.name,
            counts=Counts(
                rows=self._rows(),
                answered=live.total_answered,
                failed=live.total_failed,
                left=self._left() if summary is None else summary.left,
                possibly_billed=sums.possibly_billed,
            ),
            stop=summary.stop if summary else None,
            exit_code=summary.exit_code if summary else None,
            waiting=None if summary else self._limiter.state.reason,
            suspects=self._client.suspect_ids,
        )

    def _rows(self) -> int:
        """Rows of the manifest; those that ask the same under one id count once."""
        return self._scan.rows - self._scan.repeated

    def _left(self) -> int:
        return max(0, self._rows() - self._live.total_answered - self._live.total_failed)

    def _notices(self) -> tuple[str, ...]:
        suspects = len(self._client.suspect_ids)
        notices = [self._breakers.notice, self._merged_detail()]
        if suspects:
            notices.append(
                f"{suspects} answers came on a connection that brought answers nobody asked for: "
                "see suspect in run.json"
            )
        return tuple(notice for notice in notices if notice)

    def _merged_detail(self) -> str | None:
        if not self._asker.detail_merged:
            return None
        return "images of one row asked for different detail: the highest was sent for all"

    def _what_next(self) -> str:
        return f"vbatch retry {self.job.output}" if self._live.failed else ""

    @property
    def _hidden(self) -> Path:
        return Layout(root=self._folder.path).hidden

    def _memory(self) -> Memory:
        return Memory(self._hidden / "retry.json")

    def _run_digest(self) -> str:
        """The job digest of the run itself, which a retry with other settings does not change."""
        kept = self._folder.kept
        return kept.job_digest if kept and self._wish.selection else self.job.digest


_OUT_OF_TIME = Stop(
    exit_code=Exit.TRY_LATER,
    code="max_duration",
    message="limits.max_duration is over",
)


def _waits(reason: str | None) -> str:
    """What of a wait is worth a line: not the ordinary pacing."""
    return f"waiting: {reason}" if reason and ("endpoint" in reason) else ""


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
