"""A row's images, from reserving their bytes to giving them back."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vbatch.endpoint.limits import Stopped
from vbatch.engine.tries import Step
from vbatch.errors import ImageError, Remedy
from vbatch.records import PreparedImage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from vbatch.endpoint.budget import ByteBudget, Share
    from vbatch.engine.tries import Tries
    from vbatch.records import Item, SentImage, Stop
    from vbatch.source.loader import ImageLoader

T = TypeVar("T")

SHRUNK = 0.5
"""What the longer side is multiplied with when the endpoint found the images too large."""


class Preparing:
    """Prepares images within a budget of bytes; remembers what the endpoint found too large.

    Nothing has been paid for before a request leaves, so ``stop`` calls off whatever is at work
    here: it ends in ``Stopped``.
    """

    def __init__(self, loader: ImageLoader, budget: ByteBudget) -> None:
        self._loader = loader
        self._budget = budget
        self._at_work: set[asyncio.Task[Any]] = set()
        self._called_off: set[asyncio.Task[Any]] = set()
        self._stop: Stop | None = None
        self._refused_side = float("inf")
        self._refused_bytes = float("inf")

    def urls(self, item: Item, tries: Tries) -> tuple[SentImage, ...] | None:
        """The row's images where there is nothing to prepare; else, and in a stop, None.

        ``images`` would come to the same, and take a twelfth of a small request's CPU.
        """
        if self._stop is not None or Remedy.INLINE in tries.mended:
            return None
        return self._loader.as_urls(item.images)

    @asynccontextmanager
    async def images(self, item: Item, tries: Tries) -> AsyncIterator[tuple[SentImage, ...]]:
        """The row's images; their bytes count against the budget while they are held.

        Raises ImageError, and ``Stopped`` once the run stops.
        """
        share = self._budget.share()
        tries.step = Step.ROOM
        hint = self._loader.size_hint(item.images, inline=Remedy.INLINE in tries.mended)
        await self._unless_stopped(share.take(hint))
        tries.step = Step.PREPARING
        try:
            images = await self._unless_stopped(self._load(item, tries, share, hint))
            share.settle(_held(item, images))
            yield images
        finally:
            share.close()

    def stop(self, stop: Stop) -> None:
        """Prepare nothing more."""
        self._stop = self._stop or stop
        for task in self._at_work - self._called_off:
            self._called_off.add(task)
            task.cancel()

    def too_large(self, images: tuple[SentImage, ...]) -> None:
        """The endpoint found these too large: what is as large is shrunk before it is sent.

        Which it was, pixels or bytes, is not known, so both must be as large.
        """
        self._refused_side = min(self._refused_side, _longest_side(images))
        self._refused_bytes = min(self._refused_bytes, _size(images))

    async def _load(
        self, item: Item, tries: Tries, share: Share, granted: int
    ) -> tuple[SentImage, ...]:
        inline = Remedy.INLINE in tries.mended
        shrink = SHRUNK if Remedy.SHRINK in tries.mended else 1.0
        load = partial(self._loader.load, item.images, inline=inline, room=share, granted=granted)
        images = await load(shrink=shrink)
        if _size(images) >= self._refused_bytes and _longest_side(images) >= self._refused_side:
            with contextlib.suppress(ImageError):  # as small as it gets: the endpoint shall decide
                return await load(shrink=SHRUNK)
        return images

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """``work``, in this very task, which a stop may cancel meanwhile."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        if self._stop is not None:
            work.close()
            raise Stopped(self._stop)
        self._at_work.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if task in self._called_off and self._stop is not None and task.uncancel() == 0:
                raise Stopped(self._stop) from None
            raise
        finally:
            self._at_work.discard(task)
            self._called_off.discard(task)


def _size(images: tuple[SentImage, ...]) -> int:
    return sum(len(image.data) for image in images if isinstance(image, PreparedImage))


def _held(item: Item, images: tuple[SentImage, ...]) -> int:
    """Bytes in memory as long as the row is under way: what is sent, and what the row brought."""
    sent = {id(image.data) for image in images if isinstance(image, PreparedImage)}
    brought = sum(
        len(image.data) for image in item.images if image.data and id(image.data) not in sent
    )
    text = sum(len(image.ref or "") for image in item.images if image.kind == "data_uri")
    return _size(images) + brought + text


def _longest_side(images: tuple[SentImage, ...]) -> int:
    sides = (max(image.width, image.height) for image in images if isinstance(image, PreparedImage))
    return max(sides, default=0)
