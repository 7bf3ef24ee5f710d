"""Work in threads comes back to the loop, whatever becomes of it or of who waits."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from vbatch.source import threads as module
from vbatch.source.threads import Threads


@pytest.fixture
def threads():
    made = Threads(2, "test")
    yield made
    made.close()


async def test_everyone_gets_their_own_result(threads):
    results = await asyncio.gather(*(threads.run(lambda n=n: n * n) for n in range(500)))

    assert results == [n * n for n in range(500)]


async def test_an_error_goes_to_who_asked(threads):
    def fail():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await threads.run(fail)
    assert await threads.run(lambda: "well") == "well"


async def test_no_more_threads_than_asked_for_work_at_once(threads):
    names = set()
    meet = threading.Barrier(2)

    def note():
        names.add(threading.current_thread().name)
        meet.wait(10)

    await asyncio.gather(*(threads.run(note) for _ in range(10)))

    assert names == {"test_0", "test_1"}


async def test_what_was_called_off_before_it_began_is_not_done():
    single = Threads(1, "test")
    began, go, done = threading.Event(), threading.Event(), []

    def block():
        began.set()
        go.wait(10)

    first = asyncio.create_task(single.run(block))
    await asyncio.to_thread(began.wait, 10)
    second = asyncio.create_task(single.run(lambda: done.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    go.set()
    await first
    assert await single.run(lambda: "third") == "third"
    single.close()

    assert done == []


async def test_a_thread_that_waits_holds_nothing_of_its_last_work(threads):
    class Result:
        pass

    result = await threads.run(Result)
    gone = weakref.ref(result)
    del result
    await threads.run(lambda: None)
    gc.collect()

    assert gone() is None


# --- who works, and when the loop hears of it ------------------------------------------------


def name_of_thread():
    return threading.current_thread().name


async def test_what_is_soon_done_is_done_by_one_thread(threads, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 3600)

    names = await asyncio.gather(*(threads.run(name_of_thread) for _ in range(500)))

    assert set(names) == {"test_0"}


async def test_what_waits_is_done_by_another_thread(threads, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    go = threading.Event()
    held = asyncio.create_task(threads.run(lambda: go.wait(60)))
    await asyncio.sleep(0)
    for _ in range(3):  # it rests meanwhile
        assert await threads.run(name_of_thread) == "test_1"
    go.set()

    assert await held


async def test_a_helper_rests_where_nothing_waits(threads, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    go = threading.Event()
    held = asyncio.create_task(threads.run(lambda: go.wait(60)))
    await asyncio.sleep(0)
    assert await threads.run(name_of_thread) == "test_1"
    go.set()
    await held
    monkeypatch.setattr(module, "PATIENCE_S", 3600)
    monkeypatch.setattr(module, "LIGHT_S", 3600)

    names = [await threads.run(name_of_thread) for _ in range(100)]

    assert names.count("test_1") <= 1


async def test_the_loop_is_woken_once_for_what_is_done_together(threads, monkeypatch):
    monkeypatch.setattr(module, "GATHER_S", 3600)
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    go = threading.Event()
    slow = asyncio.create_task(threads.run(lambda: go.wait(60)))
    await asyncio.sleep(0)
    quick = asyncio.create_task(threads.run(name_of_thread))
    await asyncio.wait([quick], timeout=0.2)
    assert not quick.done()
    go.set()

    assert await slow
    assert await quick == "test_1"


async def test_nobody_waits_for_long_for_what_another_does(threads, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    go = threading.Event()
    slow = asyncio.create_task(threads.run(lambda: go.wait(60)))
    await asyncio.sleep(0)

    assert await threads.run(name_of_thread) == "test_1"
    assert not slow.done()
    go.set()
    assert await slow
