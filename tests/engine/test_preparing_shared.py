"""Rows that share images, and have little memory for them, all come through."""

from __future__ import annotations

import asyncio
import io
import random
import threading
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from vbatch.clock import SystemClock
from vbatch.endpoint.budget import ByteBudget
from vbatch.engine.preparing import Preparing
from vbatch.engine.tries import Tries
from vbatch.records import ImageLimits, ImageSource, Item
from vbatch.source import allowance
from vbatch.source.loader import ImageLoader

GUESS_BYTES = allowance.LEAST_GUESS_BYTES
STUCK_S = 10
"""Far more than any of this takes."""


def jpeg(side: int, seed: int = 0) -> bytes:
    """Noise: what can hardly be compressed, so its size goes with ``side``."""
    noise = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
async def loader(tmp_path, monkeypatch):
    """Takes all files for small ones, so that many must ask for room."""
    monkeypatch.setattr(allowance.Usual, "guess", GUESS_BYTES)
    loader = ImageLoader(
        limits=ImageLimits(formats=frozenset({"jpeg"}), strip=False),
        send="auto",
        urls=False,
        roots=[tmp_path],
        allow_private_urls=False,
        max_count=None,
        max_request_bytes=None,
        clock=SystemClock(),
        threads=3,
    )
    yield loader
    await loader.close()


def item(*names: str) -> Item:
    images = tuple(ImageSource(kind="path", ref=name) for name in names)
    return Item(id="a", row=0, images=images, prompt="p", row_digest="d")


async def test_who_is_beyond_the_limit_waits_for_no_image_of_one_who_awaits_room(
    loader, tmp_path, monkeypatch
):
    for name, side in {"first.jpg": 16, "own.jpg": 500, "shared.jpg": 400}.items():
        (tmp_path / name).write_bytes(jpeg(side))
    budget = ByteBudget(4 * GUESS_BYTES, clock=SystemClock())
    preparing = Preparing(loader, budget)
    began, beyond = asyncio.Event(), threading.Event()
    loop, opened = asyncio.get_running_loop(), loader._disk.open

    def held_up(ref):
        if ref == "first.jpg":
            loop.call_soon_threadsafe(began.set)
            assert beyond.wait(STUCK_S)
        if budget.held > budget.limit:
            beyond.set()
        return opened(ref)

    monkeypatch.setattr(loader._disk, "open", held_up)

    async def row(*names):
        async with preparing.images(item(*names), Tries(first_at=0)) as images:
            return [len(image.data) for image in images]

    makes_it = asyncio.create_task(row("first.jpg", "shared.jpg"))
    await began.wait()
    wants_it = asyncio.create_task(row("own.jpg", "shared.jpg"))
    async with asyncio.timeout(STUCK_S):
        made, wanted = await asyncio.gather(makes_it, wants_it)
    assert beyond.is_set()
    assert made[1] == wanted[1] == (tmp_path / "shared.jpg").stat().st_size
    assert budget.held == 0


async def test_what_was_made_before_there_was_no_room_is_not_made_again(
    loader, tmp_path, monkeypatch
):
    sides = [100, 101, 102, 300]
    for side in sides:
        (tmp_path / f"{side}.jpg").write_bytes(jpeg(side))
    budget = ByteBudget(10_000_000, clock=SystemClock())
    made, prepare = [], loader._prepare

    def noting(file, limits, source):
        made.append(source.ref)
        return prepare(file, limits, source)

    monkeypatch.setattr(loader, "_prepare", noting)
    names = [f"{side}.jpg" for side in sides]
    share = budget.share()
    await share.take(GUESS_BYTES)
    images = await loader.load(item(*names).images, room=share, granted=GUESS_BYTES)

    assert made == names
    assert share.held == sum(len(image.data) for image in images) > GUESS_BYTES


@contextmanager
def counting_memory(loader, monkeypatch):
    """Yields a list: the most bytes of prepared images that were alive at one time."""
    sizes, most = {}, [0]
    remember = loader._once.remember

    def noting(name, image):
        key = object()
        sizes[key] = len(image.data)
        weakref.finalize(image, sizes.pop, key)
        most[0] = max(most[0], sum(sizes.values()))
        remember(name, image)

    with monkeypatch.context() as patch:
        patch.setattr(loader._once, "remember", noting)
        yield most


class InTurns:
    """Does the work of threads on the event loop, in an order that chance decides."""

    def __init__(self, chance):
        self._chance = chance

    async def run(self, work):
        for _ in range(self._chance.randrange(12)):
            await asyncio.sleep(0)
        return work()

    def close(self):
        pass


@pytest.mark.parametrize("seed", range(12))
async def test_rows_that_share_images_at_random_all_end(loader, tmp_path, monkeypatch, seed):
    chance = random.Random(seed)
    names = {f"{side}.jpg": jpeg(side, side) for side in range(60, 460, 20)}
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    budget = ByteBudget(10 * GUESS_BYTES, clock=SystemClock())
    preparing = Preparing(loader, budget)
    monkeypatch.setattr(loader, "_threads", InTurns(chance))
    rows = [chance.choices(list(names), k=chance.randint(1, 4)) for _ in range(100)]

    async def row(wanted):
        async with preparing.images(item(*wanted), Tries(first_at=0)) as images:
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            return [image.data for image in images] == [names[name] for name in wanted]

    with counting_memory(loader, monkeypatch) as most:
        tasks = [asyncio.create_task(row(wanted)) for wanted in rows]
        leaving = chance.sample(tasks, 15)
        for task in leaving:
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
        _, stuck = await asyncio.wait(tasks, timeout=STUCK_S)
        for task in stuck:
            task.cancel()
    largest = max(sum(len(names[name]) for name in set(wanted)) for wanted in rows)

    assert not stuck
    assert all(task.result() for task in tasks if not task.cancelled())
    assert {task for task in tasks if task.cancelled()} <= set(leaving)
    assert budget.held == 0
    assert most[0] <= budget.limit + largest
