"""One process per run, and a message that names it."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest

from tests.sink.rows import Still
from vbatch.errors import Exit, Locked, StorageFull
from vbatch.sink import lock
from vbatch.sink.lock import STALE_AFTER_S, Lock, boot_id, is_held, read_holder


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "run" / ".vbatch"
    folder.mkdir(parents=True)
    return folder / "lock"


def test_a_second_holder_is_refused_and_told_who_holds_it(path):
    first = Lock(path, Still())

    with pytest.raises(Locked, match=r"run is being worked on by process \d+ on .+, since 2023-11"):
        Lock(path, Still())
    assert Locked.exit_code is Exit.LOCKED
    assert is_held(path)
    first.release()

    assert not is_held(path)
    Lock(path, Still()).release()


def test_a_lock_whose_process_died_blocks_nobody(path):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from vbatch.clock import SystemClock; from vbatch.sink.lock import Lock\n"
        "Lock(Path(sys.argv[1]), SystemClock()); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert dead.returncode == -9
    assert read_holder(path) is not None

    assert not is_held(path)
    Lock(path, Still()).release()


def test_the_note_says_host_boot_pid_and_when(path):
    clock = Still()
    held = Lock(path, clock)
    clock.now += 20
    held.beat()

    note = read_holder(path)
    assert note is not None
    assert (note.pid, note.boot, note.host) == (held.holder.pid, boot_id(), held.holder.host)
    assert note.beat_at == note.started_at + 20
    held.release()


def test_whoever_slept_through_his_lease_looks_before_he_writes(path):
    clock = Still()
    held = Lock(path, clock)
    clock.now += STALE_AFTER_S + 1
    assert held.stale
    held.beat()
    assert not held.stale

    clock.now += STALE_AFTER_S + 1
    note = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**note, "pid": 1, "host": "other"}))
    with pytest.raises(Locked, match="process 1 on other"):
        held.beat()
    path.write_bytes(b"?")
    with pytest.raises(Locked, match="another process"):
        held.beat()
    held.release()


def test_a_folder_that_takes_no_lock_is_storage_trouble(tmp_path):
    (tmp_path / "no").write_text("a file")
    with pytest.raises(StorageFull):
        Lock(tmp_path / "no" / "lock", Still())
    assert not is_held(tmp_path / "no" / "lock")
    assert read_holder(tmp_path / "no" / "lock") is None


def test_macs_name_their_boot_by_sysctl(monkeypatch):
    monkeypatch.setattr(lock, "_BOOT_ID", lock.Path("/nowhere"))
    assert boot_id() == "" or sys.platform == "darwin"

    monkeypatch.setattr(lock.sys, "platform", "darwin")
    monkeypatch.setattr(lock, "_SYSCTL", [sys.executable, "-c", "print('boot-1')"])
    assert boot_id() == "boot-1"
