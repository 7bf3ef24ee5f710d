"""A run's folder while one invocation works on it: the one door to everything in this room."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from vbatch.errors import Locked, Mismatch, StorageFull
from vbatch.sink import views
from vbatch.sink.books import Books
from vbatch.sink.fence import Fenced
from vbatch.sink.history import History
from vbatch.sink.journal import Journal, Rolling
from vbatch.sink.kept import Kept, keep, read_kept
from vbatch.sink.layout import Layout
from vbatch.sink.lock import Lock
from vbatch.sink.premises import make_folders, refuse_foreign, set_aside
from vbatch.sink.recorder import Recorder
from vbatch.sink.recovery import recover
from vbatch.sink.schemas import schemas_of
from vbatch.sink.storage import Storage, is_out_of_files, probe, storage_errors
from vbatch.sink.trust import refuse_planted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vbatch.clock import Clock
    from vbatch.records import Event
    from vbatch.sink.journal import Closed
    from vbatch.sink.views import Standing
    from vbatch.state import Tallies

P = ParamSpec("P")


class RunFolder:
    """Made by ``open``; ends with ``finish``, or with ``close`` where nothing is to be said.

    In between: ``keep``, ``history``, ``start``, then ``record`` from one event loop.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        lock: Lock,
        clock: Clock,
        invocation: str,
        storage: Storage,
        rolling: Rolling,
    ) -> None:
        self._layout = layout
        self._lock = lock
        self._clock = clock
        self._invocation = invocation
        self._storage = storage
        self._rolling = rolling
        self._kept = read_kept(layout)
        schemas = None if self._kept is None else schemas_of(self._kept)
        self._books = Books(layout, storage, schemas)
        self._recorder: Recorder | None = None
        self._to_commit: deque[Closed] = deque()
        self._ending = False
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="vbatch-commit")

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        clock: Clock,
        invocation: str,
        fresh: bool = False,
        brief: bool = False,
        storage: Storage | None = None,
        rolling: Rolling = Rolling(),  # noqa: B008 - a frozen value
    ) -> RunFolder:
        """Take the run at ``path``, made if it is not there, and bring its tables up to date.

        ``fresh``: a run that is there is renamed first. ``brief``: only to look and let go at once,
        so that others wait for it. Raises ``Locked`` naming the holder, ``StorageFull`` if the
        folder cannot be written, ``Mismatch`` for a folder that is something else or from a newer
        vbatch, ``Corrupt`` for damage that no kill explains.
        """
        layout = Layout(root=Path(path))
        storage = storage or Storage()
        refuse_planted(layout)
        if fresh and layout.hidden.is_dir():
            set_aside(layout, clock, storage)
        refuse_foreign(layout)
        make_folders(layout, storage)
        lock = Lock(layout.lock, clock, brief=brief)
        storage = Fenced(storage, lock)
        try:
            probe(storage, layout.hidden)
            probe(storage, layout.root)
            folder = cls(
                layout,
                lock=lock,
                clock=clock,
                invocation=invocation,
                storage=storage,
                rolling=rolling,
            )
            recover(layout, storage, folder._books, boot=lock.holder.boot)
        except BaseException:
            lock.release()
            raise
        return folder

    @property
    def path(self) -> Path:
        """Where the run lies."""
        return self._layout.root

    @property
    def kept(self) -> Kept | None:
        """The job and profile of earlier invocations, None for a new run."""
        return self._kept

    def keep(self, kept: Kept) -> None:
        """Keep these from now on. Once there are rows, the schemas must stay what they were."""
        schemas = schemas_of(kept)
        known = self._books.schemas
        has_rows = any(self._books.commit.parts.values())
        if known and has_rows and (schemas.carried, schemas.given) != (known.carried, known.given):
            raise Mismatch(
                f"the columns of {self.path} are settled: scan the manifest with the kept ones"
            )
        keep(kept, self._layout, self._storage)
        self._kept, self._books.schemas = kept, schemas

    @property
    def has_answers(self) -> bool:
        """Whether any row of the run is answered."""
        return bool(self._books.commit.parts["results"])

    @property
    def tallies(self) -> Tallies:
        """What all invocations came to, as far as committed; complete after ``finish``."""
        return self._books.commit.tallies

    @property
    def at_least(self) -> bool:
        """Whether a power cut may have lost some of what the tallies should count."""
        return self._books.commit.power_cut

    def history(self) -> History:
        """What earlier invocations came to."""
        return History(self._layout, self._books.commit, self._books.index)

    async def start(self) -> None:
        """Open the journal, and end what a kill left open. Needs a ``keep`` before."""
        await self._aside(self._books.prepare)
        journal = Journal(
            self._layout,
            number=self._books.commit.n + 1,
            boot=self._lock.holder.boot,
            clock=self._clock,
            storage=self._storage,
        )
        self._recorder = Recorder(
            journal,
            lock=self._lock,
            clock=self._clock,
            rolling=self._rolling,
            on_closed=self._commit_soon,
        )
        left_open = list(self._books.commit.tallies.abandoned_asks())
        await asyncio.gather(*(self._recorder.record(event) for event in left_open))

    def record(self, event: Event) -> Awaitable[None]:
        """Awaited, return when the event is in the journal; raises as ``Recorder.record``."""
        if self._recorder is None:
            raise RuntimeError("record before start")
        return self._recorder.record(event)

    @property
    def trouble(self) -> Exception | None:
        """Why no request may be sent any more, None while all is well."""
        return None if self._recorder is None else self._recorder.trouble

    async def snapshot(self, standing: Standing, live: Tallies | None = None) -> None:
        """Write run.json while at work; ``live`` counts this invocation's events up to now.

        A disk that refuses shows as ``trouble``, as it does for everything written in between.
        Once ``finish`` or ``close`` has begun nothing is written: theirs is the last word.
        """
        if self._ending:
            return
        now = None if live is None else live.copy()
        try:
            await self._aside(self._put_run_json, "running", standing, now)
        except (StorageFull, Locked) as error:
            self._refuse(error)

    async def finish(self, standing: Standing) -> None:
        """Close the journal, bring tables and views up to date, and let go of the run.

        Raises ``StorageFull`` where the disk does not allow it: nothing recorded is lost, the next
        command does it.
        """
        self._ending = True
        try:
            if self._recorder is not None:
                if isinstance(self._recorder.trouble, Locked):
                    raise self._recorder.trouble
                self._to_commit += await self._recorder.close()
                self._recorder = None
            await self._aside(self._wind_up, standing)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the run as it is; what was recorded is found by the next command."""
        self._ending = True
        if self._recorder is not None:
            self._recorder.abandon()
            self._recorder = None
        self._committer.shutdown()
        self._lock.release()

    def _commit_soon(self, closed: Closed) -> None:
        self._to_commit.append(closed)
        if self.trouble is None:
            committing = asyncio.get_running_loop().run_in_executor(self._committer, self._commit)
            committing.add_done_callback(self._committed)

    def _committed(self, committing: asyncio.Future[None]) -> None:
        error = None if committing.cancelled() else committing.exception()
        if isinstance(error, Exception):
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, StorageFull) and is_out_of_files(error):
            return  # what was not done is done by the next commit, or at the end
        if self._recorder is not None:
            self._recorder.refuse(error)

    def _commit(self) -> None:
        self._commit_all()
        views.put_usage(self._storage, self._layout, self.tallies)

    def _commit_all(self) -> None:
        """Commit what is closed, oldest first; what fails stays for ``finish``."""
        while self._to_commit:
            self._lock.confirm()
            self._books.commit_segment(self._to_commit[0])
            self._to_commit.popleft()

    def _wind_up(self, standing: Standing) -> None:
        with storage_errors(self._layout.reserve):
            self._storage.remove(self._layout.reserve)
        self._commit_all()
        self._books.tidy()
        if self._kept is not None:
            self._books.place_empty_tables()
        views.put_usage(self._storage, self._layout, self.tallies.closed())
        views.put_readme(self._storage, self._layout, self._books.commit, standing)
        self._put_run_json("finished" if standing.stop is None else "stopped", standing, None)

    def _put_run_json(self, state: str, standing: Standing, live: Tallies | None) -> None:
        """What is on its way counts as possibly billed once nobody waits for it any more."""
        commit = self._books.commit
        tallies = commit.tallies.closed()
        if state == "running":
            now = commit.tallies if live is None else live
            own = {k: v for k, v in now.by_key.items() if k[0] == self._invocation}
            earlier = {k: v for k, v in tallies.by_key.items() if k[0] != self._invocation}
            tallies = replace(tallies, by_key={**earlier, **own})
        views.put_run_json(
            self._storage,
            self._layout,
            standing,
            state=state,
            holder=self._lock.holder,
            invocation=self._invocation,
            job_digest=None if self._kept is None else self._kept.job_digest,
            tallies=tallies,
            power_cut=commit.power_cut,
            now=self._clock.time(),
        )

    async def _aside(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._committer, partial(work, *args, **kwargs))
