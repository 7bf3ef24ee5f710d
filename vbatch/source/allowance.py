"""How many bytes of a row's files may be read before more room is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

FIRST_GUESS_BYTES = 1_000_000
LEAST_GUESS_BYTES = 64_000
_OVER = 16
"""Files that the usual size is a mean of, the last ones most."""


class Room(Protocol):
    """Bytes that may be held in memory, for whoever reads something of unknown size."""

    def grow(self, n: int) -> bool:
        """Hold ``n`` bytes more if that is possible at once."""

    async def wait_to_grow(self, n: int) -> None:
        """Hold ``n`` bytes more."""


class NoRoomError(Exception):
    """There is no room just now for what is read: ``missing`` bytes beyond the ``held`` ones."""

    def __init__(self, *, held: int, missing: int) -> None:
        self.held = held
        self.missing = missing


class Allowance:
    """What may be read of a row's files; everything, where nobody counts."""

    def __init__(self, granted_bytes: int | None) -> None:
        self._granted_bytes = granted_bytes
        self._used_bytes = 0
        self.kept: dict[Hashable, object] = {}
        """What was made of the files that were read: it is not read again for want of room."""

    def use(self, size_bytes: int, *, further: Iterable[int] = ()) -> None:
        """Read so much more. Raises NoRoomError, with all that the ``further`` files need."""
        used = self._used_bytes + size_bytes
        if self._granted_bytes is not None and used > self._granted_bytes:
            needed = used + sum(further)
            raise NoRoomError(held=self._granted_bytes, missing=needed - self._granted_bytes)
        self._used_bytes = used

    def grant(self, bytes_in_all: int) -> None:
        """So much may be read in all, with what was read before."""
        self._granted_bytes = bytes_in_all


class Usual:
    """How large files usually are, so that nobody has to look at one on the event loop."""

    def __init__(self) -> None:
        self._mean = FIRST_GUESS_BYTES / 2

    @property
    def guess(self) -> int:
        """Bytes to reserve for a file that was not looked at: most are not larger."""
        return max(LEAST_GUESS_BYTES, int(2 * self._mean))

    def note(self, size_bytes: int) -> None:
        """A file had this size. Of two threads at once one may go unheard."""
        self._mean += (size_bytes - self._mean) / _OVER
