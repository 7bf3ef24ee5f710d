"""Where each id of a run stands, in 20 bytes a row.

Two 64-bit hashes, of the id and of the row digest, in arrays sorted by the first, and the part:
positive for an answer, negative for a failure. ``hash()`` is keyed anew in every process, so
nobody can prepare a manifest whose ids collide; and nothing is dropped from a table on the word
of a hash alone.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Hashes = NDArray[np.int64]
    Places = NDArray[np.int32]


_LARGE = 1 << 16
"""Runs this long are left as they are: merging takes twice their room for a moment."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Entries sorted by ``ids``, each id once."""

    ids: Hashes
    digests: Hashes
    places: Places

    def __len__(self) -> int:
        return len(self.ids)


class Index:
    """The newest standing of every id. Reading threads may go on while one thread adds."""

    def __init__(self) -> None:
        self._runs: tuple[_Run, ...] = ()
        self._views: tuple[tuple[Any, Any, Any], ...] = ()

    def load(self, entries: Iterable[tuple[Iterable[str], Iterable[str], int]]) -> None:
        """Begin with ids, digests and place of many parts; later ones win."""
        hashed, hashed_digests = array("q"), array("q")  # they grow in place: no piece lies about
        places, counts = array("i"), array("q")
        for ids, digests, place in entries:
            before = len(hashed)
            hashed.extend(map(hash, ids))
            hashed_digests.extend(map(hash, digests))
            places.append(place)
            counts.append(len(hashed) - before)
        columns = [np.repeat(places, counts), np.asarray(hashed_digests), np.asarray(hashed)]
        del hashed, hashed_digests
        self._set((_sorted(columns),))

    def add(self, ids: Iterable[str], digests: Iterable[str], place: int) -> None:
        """Add a part's rows; what stood under these ids is forgotten."""
        runs = [*self._runs, _merged([_raw(ids, digests, place)])]
        while len(runs) > 1 and len(runs[-2]) <= min(2 * len(runs[-1]), _LARGE):
            runs[-2:] = [_merged(runs[-2:])]
        self._set(tuple(runs))

    def find(self, ids: Sequence[str], digests: Sequence[str]) -> tuple[list[int], list[bool]]:
        """Each id's place, 0 if it has none, and whether it stands there with this digest."""
        wanted, wanted_digests = _hashes(ids), _hashes(digests)
        places = np.zeros(len(wanted), np.int32)
        same = np.zeros(len(wanted), np.bool_)
        for run in self._runs:
            at = np.searchsorted(run.ids, wanted)
            at[at == len(run)] = 0
            hit = run.ids[at] == wanted
            places[hit] = run.places[at][hit]
            same[hit] = (run.digests[at] == wanted_digests)[hit]
        return places.tolist(), same.tolist()

    def get(self, row_id: str, digest: str) -> tuple[int, bool]:
        """As ``find``, for one row and without numpy's overhead."""
        wanted = hash(row_id)
        for ids, digests, places in reversed(self._views):
            at = bisect_left(ids, wanted)
            if at < len(ids) and ids[at] == wanted:
                return places[at], digests[at] == hash(digest)
        return 0, False

    def place(self, row_id: str) -> int:
        """The id's place, 0 if it has none."""
        return self.get(row_id, "")[0]

    @property
    def answered(self) -> int:
        """How many ids stand as answered."""
        return self._count(lambda places: places > 0)

    @property
    def failed(self) -> int:
        """How many ids stand as failed."""
        return self._count(lambda places: places < 0)

    def frozen(self) -> Index:
        """The index as it is now, whatever is added later."""
        index = Index()
        index._set(self._runs)
        return index

    def _count(self, which: Any) -> int:
        merged = _merged(list(self._runs)) if len(self._runs) > 1 else None
        runs = self._runs if merged is None else (merged,)
        return sum(int(np.count_nonzero(which(run.places))) for run in runs)

    def _set(self, runs: tuple[_Run, ...]) -> None:
        runs = tuple(run for run in runs if len(run))
        self._views = tuple((run.ids.data, run.digests.data, run.places.data) for run in runs)
        self._runs = runs


class Lookup:
    """From an id to its place in a sequence, in 12 bytes an id, each of which is there once."""

    def __init__(self, ids: Iterable[str]) -> None:
        hashes = _hashes(ids)
        order = np.argsort(hashes)
        self._hashes = hashes[order]
        self._order = order.astype(np.int32)

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, row_id: str) -> int:
        """The id's place, -1 if it has none; by a hash alone."""
        wanted = hash(row_id)
        at = bisect_left(self._hashes.data, wanted)
        if at < len(self._hashes) and self._hashes[at] == wanted:
            return int(self._order[at])
        return -1


def _hashes(texts: Iterable[str]) -> Hashes:
    return np.fromiter(map(hash, texts), np.int64)


def _raw(ids: Iterable[str], digests: Iterable[str], place: int) -> _Run:
    hashed = _hashes(ids)
    return _Run(hashed, _hashes(digests), np.full(len(hashed), place, np.int32))


def _merged(runs: list[_Run]) -> _Run:
    """All entries as one run; of those with one id the last stays."""
    names = ("places", "digests", "ids")
    return _sorted([np.concatenate([getattr(run, name) for run in runs]) for name in names])


def _sorted(columns: list[NDArray[Any]]) -> _Run:
    """A run of places, digests and ids, which are taken out of ``columns``.

    Each is let go of once it is in order: this takes 36 bytes a row for a moment, of which 20 stay.
    """
    ids = columns.pop()
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if (ids[1:] == ids[:-1]).any():
        last = np.append(ids[1:] != ids[:-1], [True])
        ids, order = ids[last], order[last]
    digests = columns.pop()[order]
    return _Run(ids, digests, columns.pop()[order])
