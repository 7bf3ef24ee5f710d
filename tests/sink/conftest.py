"""A place for a lock, and a lock that a server keeps for a machine that is no more."""

from __future__ import annotations

import fcntl
import os

import pytest


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
