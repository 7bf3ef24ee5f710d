"""Where the runs come from that are killed here, and the disks that they fill."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.crash.disks import SmallDisks
from tests.crash.processes import Nursery


@pytest.fixture(scope="session")
def _nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


@pytest.fixture
def nursery(_nursery):
    """Real runs: ``nursery.fork("run", job, cwd=…)``."""
    yield _nursery
    _nursery.end_all()


@pytest.fixture
def small_disks(tmp_path):
    """Disks of a few hundred KiB: ``small_disks.mount(size=300)``."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root")
    disks = SmallDisks(tmp_path)
    yield disks
    disks.close()
