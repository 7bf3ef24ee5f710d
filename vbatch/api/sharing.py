"""Where runs of one user find each other, to share what an endpoint allows them together."""

from __future__ import annotations

import os
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.endpoint.ledger import LedgerFile, ledger_name
from vbatch.endpoint.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vbatch.endpoint.ledger import Common, Ledger
    from vbatch.endpoint.settings import ClientSettings
    from vbatch.job import Job

_MOUNTS = Path("/proc/self/mounts")
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "lustre", "ceph", "gpfs", "beegfs")


def state_folder() -> Path:
    """Where vbatch keeps what is no run's: ``$XDG_STATE_HOME/vbatch``, on macOS in the Library.

    Raises RuntimeError for a user without a home.
    """
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        return named / "vbatch"
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "vbatch"
    return home / ".local" / "state" / "vbatch"


@contextmanager
def ledger_of(job: Job) -> Iterator[Ledger | None]:
    """What runs that ask the same endpoint with the same key share; None where nobody else can."""
    if job.starts_endpoint:
        yield None
        return
    try:
        ledger = _open(settings_of(job, connections=1))
    except OSError as error:
        yield Unusable(error)
        return
    with closing(ledger):
        yield ledger


class Unusable:
    """No ledger, and why."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def change(self, now: float, change: Callable[[Common], None]) -> None:  # noqa: ARG002
        """See ``ledger.Ledger``."""
        raise self._error


def _open(settings: ClientSettings) -> LedgerFile:
    try:
        folder = state_folder() / "limits"
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from None
    if (kind := _kind_of_disk(folder)).startswith(_REMOTE):
        raise OSError(f"{folder} lies on a disk of kind {kind}, which may be another machine's")
    return LedgerFile(folder / ledger_name(settings))


def _kind_of_disk(folder: Path) -> str:
    """What the disk is called on which ``folder`` lies or would lie; empty where nobody says."""
    place = folder.resolve()
    try:
        mounts = [line.split() for line in _MOUNTS.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    under = [(len(m[1]), m[2]) for m in mounts if place.is_relative_to(m[1])]
    return max(under, default=(0, ""))[1]
