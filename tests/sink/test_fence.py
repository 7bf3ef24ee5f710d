"""A holder that lost its run changes nothing in it any more, whatever it was at."""

from __future__ import annotations

import asyncio

import pytest

from tests.sink import rows
from tests.sink.clocks import ByHand, until
from tests.sink.disks import Quick
from tests.sink.locks import leave_anew, note, take
from vbatch.errors import Locked
from vbatch.sink.fence import Fenced
from vbatch.sink.journal import Rolling
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.storage import Storage
from vbatch.sink.views import Standing


def test_the_fence_passes_on_all_that_a_disk_is_asked():
    asked = {name for name in vars(Storage) if not name.startswith("_")}
    assert asked == {name for name in vars(Fenced) if not name.startswith("_")}


@pytest.mark.parametrize("change", ["create", "open", "rename", "remove", "reserve"])
def test_nothing_begins_moves_or_goes_once_the_run_is_anothers(lock_file, change):
    old, new = lock_file.with_name("old"), lock_file.with_name("new")
    old.write_text("kept")
    lock = take(lock_file)
    fenced = Fenced(Quick(), lock)
    leave_anew(lock_file, note())

    more = {"rename": (new,), "reserve": (100,)}.get(change, ())
    with pytest.raises(Locked, match="taken over by process 12 on far"):
        getattr(fenced, change)(old, *more)
    assert old.read_text() == "kept"
    assert not new.exists()
    lock.release()


class Halting(Quick):
    """Stands still when a commit record is begun, until it is told to go on."""

    def __init__(self, loop) -> None:
        self._loop = loop
        self.halted, self.go_on = asyncio.Event(), asyncio.Event()

    def create(self, path):
        fd = super().create(path)
        if path.parent.name == "commits":
            self._loop.call_soon_threadsafe(self.halted.set)
            asyncio.run_coroutine_threadsafe(self.go_on.wait(), self._loop).result()
        return fd


def contents(root) -> dict:
    """Every file of a run with its bytes, but what is put aside, which the next command removes."""
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".tmp")
    return {path: path.read_bytes() for path in files}


@pytest.fixture
async def working(tmp_path):
    """A run at work with one answer recorded, on a disk that can be halted."""
    disk = Halting(asyncio.get_running_loop())
    clock = ByHand()
    folder = RunFolder.open(
        tmp_path / "run",
        clock=clock,
        invocation="i1",
        storage=disk,
        rolling=Rolling(outcomes=2),
    )
    folder.keep(rows.kept())
    await folder.start()
    await folder.record(rows.asked("a"))
    await folder.record(rows.completed("a"))
    folder.disk, folder.clock = disk, clock
    yield folder
    folder.close()


async def test_a_commit_that_slept_half_way_is_not_gone_on_with(working):
    await working.record(rows.asked("b"))
    await working.record(rows.completed("b"))
    await working.disk.halted.wait()
    leave_anew(working._layout.lock, note())
    before = contents(working.path)
    working.disk.go_on.set()
    async with asyncio.timeout(30):
        await until(lambda: working.trouble)

    assert isinstance(working.trouble, Locked)
    with pytest.raises(Locked):
        await working.finish(Standing())
    assert contents(working.path) == before


async def test_the_once_a_second_look_at_a_run_that_was_taken_writes_nothing_and_says_why(working):
    leave_anew(working._layout.lock, note())
    before = contents(working.path)
    await working.snapshot(Standing())

    assert isinstance(working.trouble, Locked)
    with pytest.raises(Locked):
        await working.record(rows.asked("b"))
    with pytest.raises(Locked):
        await working.finish(Standing())
    assert contents(working.path) == before


async def test_a_run_that_was_taken_is_not_finished_by_the_one_that_lost_it(working):
    leave_anew(working._layout.lock, note())
    before = contents(working.path)
    with pytest.raises(Locked, match="taken over by process 12 on far"):
        await working.finish(Standing())
    assert contents(working.path) == before
