"""Whether a run's folder is ours: nobody else made it, and nothing in it leads elsewhere.

A run keeps a profile, and the profile says where the key goes; so what somebody else prepared, in a
folder that several people can write, is never taken for a run.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from vbatch.errors import Mismatch
from vbatch.sink.layout import TABLES
from vbatch.sink.storage import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vbatch.sink.layout import Layout

_ROOT = 0
_OTHERS = 0o077


def refuse_planted(layout: Layout) -> None:
    """Raise ``Mismatch`` for links inside the run, and for hidden files of somebody else.

    Raises ``Corrupt`` if the run may not be looked at.

    The run itself may lie behind a link. Root may go on with anybody's run, as in a container.
    """
    me = os.geteuid()
    public = [table for table in TABLES if table != "failed"]
    _refuse_links([layout.hidden, *map(layout.table, public)])
    for table in public:
        _refuse_links(layout.part(table, number) for number in layout.parts(table))
    for path, status in _kept_files(layout.hidden):
        if stat.S_ISLNK(status.st_mode):
            raise _linked(path)
        if _ROOT != me != status.st_uid != _ROOT and status.st_uid != _whose_files_are(layout):
            raise Mismatch(
                f"{path} was made by user {status.st_uid}, not by you ({me}): a run says where "
                "the key is sent, so only your own is gone on with. Choose another output"
            )


def close_to_others(layout: Layout) -> None:
    """Take from everybody else what an older umask gave them."""
    if layout.hidden.stat().st_mode & _OTHERS:
        with suppress(OSError):  # a disk that knows no modes, or whose owner is another
            layout.hidden.chmod(0o700)


def _refuse_links(paths: Iterable[Path]) -> None:
    for path in paths:
        if _is_link(path):
            raise _linked(path)


def _is_link(path: Path) -> bool:
    with reading(path):
        try:
            return stat.S_ISLNK(path.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def _kept_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All below ``folder``, and the folder; what cannot be looked at is found by who needs it."""
    with suppress(OSError):
        yield folder, folder.lstat()
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(OSError):
                path = Path(here, name)
                yield path, path.lstat()


def _whose_files_are(layout: Layout) -> int:
    """The owner that a file of ours gets there: a network disk may call everybody the same."""
    try:
        with TemporaryFile(dir=layout.root) as file:
            return os.fstat(file.fileno()).st_uid
    except OSError:
        return os.geteuid()


def _linked(path: Path) -> Mismatch:
    return Mismatch(
        f"{path} is a link, and a run is never written through one. Remove it, or choose another "
        "output"
    )
