"""Events from the event loop into the journal: one writer thread, a batch per turn of the loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Literal

from vbatch.errors import JournalError, StorageFull
from vbatch.sink import codec
from vbatch.sink.lock import Moved
from vbatch.sink.room import Room
from vbatch.sink.storage import is_out_of_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.clock import Clock
    from vbatch.records import Event
    from vbatch.sink.journal import Closed, Journal, Rolling
    from vbatch.sink.lock import Lock

SYNC_AFTER_S = 0.1
"""After the first write since the last sync; the sync itself has another 100 ms."""
GATHER_S = 0.001
"""What comes within it goes to the writer thread together, where more than one came the last time.

At 64 in flight a batch is nine records instead of two: a sixth of a small request's CPU, which two
threads spend on waking each other up.
"""
_LINE_ENTRIES = 256


@dataclass(slots=True, kw_only=True)
class _Batch:
    """What goes to the writer thread, and what comes back from it."""

    entries: list[codec.Entry]
    futures: list[asyncio.Future[None]]
    fall_back: bool = False
    error: Exception | None = None
    late_error: StorageFull | None = None
    closed: list[Closed]


class Recorder:
    """Records events in the order of their ``record``, from one event loop.

    ``on_closed`` hears of each segment that became long enough. When the disk fails, requests to
    come are refused with ``StorageFull``, and what was already asked finds room in the reserve.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        lock: Lock,
        clock: Clock,
        rolling: Rolling,
        on_closed: Callable[[Closed], None],
    ) -> None:
        self._journal = journal
        self._lock = lock
        self._clock = clock
        self._rolling = rolling
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._entries: list[codec.Entry] = []
        self._futures: list[asyncio.Future[None]] = []
        self._busy = False
        self._crowded = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._written = asyncio.Event()
        self._room = Room(journal.free_bytes)
        self._reserve: Literal["kept", "needed", "used"] = "kept"
        self._dead = False
        self._abandoned = False
        self.trouble: Exception | None = None
        self._jobs: SimpleQueue[_Batch | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="vbatch-journal", daemon=True)
        self._writer.start()
        self._side = ThreadPoolExecutor(1, thread_name_prefix="vbatch-sync")
        self._pacing = asyncio.create_task(self._pace())

    async def record(self, event: Event) -> None:
        """Return when the event outlives this process.

        Raises ``StorageFull`` for a request about to be sent once the disk has failed, and for
        everything once the reserve is used up too; ``Locked`` if the run was taken meanwhile.
        """
        entry = codec.entry(event)
        if self.trouble is not None and (self._dead or entry[0] == codec.ASKED):
            raise _again(self.trouble)
        future = self._loop.create_future()
        self._entries.append(entry)
        self._futures.append(future)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._send_soon()
        await future
        if entry[0] == codec.ASKED and self._lock.stale:  # slept since, and may have lost the run
            await self._aside(self._lock.confirm)
            if self.trouble is not None:
                raise _again(self.trouble)

    def refuse(self, trouble: Exception) -> None:
        """Take no more requests to come, because of this."""
        self.trouble = self.trouble or trouble

    async def close(self) -> list[Closed]:
        """Write and sync what is left, close the segment; return those to be committed."""
        await self._idle.wait()
        self._pacing.cancel()
        await asyncio.wait([self._pacing])
        self._jobs.put(None)
        try:
            return await self._loop.run_in_executor(self._side, self._seal)
        finally:
            self._side.shutdown()

    def abandon(self) -> None:
        """Stop without waiting for anybody; what is not written yet is lost."""
        self._abandoned = True
        self._pacing.cancel()
        self._jobs.put(None)
        self._writer.join()
        self._side.shutdown()
        self._journal.abandon()

    def _seal(self) -> list[Closed]:
        self._writer.join()
        try:
            self._lock.confirm()
        except Moved:
            self._journal.sync()
            raise
        try:
            return [self._journal.seal()]
        except StorageFull:
            if self._reserve == "used":
                raise
        return [self._journal.fall_back(), self._journal.seal()]

    def _send_soon(self) -> None:
        if self._crowded:
            self._loop.call_later(GATHER_S, self._send)
        else:
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Hand everything that has come together to the writer thread."""
        batch = _Batch(entries=self._entries, futures=self._futures, closed=[])
        self._entries, self._futures = [], []
        self._crowded = len(batch.entries) > 1
        if self._reserve == "needed":
            batch.fall_back = True
            self._reserve = "used"
        self._jobs.put(batch)

    def _write_all(self) -> None:
        while (batch := self._jobs.get()) is not None:
            try:
                self._write(batch)
            except Exception as error:  # noqa: BLE001 - a bug must reach whoever waits
                batch.error = error
            with suppress(RuntimeError):  # the loop was closed under a run that was given up
                self._loop.call_soon_threadsafe(self._settle, batch)

    def _write(self, batch: _Batch) -> None:
        try:
            self._lock.confirm()
        except Moved as error:  # the open segment went along: answers still find their way
            if any(entry[0] == codec.ASKED for entry in batch.entries):
                raise
            batch.late_error = error
        if batch.fall_back:
            batch.closed.append(self._journal.fall_back())
        entries = batch.entries
        bodies = [
            codec.dumps(entries[start : start + _LINE_ENTRIES])
            for start in range(0, len(entries), _LINE_ENTRIES)
        ]
        outcomes = sum(entry[0] in codec.AT_OUTCOME for entry in entries)
        self._journal.append(bodies, outcomes=outcomes)
        lack = self._room.lack(entries, sum(map(len, bodies)))
        batch.late_error = batch.late_error or lack
        try:
            if self._journal.due(self._rolling):
                batch.closed.append(self._journal.roll())
        except StorageFull as error:
            if not (self._journal.goes_on and is_out_of_files(error)):  # else a later batch rolls
                batch.late_error = error

    def _settle(self, batch: _Batch) -> None:
        """Back on the loop: tell those who wait, and send what came meanwhile."""
        if self._abandoned:
            return
        for closed in batch.closed:
            self._on_closed(closed)
        if batch.late_error is not None:
            self.refuse(batch.late_error)
        if batch.error is not None:
            self._fail(batch, batch.error)
            return
        for future in batch.futures:
            if not future.done():
                future.set_result(None)
        self._written.set()
        self._go_on()

    def _go_on(self) -> None:
        if self._entries:
            self._send_soon()
        else:
            self._busy = False
            self._idle.set()

    def _fail(self, batch: _Batch, error: Exception) -> None:
        """The disk failed: requests to come are refused, the rest goes to the reserve, once."""
        self.refuse(error)
        waiting = [
            *zip(batch.entries, batch.futures, strict=True),
            *zip(self._entries, self._futures, strict=True),
        ]
        self._entries, self._futures = [], []
        if not isinstance(error, Moved):
            self._dead = self._reserve == "used" or not isinstance(error, StorageFull)
            self._reserve = "used" if self._dead else "needed"
        for entry, future in waiting:
            if self._dead or entry[0] == codec.ASKED:
                _refuse(future, error)
            else:
                self._entries.append(entry)
                self._futures.append(future)
        self._go_on()

    async def _pace(self) -> None:
        """Sync in groups."""
        while True:
            await self._written.wait()
            await self._clock.sleep(SYNC_AFTER_S)
            self._written.clear()
            await self._aside(self._journal.sync)

    async def _aside(self, work: Callable[[], None]) -> None:
        try:
            await self._loop.run_in_executor(self._side, work)
        except JournalError as error:
            self._dead = self._dead or not isinstance(error, StorageFull)
            self.refuse(error)
        except Exception as error:  # noqa: BLE001 - without its chores a run is not safe, bug or no
            self.refuse(
                JournalError(
                    f"syncing the journal or reading the lock failed: {error!r}. Nothing more is "
                    "sent; run the same command again: nothing recorded is lost"
                )
            )


def _again(error: Exception) -> Exception:
    """A new exception of the same kind, so that tracebacks do not grow from raise to raise."""
    return type(error)(*error.args) if isinstance(error, JournalError) else error


def _refuse(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(_again(error))
