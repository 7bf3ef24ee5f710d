"""Odd disks, odd notes, odd machines."""

from __future__ import annotations

import errno as os_errors
import os
import sys

import orjson
import pytest

from tests.sink.locks import fail, held_by_us, names, note, take
from vbatch.clock import SystemClock
from vbatch.errors import Locked, StorageFull
from vbatch.sink import holder as holding
from vbatch.sink import taking
from vbatch.sink.holder import boot_id, booted_at, read_holder, read_note
from vbatch.sink.lock import is_held


def test_a_folder_that_takes_no_lock_is_storage_trouble(tmp_path):
    (tmp_path / "no").write_text("a file")
    with pytest.raises(StorageFull):
        take(tmp_path / "no" / "lock")
    assert not is_held(tmp_path / "no" / "lock")
    assert read_holder(tmp_path / "no" / "lock") is None


def test_a_run_that_is_moved_while_it_is_taken_is_somebody_elses(tmp_path):
    with pytest.raises(Locked, match="moved or removed just now"):
        take(tmp_path / "gone" / ".vbatch" / "lock")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_file_is_not_waited_for(lock_file, kind):
    match kind:
        case "folder":
            lock_file.mkdir()
        case "pipe":
            os.mkfifo(lock_file)
        case "link":
            lock_file.symlink_to("/nowhere")
    with pytest.raises(StorageFull, match="lock"):
        take(lock_file)
    assert not is_held(lock_file)
    assert read_holder(lock_file) is None


@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_disk_without_locks_is_refused_in_plain_words(lock_file, monkeypatch, number):
    monkeypatch.setattr(taking, "lock_descriptor", fail(getattr(os_errors, number)))
    with pytest.raises(StorageFull, match=r"takes no locks .*another disk"):
        take(lock_file)
    assert names(lock_file) == []


def test_a_disk_that_breaks_while_it_locks_is_named(lock_file, monkeypatch):
    monkeypatch.setattr(taking, "lock_descriptor", fail(os_errors.EIO))
    with pytest.raises(StorageFull, match="Input/output"):
        take(lock_file)


def test_a_disk_without_hard_links_is_locked_by_flock_alone(lock_file, monkeypatch):
    monkeypatch.setattr(os, "link", fail(os_errors.EPERM))
    with held_by_us(lock_file), pytest.raises(Locked):
        take(lock_file)
    monkeypatch.setattr(os, "link", fail(os_errors.EIO))
    with pytest.raises(StorageFull):
        take(lock_file)


def test_a_disk_that_never_says_the_same_ends_in_a_refusal(lock_file, monkeypatch):
    take(lock_file).release()
    monkeypatch.setattr(taking, "_is_at", lambda lock_file, fd: False)
    with pytest.raises(Locked, match="another process"):
        take(lock_file)


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": 0},
        {"pid": -1},
        {"pid": 2**40},
        {"pid": "x"},
        {"started_at": 1e300},
        {"beat_at": -5},
        {"token": "../../up"},
        {"token": "a" * 65},
        {"host": None, "boot": None, "pid": None},
    ],
)
def test_a_note_that_no_holder_can_have_written_is_none(lock_file, changes):
    fields = orjson.loads(note().note())
    assert read_note(orjson.dumps(fields | changes)) is None
    lock_file.write_bytes(orjson.dumps(fields | changes))
    take(lock_file).release()


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"\x00" * 9, b"{}"])
def test_what_is_no_note_names_nobody(lock_file, ghost, data):
    assert read_note(data) is None
    lock_file.write_bytes(data)
    assert not is_held(lock_file)
    ghost(lock_file)
    assert is_held(lock_file)
    with pytest.raises(Locked, match="by another process"):
        take(lock_file)


def test_a_note_plays_no_tricks_on_a_terminal():
    assert "\x1b" not in str(read_note(note(host="a\x1b[2Jb").note()))


def test_a_long_host_name_fits_into_the_note():
    longest = note(host="h" * 255, token="f" * 16, boot="b" * 36, pid=2**31 - 1)
    assert len(longest.note()) == len(note().note())


@pytest.fixture
def fresh_boot_id():
    boot_id.cache_clear()
    yield
    boot_id.cache_clear()


@pytest.mark.usefixtures("fresh_boot_id")
@pytest.mark.parametrize(("platform", "name"), [("darwin", "boot-1"), ("other", "")])
def test_machines_without_proc_name_their_boot_by_sysctl_if_at_all(monkeypatch, platform, name):
    monkeypatch.setattr(holding, "_BOOT_ID", holding.Path("/nowhere"))
    monkeypatch.setattr(holding.sys, "platform", platform)
    monkeypatch.setattr(holding, "_SYSCTL", [sys.executable, "-c", "print('boot-1')"])
    assert boot_id() == name


def test_when_the_machine_started_is_unknown_where_it_does_not_say(monkeypatch):
    clock = SystemClock()
    monkeypatch.setattr(holding, "_UPTIME", holding.Path("/nowhere"))
    assert booted_at(clock) == 0.0
