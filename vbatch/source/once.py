"""Things that several want at the same time, made once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

T = TypeVar("T")


class Once(Generic[T]):
    """What was made is found again for as long as somebody holds it, and by nobody after that."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._coming: dict[Hashable, asyncio.Future[None]] = {}

    async def get(
        self,
        keys: Sequence[Hashable | None],
        make: Callable[[list[int]], Awaitable[list[T]]],
    ) -> list[T]:
        """One thing per key. ``make`` gets the places in ``keys`` that nobody else makes just now.

        None is a key that is never shared. Where somebody else failed to make it, ``make`` is
        asked after all, so everyone gets an error of their own. Nobody waits for others while
        others wait for them.
        """
        found: dict[int, T] = {}
        while missing := [place for place in range(len(keys)) if place not in found]:
            mine: dict[Hashable, int] = {}
            for place in missing:
                key = keys[place]
                thing = None if key is None else self._held.get(key)
                if thing is not None:
                    found[place] = thing
                elif key not in self._coming:
                    mine.setdefault(place if key is None else key, place)
            if mine:
                found.update(await self._made(list(mine.values()), keys, make))
            elif len(found) < len(keys):
                await self._somebody_elses(keys[next(p for p in missing if p not in found)])
        return [found[place] for place in range(len(keys))]

    async def _made(
        self,
        places: list[int],
        keys: Sequence[Hashable | None],
        make: Callable[[list[int]], Awaitable[list[T]]],
    ) -> dict[int, T]:
        shared = [key for key in (keys[place] for place in places) if key is not None]
        over = asyncio.get_running_loop().create_future()
        self._coming.update(dict.fromkeys(shared, over))
        try:
            made = dict(zip(places, await make(places), strict=True))
            self._held.update(
                {key: made[place] for place in places if (key := keys[place]) is not None}
            )
        finally:
            for key in shared:
                del self._coming[key]
            over.set_result(None)
        return made

    async def _somebody_elses(self, key: Hashable) -> None:
        """Wait until who makes ``key`` is through, whether it was made or not."""
        await asyncio.wait([self._coming[key]])
