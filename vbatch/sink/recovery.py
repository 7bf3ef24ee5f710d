"""What the next command does first: commit what was not committed, up to the torn tail."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from vbatch.errors import Corrupt
from vbatch.sink import segments
from vbatch.sink.journal import Closed
from vbatch.sink.storage import Storage, storage_errors

if TYPE_CHECKING:
    from pathlib import Path

    from vbatch.sink.books import Books
    from vbatch.sink.layout import Layout


def recover(layout: Layout, storage: Storage, books: Books, *, boot: str) -> None:
    """Bring the tables to where the journal is, and leave no segment.

    ``boot`` names this start of the machine: within one, only the last write can be torn; after
    another start, everything that was not synced can. Raises ``Corrupt`` for anything else.
    """
    books.remove_leftovers()
    _remove_committed(layout, storage, books.commit.n)
    books.check_parts()
    live = layout.segments()
    if live and segments.read_header(layout.segment(live[-1])).boot != boot:
        books.note_power_cut()
    for number, closed in zip(live, _ends(layout, live, boot), strict=True):
        if number != books.commit.n + 1:
            raise Corrupt(
                f"{layout.segment(books.commit.n + 1)} is missing, {layout.segment(number)} is "
                "there. Restore it from a copy, or start over with --fresh"
            )
        books.commit_segment(closed)
    books.tidy()


def _remove_committed(layout: Layout, storage: Storage, n: int) -> None:
    with storage_errors(layout.hidden):
        for number in layout.segments():
            if number <= n:
                storage.remove(layout.segment(number))
        for number in layout.commit_numbers():
            if number < n:
                storage.remove(layout.commit(number))


def _ends(layout: Layout, live: list[int], boot: str) -> list[Closed]:
    """Up to where each segment counts: as the next one says, or as far as the last one is whole."""
    closed = []
    for number, following in pairwise(live):
        end = segments.read_header(layout.segment(following)).follows
        if end is None:
            raise Corrupt(f"{layout.segment(following)} does not follow {layout.segment(number)}")
        closed.append(Closed(number=number, end=end))
    if live:
        path = layout.segment(live[-1])
        closed.append(Closed(number=live[-1], end=_whole_up_to(path, boot)))
    return closed


def _whole_up_to(path: Path, boot: str) -> int:
    """Where the last segment ends once its torn tail is cut off, in bytes."""
    damage = segments.find_damage(path)
    if damage is None:
        return path.stat().st_size
    same_boot = bool(boot) and segments.read_header(path).boot == boot
    if damage.good_after if same_boot else damage.synced > damage.offset:
        raise Corrupt(
            f"{path}, offset {damage.offset}: a record is torn, and whole ones follow: no kill and "
            "no power cut does that. Restore the file from a copy, or start over with --fresh"
        )
    return damage.offset
