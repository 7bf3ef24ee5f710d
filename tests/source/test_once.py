"""What several want at the same time is made once, and by each again where it failed."""

from __future__ import annotations

import asyncio
import gc

import pytest

from vbatch.source.once import Once


class Thing:
    pass


class Maker:
    """Makes a thing per place once it may, and notes what it was asked for."""

    def __init__(self):
        self.asked = []
        self.may = asyncio.Event()

    async def make(self, places):
        self.asked.append(list(places))
        await self.may.wait()
        return [Thing() for _ in places]


async def test_many_who_want_one_thing_get_the_same():
    once, maker = Once(), Maker()
    tasks = [asyncio.create_task(once.get(["a"], maker.make)) for _ in range(5)]
    await asyncio.sleep(0)
    maker.may.set()
    results = await asyncio.gather(*tasks)

    assert len({id(thing) for (thing,) in results}) == 1
    assert maker.asked == [[0]]


def test_what_is_remembered_is_forgotten_once_nobody_holds_it():
    once, thing = Once(), Thing()
    once.remember("a", thing)
    assert once.recall("a") is thing
    assert once.recall("b") is None
    del thing
    gc.collect()

    assert once.recall("a") is None


async def test_who_comes_when_it_is_made_makes_it_anew():
    once, maker = Once(), Maker()
    maker.may.set()
    await once.get(["a"], maker.make)
    await once.get(["a"], maker.make)

    assert maker.asked == [[0], [0]]


async def test_what_has_no_key_is_never_shared_and_what_a_row_names_twice_is_made_once():
    once, maker = Once(), Maker()
    maker.may.set()
    first, second, third, fourth = await once.get(["a", None, "a", None], maker.make)

    assert first is third
    assert len({id(first), id(second), id(fourth)}) == 3
    assert maker.asked == [[0, 1, 3]]


async def test_rows_that_want_what_the_other_makes_both_get_it():
    once, maker = Once(), Maker()
    one = asyncio.create_task(once.get(["a", "b"], maker.make))
    await asyncio.sleep(0)
    other = asyncio.create_task(once.get(["c", "a"], maker.make))
    last = asyncio.create_task(once.get(["b", "c"], maker.make))
    await asyncio.sleep(0)
    maker.may.set()
    (a, b), (c, a_again), (b_again, c_again) = await asyncio.gather(one, other, last)

    assert (a, b, c) == (a_again, b_again, c_again)
    assert maker.asked == [[0, 1], [0]]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_where_one_fails_or_leaves_the_next_makes_it(how):
    once, maker = Once(), Maker()
    began = asyncio.Event()

    async def never(_places):
        began.set()
        await maker.may.wait()
        raise ValueError("mine alone")

    first = asyncio.create_task(once.get(["a"], never))
    await began.wait()
    second = asyncio.create_task(once.get(["a"], maker.make))
    await asyncio.sleep(0)
    if how == "is cancelled":
        first.cancel()
    maker.may.set()
    await asyncio.wait([first])

    assert isinstance((await second)[0], Thing)
    assert first.cancelled() or isinstance(first.exception(), ValueError)
