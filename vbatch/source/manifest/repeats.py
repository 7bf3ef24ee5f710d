"""Rows with the same id: found by hashes, judged by what they ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vbatch.errors import ManifestError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    from vbatch.source.manifest.rows import Claim

REPEAT = 1
"""The row asks what an earlier one asks under the same id: it is not asked again."""
SHARED_PATH = 2
"""Another row claims this row's path as its id: the row gets one made from its content."""

_LISTED = 10


class Suspect(NamedTuple):
    """A row whose id another row may have. ``by_content``: its claim if the path is not its id."""

    row: int
    place: str
    claim: Claim
    by_content: Claim


def rows_to_spare(hashes: array[int]) -> bytes | None:
    """A byte for each row, 0 for those that may share an id; None if none does.

    Equal ids have equal hashes, so none is missed; what 64 bits confuse is told apart afterwards.
    """
    values = np.frombuffer(hashes, np.int64) if hashes else np.empty(0, np.int64)
    ordered = np.sort(values)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return None
    return (~np.isin(values, twice)).astype(np.uint8).tobytes()


def judge(suspects: Iterable[Suspect], rows: int) -> bytes:
    """A flag for each row of the manifest: 0, ``REPEAT`` or ``SHARED_PATH``.

    Raises:
        ManifestError: rows with one id ask different things; ten of them are listed.
    """
    flags = bytearray(rows)
    groups: dict[str, list[Suspect]] = {}
    for suspect in suspects:
        groups.setdefault(suspect.claim.id, []).append(suspect)
    for group in [group for group in groups.values() if len(group) > 1]:
        for suspect in [suspect for suspect in group if suspect.claim.by_path]:
            flags[suspect.row] = SHARED_PATH
            group.remove(suspect)
            groups.setdefault(suspect.by_content.id, []).append(suspect)
    clashes: list[str] = []
    for claimed, group in groups.items():
        first, *others = sorted(group, key=lambda suspect: suspect.row) or (None,)
        for other in others:
            if first is not None and other.claim.digest == first.claim.digest:
                flags[other.row] = REPEAT
            elif first is not None:
                clashes.append(f"  {claimed!r:.80}: {first.place} and {other.place}")
    if clashes:
        raise _clash(clashes)
    return bytes(flags)


def _clash(clashes: list[str]) -> ManifestError:
    listed = "\n".join(clashes[:_LISTED])
    more = f"\n  and {len(clashes) - _LISTED} more" if len(clashes) > _LISTED else ""
    return ManifestError(
        f"{len(clashes)} rows have the id of another row that asks something else:\n"
        f"{listed}{more}\nGive each its own id, or leave the ids out."
    )
