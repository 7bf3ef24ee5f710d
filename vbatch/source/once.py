"""Things that several want at the same time, made once."""

from __future__ import annotations

import asyncio
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

T = TypeVar("T")


class Once(Generic[T]):
    """Who wants what somebody is making waits for it; what was made is kept while it is held.

    Who comes later asks ``recall``, under a name that tells what the thing was made from. That is
    for whoever makes things, in any thread; ``get`` is for one event loop.
    """

    def __init__(self) -> None:
        self._held: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._coming: dict[Hashable, asyncio.Future[T | None]] = {}

    def recall(self, name: Hashable) -> T | None:
        """What was remembered under ``name``, if anybody still holds it."""
        return self._held.get(name)

    def remember(self, name: Hashable, thing: T) -> None:
        """Have ``thing`` found again for as long as somebody holds it, and by nobody after that."""
        self._held[name] = thing

    async def get(
        self,
        keys: Sequence[Hashable | None],
        make: Callable[[list[int]], Awaitable[list[T]]],
    ) -> list[T]:
        """One thing per key. ``make`` gets the places in ``keys`` that nobody else makes just now.

        None is a key that is never shared. Where somebody else failed to make it, ``make`` is
        asked after all, so everyone gets an error of their own. Nobody waits for others while
        others wait for them; so ``make`` must not wait for anything that a waiter may hold, such
        as room. It raises instead, and its caller asks again once it has what it lacked.
        """
        found: dict[Hashable, T] = {}
        promised: dict[Hashable, asyncio.Future[T | None]] = {}
        names = [place if key is None else key for place, key in enumerate(keys)]
        while missing := [place for place, name in enumerate(names) if name not in found]:
            for at in missing:
                if names[at] in self._coming:
                    promised.setdefault(names[at], self._coming[names[at]])
            mine = {names[at]: at for at in reversed(missing) if names[at] not in promised}
            if mine:
                found.update(await self._made(mine, keys, make))
                continue
            name = names[missing[0]]
            thing = await asyncio.shield(promised.pop(name))
            if thing is not None:
                found[name] = thing
        return [found[name] for name in names]

    async def _made(
        self,
        mine: dict[Hashable, int],
        keys: Sequence[Hashable | None],
        make: Callable[[list[int]], Awaitable[list[T]]],
    ) -> dict[Hashable, T]:
        names, places = zip(*sorted(mine.items(), key=itemgetter(1)), strict=True)
        shared = [name for name, place in mine.items() if keys[place] is not None]
        loop = asyncio.get_running_loop()
        coming = {name: loop.create_future() for name in shared}
        self._coming.update(coming)
        made: dict[Hashable, T] = {}
        try:
            made.update(zip(names, await make([*places]), strict=True))
        finally:
            for name, future in coming.items():
                del self._coming[name]
                future.set_result(made.get(name))
        return made
