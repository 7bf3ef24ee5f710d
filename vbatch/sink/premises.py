"""The folder before a run is in it: made, looked over, or moved out of the way."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vbatch.errors import Corrupt, Mismatch
from vbatch.sink.kept import check_version, read_json
from vbatch.sink.layout import OURS, Layout
from vbatch.sink.lock import Lock
from vbatch.sink.storage import Storage, make_folder, storage_errors
from vbatch.sink.trust import close_to_others

if TYPE_CHECKING:
    from pathlib import Path

    from vbatch.clock import Clock


def set_aside(layout: Layout, clock: Clock, storage: Storage) -> Path:
    """Rename the run that is there, unless a process works on it; return its new name."""
    lock = Lock(layout.lock, clock)
    try:
        moment = datetime.fromtimestamp(clock.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
        root = layout.root.resolve()  # the run itself, not the link that leads to it
        name = f"{root.name}.{moment}"
        new = root.with_name(name)
        count = 1
        while new.exists():
            count += 1
            new = root.with_name(f"{name}-{count}")
        with storage_errors(root):
            storage.rename(root, new)
            storage.sync_folder(new.parent)
    finally:
        lock.release()
    return new


def refuse_foreign(layout: Layout) -> None:
    """Raise ``Mismatch`` for a newer vbatch's run, and for a folder with files like a run's."""
    if layout.run_json.is_file():
        with suppress(Corrupt):
            check_version(read_json(layout.run_json), layout.run_json)
    found = [name for name in OURS if (layout.root / name).exists()]
    if found and not layout.hidden.is_dir():
        raise Mismatch(
            f"{layout.root} has {', '.join(found)} but no .vbatch: it is no run that can go on, "
            "and nothing in it is touched. Choose another output"
        )


def make_folders(layout: Layout, storage: Storage) -> None:
    """Make the run's folders; what is hidden is the owner's only."""
    make_folder(storage, layout.root.resolve())
    make_folder(storage, layout.hidden)
    close_to_others(layout)
    for folder in layout.folders():
        if folder != layout.table("superseded"):
            make_folder(storage, folder)
