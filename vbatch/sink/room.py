"""Whether the disk still has room for the answers on their way: they are paid for already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbatch.errors import StorageFull
from vbatch.sink import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEAST_BYTES = 8 << 10
"""What an answer may need before one was seen."""
_CAUTION = 2
"""So many times the longest answer seen, for each on its way: the next may be longer."""


class Room:
    """Follows what is on its way. ``free_bytes`` asks the disk."""

    def __init__(self, free_bytes: Callable[[], int]) -> None:
        self._free_bytes = free_bytes
        self._open: set[str] = set()
        self._longest = _LEAST_BYTES

    def lack(self, entries: Sequence[codec.Entry], size_bytes: int) -> StorageFull | None:
        """Take note of recorded entries, ``size_bytes`` in all; why no more may be asked."""
        asked = {entry[1] for entry in entries if entry[0] == codec.ASKED}
        ended = [entry[1] for entry in entries if entry[0] != codec.ASKED]
        self._open |= asked
        self._open.difference_update(ended)
        if ended:
            self._longest = max(self._longest, size_bytes // len(ended))
        need = len(self._open) * self._longest * _CAUTION
        if not asked or (free := self._free_bytes()) >= need:
            return None
        return StorageFull(
            f"No space left for the {len(self._open):,} answers on their way: {free:,} bytes are "
            f"free, they may need {need:,}. Make room, then run the same command again: nothing "
            "is lost"
        )
