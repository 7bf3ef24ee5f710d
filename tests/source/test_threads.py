"""Work in threads comes back to the loop, whatever becomes of it or of who waits."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

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
