"""One invocation, from the lock to the closing line: wires source → engine → sink."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path  # noqa: TC003 - in annotations of a class body
from typing import TYPE_CHECKING, Self

from vbatch.api.chores import OUT_OF_TIME, Chores
from vbatch.api.endpoint import label, with_endpoint
from vbatch.api.question import check_question, reach_digest, to_keep, with_columns
from vbatch.api.remembered import Remembered
from vbatch.api.replaced import Replaced
from vbatch.api.retrying import Memory, Selection, answers_of, chosen
from vbatch.api.secrecy import keeping_secret
from vbatch.api.sharing import ledger_of
from vbatch.api.spending import spending_of
from vbatch.api.summary import Summary  # noqa: TC001 - as above
from vbatch.api.taking import taken
from vbatch.api.tally import Live
from vbatch.api.teller import Teller
from vbatch.api.todo import Todo
from vbatch.api.watch import Watch
from vbatch.api.wiring import limiter_of, loader_of, manifest_of, preparing_of, same_of, slots_of
from vbatch.endpoint.client import Client
from vbatch.endpoint.settings import settings_of
from vbatch.engine.breakers import Breakers
from vbatch.engine.feed import Feed
from vbatch.engine.local import Engine, stop_for
from vbatch.engine.outcomes import Origin
from vbatch.engine.worker import Worker
from vbatch.errors import JournalError, Locked, redact
from vbatch.records import ProgressView, Stop  # noqa: TC001 - as above
from vbatch.sink.layout import Layout
from vbatch.sink.log import Log
from vbatch.sink.run_folder import RunFolder
from vbatch.state import sum_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from vbatch.clock import Clock
    from vbatch.endpoint.limits import Limiter
    from vbatch.job import Job
    from vbatch.records import Event, ManifestScan, Outcome
    from vbatch.sink.history import History

MOST_COUNTED = 20_000
"""Unread rows that are looked at to say how many are left; beyond, it is an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller wants of this invocation beside the job.

    ``again`` is the command that goes on from here, for the closing line; ``whole`` the run's own,
    for when a retry is through and rows of the run are still to do.
    """

    limit: int | None = None
    fresh: bool = False
    accept_change: bool = False
    changed_images: bool = False
    selection: Selection | None = None
    again: str = ""
    whole: str = ""


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
    _teller: Teller
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
        self._running = self._cancelled = False
        self.begun = False
        """Whether requests may have been sent: before, there is nothing to wait for."""
        self._chores = Chores(clock)

    async def __aenter__(self) -> Self:
        try:
            with keeping_secret(self.job.secrets):
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
        return await anext(self._engine)

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
        self._cancelled = True
        if self._running:
            self._engine.cancel()

    def view(self) -> ProgressView:
        """How far the run is now."""
        return self._teller.view()

    @property
    def on_their_way(self) -> list[str]:
        """Ids of the rows whose request is out: given up, it is possibly billed."""
        return [row_id for _, row_id in list(self._live.events.open)] if self.begun else []

    @property
    def again(self) -> str:
        """The command that goes on from here."""
        return redact(self._wish.again, self.job.secrets)

    def so_far(self, stop: Stop) -> Summary | None:
        """What the invocation came to if the process ends now; None if it has not begun."""
        if not self.begun:
            return None
        at_least = self._folder.at_least
        return self._teller.summary(stop, left=self._teller.left(), at_least=at_least)

    def confess(self, story: str) -> Path | None:
        """Put a bug's traceback into the run's log; returns it, None where there is none yet."""
        if not hasattr(self, "_log"):
            return None
        for line in story.splitlines():
            self._log.tell(line)
        return self._hidden / "log"

    async def _take_the_run(self) -> None:
        """Lock the run, and see that it asks what this job asks."""
        self.job.require_key()
        if self._wish.fresh:  # nothing is renamed for a manifest that cannot be read
            await asyncio.to_thread(manifest_of(self.job).scan)
        take = partial(
            RunFolder.open,
            self.job.output,
            clock=self._clock,
            invocation=self._invocation,
            fresh=self._wish.fresh,
        )
        self._folder = await taken(take, self.job.retry.drain)
        self._stack.callback(self._folder.close)
        self._log = Log(
            self._hidden / "log",
            invocation=self._invocation,
            clock=self._clock,
            secrets=self.job.secrets,
        )
        self._history = await asyncio.to_thread(self._folder.history)
        before = self._folder.tallies.closed()
        self._billed_before = sum_of(before.by_key.values()).possibly_billed
        self._prices, self._budgets = await spending_of(self.job, before)
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
        self._loader = loader_of(self.job, self._manifest, self._clock)
        types = (kept.carried_schema, kept.given_schema) if kept and settled else None
        remembered = self._remembered = Remembered(self._hidden, self._invocation, self._clock)
        self._scan = await asyncio.to_thread(remembered.scan, self._manifest, kept=types)
        columns = self._manifest.template_columns
        if self._wish.selection is None:
            self._folder.keep(to_keep(kept, self.job, self._scan, columns))
        elif kept is not None:
            self._folder.keep(with_columns(kept, columns))

    async def _choose_rows(self) -> None:
        history, selection = self._history, self._wish.selection
        ids = None
        if selection is not None:
            done_by = self._memory().begin(selection, self._invocation)
            ids = await asyncio.to_thread(
                chosen,
                selection,
                failures=((f.id, f.code, f.invocation) for f in history.failures()),
                answers=answers_of(history),
                done_by=done_by,
            )
        self._live = Live(history=history)
        self._todo = Todo(
            history=history,
            job_digest=self._run_digest(),
            reach_digest=self._reach_digest(),
            chosen=ids,
            asks_answered=selection is not None and selection.finish_reason is not None,
        )

    async def _reach_the_endpoint(self) -> None:
        self._label = label(self.job)
        self._ledger = self._stack.enter_context(ledger_of(self.job))
        self.job = await self._stack.enter_async_context(with_endpoint(self.job, self._clock))
        self._slots = slots_of(self.job)
        settings = settings_of(self.job, connections=self._slots)
        self._client = await self._stack.enter_async_context(Client(settings, clock=self._clock))

    async def _begin(self) -> None:
        self._stack.push_async_callback(self._loader.close)
        if self._wish.changed_images:
            self._todo.changed = await asyncio.to_thread(Replaced, self._history, self._loader)
            self._todo.asks_answered = True
        done = await asyncio.to_thread(self._remembered.done, self._history)
        await self._folder.start()
        rows = self._todo.rows(self._manifest, self._scan, done)
        self._feed = Feed(rows, wanted=self._todo.wanted, limit=self._wish.limit)
        worker = self._worker()
        self._watch = Watch(worker, self._live, clock=self._clock, timeout_s=self.job.retry.timeout)
        self._teller = Teller(
            job=self.job,
            invocation=self._invocation,
            rows=self._scan.rows - self._scan.repeated,
            live=self._live,
            worker=worker,
            watch=self._watch,
            clock=self._clock,
            started=self._started,
            again=self._wish.again,
            whole=self._wish.whole or self._wish.again,
            billed_before=self._billed_before,
        )
        self._engine = Engine(self._feed, worker, slots=self._slots, drain_s=self.job.retry.drain)
        await self._keep_standing()  # killed from here on, it stands as killed
        await self._engine.__aenter__()
        self._running = self.begun = True
        self._log.tell(
            f"began, pid {os.getpid()}: {self._teller.rows:,} rows, {self._live.total_answered:,} "
            f"answered before; asks {self.job.model} at {self._label}, {self._slots} at once"
        )
        self._chores.tick(self._look, self._keep_standing, failed=self._log.tell)
        if (longest := self.job.limits.max_duration) is not None:
            left = max(0.0, longest - (self._clock.monotonic() - self._started))
            self._chores.after(left, partial(self._engine.stop, OUT_OF_TIME))
        if self._stop_first is not None:
            self._engine.stop(self._stop_first)
        if self._cancelled:
            self._engine.cancel()

    def _worker(self) -> Worker:
        job, limits = self.job, self.job.limits
        self._limiter = limiter_of(job, self._slots, self._clock, self._ledger)
        same = None if self._wish.selection else same_of(job, self._hidden, self._stack)
        return Worker(
            job=job,
            origin=Origin(
                invocation=self._invocation,
                job_digest=job.digest,
                run_digest=self._run_digest(),
                reach_digest=self._reach_digest(),
                endpoint=self._label,
                model=job.model,
                max_ambiguous=job.retry.max_ambiguous,
                price=self._prices,
            ),
            preparing=preparing_of(job, self._loader, self._clock),
            client=self._client,
            limiter=self._limiter,
            breakers=Breakers(limits, address=job.base_url, timeout_s=job.retry.timeout),
            budgets=self._budgets,
            record=self._record,
            past=self._todo.past,
            same=same,
            clock=self._clock,
            stop_run=lambda stop: self._engine.stop(stop),  # noqa: PLW0108 - it comes later
        )

    async def _record(self, event: Event) -> None:
        """Count what is written: that goes on also where nobody waits for it any more."""
        try:
            await self._folder.record(event)
        except asyncio.CancelledError:
            self._live.fold(event, self._clock.monotonic())
            raise
        self._live.fold(event, self._clock.monotonic())

    async def _look(self) -> None:
        told = len(self._watch.notices)
        self._watch.look()
        for notice in self._watch.notices[told:]:
            self._log.tell(notice)
        self.on_tick()

    async def _keep_standing(self) -> None:
        """Apart from looking, so that a disk that hangs does not hide that it does."""
        with contextlib.suppress(JournalError):
            await self._folder.snapshot(self._teller.standing(), self._live.events)
        if isinstance(self._folder.trouble, Locked):
            self._engine.stop(stop_for(self._folder.trouble))

    async def _finish(self) -> None:
        """Say the last word. Whatever goes wrong here, the run's folder is let go of."""
        self._running = False
        try:
            await self._chores.end()
            self.summary = await self._wound_up(self._engine.stopped)
            if (stop := self.summary.stop) is None or stop.code != "locked":  # else another's log
                self._log.tell(self.summary.line())
        finally:
            await self._stack.aclose()

    async def _wound_up(self, stop: Stop | None) -> Summary:
        left = await self._count_left(stop)
        at_least = self._folder.at_least
        summary = self._teller.summary(stop, left=left, at_least=at_least)
        try:
            await self._folder.finish(self._teller.standing(summary))
        except JournalError as error:
            return self._teller.summary(stop_for(error), left=left, at_least=at_least)
        if self._wish.selection is not None and stop is None:
            self._memory().finish()
        return summary

    async def _count_left(self, stop: Stop | None) -> int:
        """Rows still to do, exactly where that does not mean reading on for long."""
        if self._wish.selection is not None:
            return self._teller.left()
        if stop is None and self._wish.limit is None:
            return 0
        unread = None
        if not self._cancelled:
            unread = await asyncio.to_thread(self._feed.left, MOST_COUNTED)
        if unread is None:
            return self._teller.left()
        return unread + self._feed.handed - self._live.answered - self._live.failed

    @property
    def _hidden(self) -> Path:
        return Layout(root=self._folder.path).hidden

    def _memory(self) -> Memory:
        return Memory(self._hidden / "retry.json")

    def _reach_digest(self) -> str:
        return reach_digest(self.job, self._run_digest(), self._manifest.root)

    def _run_digest(self) -> str:
        """The job digest of the run itself, which a retry with other settings does not change."""
        kept = self._folder.kept
        return kept.job_digest if kept and self._wish.selection else self.job.digest
