"""What the next command does first: commit what was not committed, up to the torn tail."""

from __future__ import annotations

from contextlib import suppress
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
    _sync_names(layout, storage)
    books.remove_leftovers()
    _remove_committed(layout, storage, books.commit.n)
    books.check_parts()
    live = uncommitted(layout, books.commit.n, boot=boot)
    if live and segments.read_header(layout.segment(live[-1].number)).boot != boot:
        books.note_power_cut()
    for closed in live:
        books.commit_segment(closed)
    books.tidy()


def uncommitted(layout: Layout, n: int, *, boot: str) -> list[Closed]:
    """The segments that commit ``n`` does not hold, each up to where it counts: only looks.

    Raises ``Corrupt`` as ``recover`` does.
    """
    live = [number for number in layout.segments() if number > n]
    for expected, number in enumerate(live, n + 1):
        if number != expected:
            raise Corrupt(
                f"{layout.segment(expected)} is missing, {layout.segment(number)} is there. "
                "Restore it from a copy, or start over with --fresh"
            )
    return _ends(layout, live, boot)


def _sync_names(layout: Layout, storage: Storage) -> None:
    """Before anything is removed: a killed command may have left names only in the cache.

    A power cut could take back a commit, and not the removal of the segment it stands for.
    """
    with suppress(OSError):  # a folder that was made for us need not be ours to open
        storage.sync_folder(layout.root.parent)
    with storage_errors(layout.root):
        for folder in layout.folders():
            if folder.is_dir():
                storage.sync_folder(folder)


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
    if damage.ended if same_boot else damage.synced > damage.offset:
        raise Corrupt(
            f"{path}, offset {damage.offset}: a record is not as it was written, and no kill and "
            "no power cut does that. Restore the file from a copy, or start over with --fresh"
        )
    return damage.offset
