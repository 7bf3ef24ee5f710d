"""The journal being written: append, sync in groups, go on in the reserve when the disk fails.

Not for several writers: one thread appends and rolls, another one may sync meanwhile.
"""

from __future__ import annotations

import errno
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbatch.errors import StorageFull
from vbatch.sink import segments
from vbatch.sink.storage import ASIDE, is_there, publish, storage_errors, write_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbatch.clock import Clock
    from vbatch.sink.layout import Layout
    from vbatch.sink.storage import Storage

RESERVE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """When a segment is long enough to become parts: its outcomes are in memory then."""

    outcomes: int = 10_000
    size_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A segment that takes no more records, and the size in bytes up to which it counts."""

    number: int
    end: int


@dataclass(slots=True, kw_only=True)
class _Segment:
    """The segment that takes records; places in bytes. ``roomy``: has room that can be freed."""

    number: int
    path: Path
    fd: int
    seed: int
    end: int
    synced: int
    marked: int
    roomy: bool
    outcomes: int = 0


class Journal:
    """Writes segments from ``number`` on. Raises ``StorageFull``; never writes after a torn tail.

    ``boot`` names this start of the machine. A record outlives the process when ``append`` has
    returned, and a power cut when a ``sync`` that began later has.
    """

    def __init__(
        self, layout: Layout, *, number: int, boot: str, clock: Clock, storage: Storage
    ) -> None:
        self._layout = layout
        self._boot = boot
        self._clock = clock
        self._storage = storage
        self._counting = threading.Lock()
        self._syncing = threading.Lock()
        self._unsynced: list[bytes] = []
        self._broken: StorageFull | None = None
        self._reserve: int | None = self._make_reserve()
        self._now = self._begin(number, follows=None)

    @property
    def goes_on(self) -> bool:
        """Whether it can still be written to where it is."""
        return self._broken is None

    def append(self, bodies: Sequence[bytes], *, outcomes: int = 0) -> None:
        """Write records as one piece: all of them are kept, or none."""
        if self._broken is not None:
            raise self._broken
        now = self._now
        marks = [segments.mark(now.synced)] if now.synced > now.marked else []
        synced = now.synced
        data = segments.frame([*marks, *bodies], now.seed, now.end)
        with storage_errors(now.path):
            self._write(now, data)
        with self._counting:
            now.end += len(data)
            now.marked = synced
            now.outcomes += outcomes
            self._unsynced.extend(bodies)

    def free_bytes(self) -> int:
        """What the disk has left."""
        return self._storage.free_bytes(self._layout.journal)

    def due(self, rolling: Rolling) -> bool:
        """Whether the segment is long enough to be rolled."""
        return self._now.outcomes >= rolling.outcomes or self._now.end >= rolling.size_bytes

    def sync(self) -> None:
        """Bring what was appended so far onto the disk itself.

        After one failure it is never tried again on that file: the disk may have dropped the data
        and call the next attempt a success.
        """
        with self._syncing:
            self._sync()

    def roll(self) -> Closed:
        """Sync and close the segment, and begin the next.

        Where the next cannot be begun, records go on into this one.
        """
        with self._syncing:
            self._sync()
            old = self._now
            try:
                self._now = self._begin(old.number + 1, follows=old.end)
            except StorageFull as error:
                self._stop_if_followed(error)
                raise
            return self._close(old, old.end)

    def seal(self) -> Closed:
        """Sync and close the last segment."""
        with self._syncing:
            self._sync()
            self._close_reserve()
            return self._close(self._now, self._now.end)

    def fall_back(self) -> Closed:
        """Go on in the reserve; what the disk may not have of the segment before goes there too.

        All of it or nothing: where that fails, the segment before counts as far as it is whole.
        """
        with self._syncing:
            old = self._now
            again: list[bytes] = []
            end = old.end
            try:
                self._sync()
            except StorageFull:
                again, end = self._unsynced, old.synced
            try:
                with storage_errors(self._layout.reserve):
                    self._now = self._begin_in_reserve(old.number + 1, end, again)
            except StorageFull as error:
                self._close_reserve()
                self._stop_if_followed(error)
                raise
            self._now.outcomes = old.outcomes if again else 0
            self._broken, self._unsynced = None, []
            return self._close(old, end)

    def abandon(self) -> None:
        """Close without a last word; the next command finds what was appended."""
        with self._syncing:
            self._close_reserve()
            self._close(self._now, self._now.end)

    def _stop_if_followed(self, error: StorageFull) -> None:
        """A successor that has its name says where this segment ends: it must not grow."""
        with suppress(OSError):
            if not is_there(self._layout.segment(self._now.number + 1)):
                return
        self._broken = self._broken or error

    def _close(self, segment: _Segment, end: int) -> Closed:
        with suppress(OSError):
            self._storage.close(segment.fd)
        return Closed(number=segment.number, end=end)

    def _close_reserve(self) -> None:
        fd, self._reserve = self._reserve, None
        if fd is not None:
            with suppress(OSError):
                self._storage.close(fd)

    def _sync(self) -> None:
        if self._broken is not None:
            raise self._broken
        with self._counting:
            now, end, count = self._now, self._now.end, len(self._unsynced)
        if end == now.synced:
            return
        try:
            with storage_errors(now.path):
                self._storage.sync(now.fd)
        except StorageFull as error:
            self._broken = error
            raise
        with self._counting:
            now.synced = end
            del self._unsynced[:count]

    def _write(self, now: _Segment, data: bytes) -> None:
        try:
            write_all(self._storage, now.fd, data, now.end)
        except OSError:
            self._storage.cut(now.fd, now.end)
            if not now.roomy:
                raise
            now.roomy = False
            self._write(now, data)

    def _begin(self, number: int, *, follows: int | None) -> _Segment:
        path = self._layout.segment(number)
        aside = path.with_name(path.name + ASIDE)
        with storage_errors(path):
            self._storage.remove(aside)
            fd = self._storage.create(aside)
            try:
                return self._head(fd, aside, number, follows)
            except OSError:
                self._storage.close(fd)
                raise

    def _begin_in_reserve(self, number: int, follows: int, again: Sequence[bytes]) -> _Segment:
        """The reserve is written over in place; on a disk that copies, its room is freed first."""
        aside, fd = self._layout.reserve, self._reserve
        if fd is None:
            raise OSError(errno.ENOSPC, "the reserve is used up")
        try:
            now = self._head(fd, aside, number, follows, again, reserve=True)
            now.roomy = True
        except OSError:
            if not is_there(aside):  # it is the next segment, and must stay whole
                raise
            self._storage.cut(fd, 0)
            now = self._head(fd, aside, number, follows, again)
        self._reserve = None
        return now

    def _head(
        self,
        fd: int,
        aside: Path,
        number: int,
        follows: int | None,
        again: Sequence[bytes] = (),
        *,
        reserve: bool = False,
    ) -> _Segment:
        """Put a segment in place that begins with the records ``again``; all of it is synced."""
        header = segments.Header(
            segment=number,
            boot=self._boot,
            follows=follows,
            at=self._clock.time(),
            reserve=reserve,
        )
        line = header.line()
        seed = segments.seed(line)
        data = line + segments.frame(again, seed, len(line))
        write_all(self._storage, fd, data, 0)
        self._storage.sync(fd)
        path = self._layout.segment(number)
        publish(self._storage, aside, path)
        return _Segment(
            number=number,
            path=path,
            fd=fd,
            seed=seed,
            end=len(data),
            synced=len(data),
            marked=len(data),
            roomy=False,
        )

    def _make_reserve(self) -> int:
        """Held open from the start: later no file descriptor may be free."""
        with storage_errors(self._layout.reserve):
            self._storage.remove(self._layout.reserve)
            self._storage.reserve(self._layout.reserve, RESERVE_BYTES)
            return self._storage.open(self._layout.reserve)
