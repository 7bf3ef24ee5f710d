"""Recorded means written; synced soon after; and a failing disk is met with order."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from contextlib import asynccontextmanager

import pytest

from tests.sink import rows
from tests.sink.clocks import ByHand, until
from tests.sink.disks import Failing, Quick
from vbatch.errors import Corrupt, Exit, JournalError, Locked, StorageFull
from vbatch.sink import recorder, segments
from vbatch.sink.journal import Journal, Rolling
from vbatch.sink.layout import Layout
from vbatch.sink.lock import STALE_AFTER_S, Lock
from vbatch.sink.recorder import SYNC_AFTER_S, Recorder
from vbatch.sink.storage import make_folder


class Bench:
    """A recorder on a journal of its own."""

    def __init__(self, root, disk, rolling) -> None:
        self.layout = Layout(root=root)
        make_folder(Quick(), self.layout.journal)
        self.clock = ByHand()
        self.closed = []
        self.lock = Lock(self.layout.lock, self.clock)
        self.journal = Journal(
            self.layout, number=1, boot="b", clock=self.clock, storage=disk or Quick()
        )
        self.recorder = Recorder(
            self.journal,
            lock=self.lock,
            clock=self.clock,
            rolling=rolling,
            on_closed=self.closed.append,
        )
        self.record = self.recorder.record

    def ids(self, number=1, end=None) -> list:
        path = self.layout.segment(number)
        return [(e[0], e[1]) for some, _ in segments.read_entries(path, end) for e in some]


@pytest.fixture
def bench(tmp_path):
    @asynccontextmanager
    async def open_bench(disk=None, rolling=Rolling()):  # noqa: B008
        bench = Bench(tmp_path, disk, rolling)
        try:
            yield bench
        finally:
            bench.recorder.abandon()
            bench.lock.release()

    return open_bench


async def test_what_is_recorded_is_in_the_file_when_record_returns(bench):
    async with bench() as b:
        await b.record(rows.asked())
        assert b.ids() == [("A", "a")]
        await b.record(rows.completed())
        assert b.ids() == [("A", "a"), ("C", "a")]


async def test_many_at_once_go_in_order_and_in_few_writes(bench):
    writes = []

    class Counting(Quick):
        def write(self, fd, data, at):
            writes.append(len(data))
            return super().write(fd, data, at)

    async with bench(Counting()) as b:
        writes.clear()
        await asyncio.gather(*(b.record(rows.asked(f"r{n}")) for n in range(600)))
        assert [row_id for _, row_id in b.ids()] == [f"r{n}" for n in range(600)]
        assert len(writes) == 1


async def test_where_many_come_those_that_come_soon_after_go_in_one_write(bench, monkeypatch):
    monkeypatch.setattr(recorder, "GATHER_S", 1)
    writes = []

    class Counting(Quick):
        def write(self, fd, data, at):
            writes.append(len(data))
            return super().write(fd, data, at)

    async with bench(Counting()) as b:
        await asyncio.gather(*(b.record(rows.asked(f"r{n}")) for n in range(2)))
        writes.clear()
        soon = []
        for n in range(2, 5):
            soon.append(asyncio.create_task(b.record(rows.asked(f"r{n}"))))
            await asyncio.sleep(0.01)
        await asyncio.gather(*soon)

        assert len(writes) == 1


async def test_one_alone_waits_for_nobody(bench, monkeypatch):
    monkeypatch.setattr(recorder, "GATHER_S", 3600)
    async with bench() as b:
        for n in range(3):
            await b.record(rows.asked(f"r{n}"))

        assert [row_id for _, row_id in b.ids()] == ["r0", "r1", "r2"]


async def test_a_caller_that_gives_up_stops_nobody_else(bench):
    async with bench() as b:
        impatient = asyncio.create_task(b.record(rows.asked("a")))
        patient = asyncio.create_task(b.record(rows.asked("b")))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        assert b.ids() == [("A", "a"), ("A", "b")], "what was handed in is written all the same"


async def test_a_sync_follows_the_first_write_by_a_tenth_of_a_second(bench):
    synced = threading.Event()

    class Watching(Quick):
        syncs = 0

        def sync(self, fd):
            self.syncs += 1
            if self.syncs > 1:
                synced.set()

    async with bench(Watching()) as b:
        await b.record(rows.asked())
        await b.clock.turn(SYNC_AFTER_S / 2)
        assert not synced.is_set()
        await b.clock.turn(SYNC_AFTER_S / 2)
        assert await asyncio.to_thread(synced.wait, 5)
        await b.record(rows.completed())
        assert b'{"synced":' in b.layout.segment(1).read_bytes()


async def test_a_long_segment_is_closed_and_the_next_one_begun(bench):
    async with bench(rolling=Rolling(outcomes=2)) as b:
        await b.record(rows.completed("a"))
        await b.record(rows.completed("b"))
        (closed,) = b.closed
        await b.record(rows.completed("c"))
        assert b.ids(1, closed.end) == [("C", "a"), ("C", "b")]
        assert b.ids(2) == [("C", "c")]
        assert [c.number for c in await b.recorder.close()] == [2]


async def test_closing_writes_what_was_still_waiting(bench):
    async with bench() as b:
        recording = asyncio.create_task(b.record(rows.completed()))
        await asyncio.sleep(0)
        (closed,) = await b.recorder.close()
        await recording
        assert b.ids(1, closed.end) == [("C", "a")]


async def test_a_full_disk_stops_requests_at_once_and_keeps_the_answers_on_their_way(bench):
    full = set()
    disk = Failing(lambda what, path: (what, path.name) in full)
    async with bench(disk) as b:
        await b.record(rows.asked("a"))
        full.add(("write", "000001.seg"))

        told = await asyncio.gather(
            b.record(rows.asked("b")), b.record(rows.completed("a")), return_exceptions=True
        )

        assert isinstance(told[0], StorageFull)
        assert told[1] is None
        with pytest.raises(StorageFull, match="No space left"):
            await b.record(rows.asked("c"))
        await b.record(rows.completed("d"))
        assert isinstance(b.recorder.trouble, StorageFull)
        assert b.ids(2) == [("C", "a"), ("C", "d")], "no request that was never sent"
        assert [c.number for c in await b.recorder.close()] == [2]


async def test_when_the_reserve_is_used_up_nothing_is_recorded_and_everybody_is_told(bench):
    full = set()
    disk = Failing(lambda what, path: what in full)
    async with bench(disk) as b:
        full.add("write")
        with pytest.raises(StorageFull):
            await b.record(rows.completed("a"))
        for event in (rows.completed("b"), rows.asked("c")):
            with pytest.raises(StorageFull):
                await b.record(event)


async def test_a_failed_sync_stops_requests_and_everything_since_is_written_again(bench):
    broken = set()
    disk = Failing(lambda what, path: (what, path.name) in broken, errno.EIO)
    async with bench(disk) as b:
        await b.record(rows.completed("a"))
        broken.add(("sync", "000001.seg"))
        await b.clock.turn(SYNC_AFTER_S)
        await until(lambda: b.recorder.trouble)

        with pytest.raises(StorageFull, match="Input/output"):
            await b.record(rows.asked("b"))
        await b.record(rows.completed("c"))

        assert b.ids(2) == [("C", "a"), ("C", "c")]


async def test_a_sync_that_fails_only_at_the_end_still_loses_nothing(bench):
    broken = set()
    disk = Failing(lambda what, path: (what, path.name) in broken, errno.EIO)
    async with bench(disk) as b:
        await b.record(rows.completed("a"))
        broken.add(("sync", "000001.seg"))

        first, second = await b.recorder.close()

        assert (b.ids(1, first.end), b.ids(2, second.end)) == ([], [("C", "a")])


async def test_a_second_failure_at_the_end_is_said(bench):
    broken = set()
    disk = Failing(lambda what, path: what in broken, errno.EIO)
    async with bench(disk) as b:
        await b.record(rows.completed("a"))
        broken |= {"write", "sync"}
        with pytest.raises(StorageFull):
            await b.record(rows.completed("b"))
        with pytest.raises(StorageFull):
            await b.recorder.close()


async def test_a_segment_that_cannot_be_followed_stops_requests_and_loses_nothing(bench):
    full = set()
    disk = Failing(lambda what, path: (what, path.name) in full)
    async with bench(disk, Rolling(outcomes=1)) as b:
        full.add(("create", "000002.seg.tmp"))
        await b.record(rows.completed("a"))
        with pytest.raises(StorageFull):
            await b.record(rows.asked("b"))
        full.clear()
        await b.record(rows.completed("c"))
        (closed,) = b.closed
        assert b.ids(1, closed.end) == [("C", "a"), ("C", "c")]


async def test_no_free_file_descriptor_for_the_next_segment_only_makes_this_one_longer(bench):
    short = set()
    disk = Failing(lambda what, path: (what, path.name) in short, errno.EMFILE)
    async with bench(disk, Rolling(outcomes=1)) as b:
        short |= {("create", "000002.seg.tmp"), ("open", "reserve")}
        await b.record(rows.completed("a"))
        await b.record(rows.asked("b"))
        assert (b.recorder.trouble, b.closed) == (None, [])
        short.clear()
        await b.record(rows.completed("b"))
        (closed,) = b.closed
        assert b.ids(1, closed.end) == [("C", "a"), ("A", "b"), ("C", "b")]


async def test_a_segment_that_has_its_name_and_cannot_be_gone_on_with_ends_the_run(bench):
    class FewFiles(Quick):
        short = False

        def sync_folder(self, folder):
            if self.short:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    disk = FewFiles()
    async with bench(disk, Rolling(outcomes=1)) as b:
        disk.short = True
        await b.record(rows.completed("a"))
        assert "ulimit -n" in b.recorder.trouble.message
        disk.short = False
        await b.record(rows.completed("b"))
        found = [entry for n in b.layout.segments() for entry in b.ids(n)]
        assert {*found} == {("C", "a"), ("C", "b")}


async def test_a_run_that_was_taken_meanwhile_is_not_written_to(bench):
    async with bench() as b:
        await b.record(rows.asked())
        b.layout.lock.unlink()
        size = b.layout.segment(1).stat().st_size

        with pytest.raises(Locked):
            await b.record(rows.completed())
        with pytest.raises(Locked):
            await b.record(rows.completed())
        assert b.layout.segment(1).stat().st_size == size


async def test_a_request_is_not_sent_by_one_who_slept_after_its_record(bench):
    class Sleepy(Quick):
        def write(self, fd, data, at):
            done = super().write(fd, data, at)
            b.clock.now += STALE_AFTER_S + 1
            b.layout.lock.unlink()
            return done

    disk = Sleepy()
    async with bench() as b:
        b.recorder._journal._storage = disk
        with pytest.raises(Locked):
            await b.record(rows.asked())
        assert b.ids() == [("A", "a")]
        with pytest.raises(Locked):
            await b.recorder.close()


async def test_a_request_goes_on_for_one_who_slept_and_still_has_the_run(bench):
    async with bench() as b:
        b.clock.now += STALE_AFTER_S + 1
        await b.record(rows.asked())
        assert not b.lock.stale


async def test_a_bug_on_the_way_to_the_disk_reaches_whoever_waits(bench):
    class Odd(Quick):
        odd = False

        def write(self, fd, data, at):
            if self.odd:
                raise ZeroDivisionError
            return super().write(fd, data, at)

    disk = Odd()
    async with bench(disk) as b:
        disk.odd = True
        with pytest.raises(ZeroDivisionError):
            await b.record(rows.completed())
        with pytest.raises(ZeroDivisionError):
            await b.record(rows.completed())


async def test_a_bug_in_a_chore_stops_requests_and_still_takes_answers(bench, monkeypatch):
    def break_down(self):
        raise ZeroDivisionError("oops")

    async with bench() as b:
        with monkeypatch.context() as broken:
            broken.setattr(Journal, "sync", break_down)
            await b.record(rows.asked("a"))
            await b.clock.turn(SYNC_AFTER_S)
            await until(lambda: b.recorder.trouble or b.recorder._pacing.done())

            with pytest.raises(JournalError, match=r"ZeroDivisionError.*oops") as caught:
                await b.record(rows.asked("b"))
            await b.record(rows.completed("a"))

        assert caught.value.exit_code is Exit.STORAGE
        assert b.ids() == [("A", "a"), ("C", "a")]
        assert not b.recorder._pacing.done()


async def test_refusing_keeps_the_first_reason(bench):
    async with bench() as b:
        b.recorder.refuse(Corrupt("first"))
        b.recorder.refuse(Corrupt("second"))
        with pytest.raises(Corrupt, match="first"):
            await b.record(rows.asked())
        await b.record(rows.completed())


async def test_an_abandoned_recorder_leaves_nobody_running(bench):
    async with bench() as b:
        recording = asyncio.create_task(b.record(rows.completed()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not any(t.name.startswith("vbatch-journal") for t in threading.enumerate())
    recording.cancel()
    await asyncio.sleep(0)
