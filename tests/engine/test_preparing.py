"""Images are held only as long as their request, and nothing is prepared once the run stops."""

from __future__ import annotations

import asyncio
import base64
import gc
from pathlib import Path

import pytest

from tests.conftest import picture
from vbatch.clock import SystemClock
from vbatch.endpoint.budget import ByteBudget
from vbatch.endpoint.limits import Stopped
from vbatch.engine.backoff import without_frames
from vbatch.engine.preparing import Preparing
from vbatch.engine.tries import Tries
from vbatch.errors import AmbiguousError, Exit, ImageError
from vbatch.records import ImageLimits, ImageSource, Item, PreparedImage, Stop
from vbatch.source.loader import ImageLoader

STOP = Stop(exit_code=Exit.SIGINT, code="signal", message="by SIGINT")


@pytest.fixture
async def loader(tmp_path):
    loader = ImageLoader(
        limits=ImageLimits(formats=frozenset({"jpeg", "png"})),
        send="auto",
        urls=True,
        roots=[Path(tmp_path)],
        allow_private_urls=False,
        max_count=None,
        max_request_bytes=None,
        clock=SystemClock(),
    )
    yield loader
    await loader.close()


def item(data: bytes) -> Item:
    source = ImageSource(kind="bytes", data=data)
    return Item(id="a", row=0, images=(source,), prompt="p", row_digest="d")


async def test_what_is_held_is_what_will_be_sent_and_is_given_back(loader):
    budget = ByteBudget(10_000_000, clock=SystemClock())
    preparing = Preparing(loader, budget)
    async with preparing.images(item(picture(size=(300, 200))), Tries(first_at=0)) as images:
        assert budget.held == len(images[0].data) > 0
    assert budget.held == 0


async def test_what_the_row_brought_counts_as_long_as_the_row_is_under_way(loader):
    budget = ByteBudget(10_000_000, clock=SystemClock())
    tagged = picture(size=(300, 200)) + b"trailing bytes that are not sent"
    text = "data:image/png;base64," + base64.b64encode(picture()).decode()
    row = Item(
        id="a",
        row=0,
        images=(
            ImageSource(kind="bytes", data=tagged),
            ImageSource(kind="data_uri", ref=text),
        ),
        prompt="p",
        row_digest="d",
    )
    async with Preparing(loader, budget).images(row, Tries(first_at=0)) as images:
        sent = sum(len(image.data) for image in images)
        assert budget.held == sent + len(tagged) + len(text)
    assert budget.held == 0


async def test_a_damaged_image_gives_its_room_back(loader):
    budget = ByteBudget(10_000_000, clock=SystemClock())
    with pytest.raises(ImageError):
        async with Preparing(loader, budget).images(item(b"no picture"), Tries(first_at=0)):
            pass
    assert budget.held == 0


@pytest.fixture
async def waiting(loader):
    """Someone who waits for room that nobody gives back: what prepares, the task, the budget."""
    budget = ByteBudget(100, clock=SystemClock())
    await budget.acquire(100)
    preparing = Preparing(loader, budget)

    async def wait_for_room():
        async with preparing.images(item(picture()), Tries(first_at=0)):
            raise AssertionError("there was no room")

    task = asyncio.create_task(wait_for_room())
    await asyncio.sleep(0)
    return preparing, task, budget


async def test_a_stop_calls_off_who_waits_for_room_and_lets_nobody_in(waiting):
    preparing, task, budget = waiting
    preparing.stop(STOP)
    with pytest.raises(Stopped):
        await task
    with pytest.raises(Stopped):
        async with preparing.images(item(picture()), Tries(first_at=0)):
            pass
    assert budget.held == 100


async def test_a_cancellation_from_elsewhere_stays_one(waiting):
    _, task, budget = waiting
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.held == 100


async def test_an_error_that_waits_holds_no_image():
    def fail_with_an_image():
        image = PreparedImage(
            data=b"x" * 100, media_type="image/png", width=1, height=1, sha256="s"
        )
        try:
            Path(f"/nowhere/{image.width}").read_bytes()
        except OSError as error:
            raise AmbiguousError("timeout", "late") from error

    def alive() -> int:
        gc.collect()
        return sum(isinstance(thing, PreparedImage) for thing in gc.get_objects())

    before = alive()
    with pytest.raises(AmbiguousError) as caught:
        fail_with_an_image()
    error = caught.value
    del caught
    assert alive() == before + 1, "frames hold it"
    without_frames(error)
    assert alive() == before
