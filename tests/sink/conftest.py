"""A run to open, a place for a lock, and a lock of a machine that is no more."""

from __future__ import annotations

import fcntl
import os

import pytest

from tests.sink.clocks import ByHand
from tests.sink.disks import Quick
from vbatch.sink.run_folder import RunFolder


@pytest.fixture
def lock_file(tmp_path):
    """Where the lock of a run is to be."""
    folder = tmp_path / "run" / ".vbatch"
    folder.mkdir(parents=True)
    return folder / "lock"


@pytest.fixture
def ghost():
    """Hold the flock of a file as if its server did so for a machine that is no more."""
    held = []

    def haunt(lock_file) -> None:
        held.append(os.open(lock_file, os.O_RDWR))
        fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)

    yield haunt
    for fd in held:
        os.close(fd)


@pytest.fixture
def opened(tmp_path):
    """Open the run, as often as a test likes; what is still open is closed at the end."""
    folders = []

    def open_folder(invocation="i1", **changes) -> RunFolder:
        fields = {"clock": ByHand(), "storage": Quick()}
        folder = RunFolder.open(tmp_path / "run", invocation=invocation, **{**fields, **changes})
        folders.append(folder)
        return folder

    yield open_folder
    for folder in folders:
        folder.close()
