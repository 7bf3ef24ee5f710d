"""The disk's failures become ours, and files appear whole or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from tests.sink.disks import Failing
from tests.sink.locks import fail
from vbatch.errors import Corrupt, StorageFull
from vbatch.sink import storage
from vbatch.sink.storage import Storage, make_folder, probe, put, reading, storage_errors


def test_a_file_is_put_whole_and_nothing_stays_aside(tmp_path):
    put(Storage(), tmp_path / "a", b"first")
    put(Storage(), tmp_path / "a", b"second")

    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"second")]


@pytest.mark.parametrize("what", ["create", "write", "sync", "rename"])
def test_a_put_that_fails_leaves_the_old_file_and_says_where(tmp_path, what):
    put(Storage(), tmp_path / "a", b"old")
    disk = Failing(lambda step, _: step == what)

    with pytest.raises(StorageFull, match=r"a: No space left .* run the same command again"):
        put(disk, tmp_path / "a", b"new")

    assert (tmp_path / "a").read_bytes() == b"old"
    assert what == "rename" or [p.name for p in tmp_path.iterdir()] == ["a"]


def test_short_writes_are_gone_on_with(tmp_path):
    class Drip(Storage):
        def write(self, fd, data, at):
            return super().write(fd, data[:3], at)

    put(Drip(), tmp_path / "a", b"0123456789")

    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_disk_that_takes_nothing_and_says_nothing_is_full(tmp_path):
    class Deaf(Storage):
        def write(self, fd, data, at):
            return 0

    with pytest.raises(StorageFull):
        put(Deaf(), tmp_path / "a", b"0123456789")


def test_the_reserve_takes_its_room(tmp_path):
    size = Storage().reserve(tmp_path / "r", 1 << 20)

    assert size == 1 << 20
    assert (tmp_path / "r").stat().st_blocks * 512 >= size


def test_the_reserve_is_halved_until_it_fits(tmp_path, monkeypatch):
    def fill(fd, size):
        if size > 100_000:
            raise OSError(errno.EDQUOT, "quota")

    monkeypatch.setattr(storage, "_fill", fill)

    assert Storage().reserve(tmp_path / "r", 1 << 20) == 1 << 16


def test_no_room_for_the_smallest_reserve_is_an_error(tmp_path, monkeypatch):
    def fill(fd, size):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(storage, "_fill", fill)

    with pytest.raises(OSError, match="full"):
        Storage().reserve(tmp_path / "r", 1 << 20)


def test_where_room_cannot_be_asked_for_zeros_are_written(tmp_path, monkeypatch):
    monkeypatch.delattr(storage.os, "posix_fallocate", raising=False)

    Storage().reserve(tmp_path / "r", 1 << 17)

    assert (tmp_path / "r").read_bytes() == bytes(1 << 17)
    monkeypatch.setattr(storage.os, "pwrite", lambda fd, data, at: 1)
    with pytest.raises(OSError, match="No space"):
        Storage().reserve(tmp_path / "s", 1 << 17)


def test_macs_sync_through_the_disks_own_cache(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(storage, "_FULL_SYNC", 51)
    monkeypatch.setattr(storage.fcntl, "fcntl", lambda fd, what: calls.append(what))

    put(Storage(), tmp_path / "a", b"x")

    assert calls == [51]


def test_folders_are_made_with_their_parents_and_hidden_ones_for_the_owner_only(tmp_path):
    make_folder(Storage(), tmp_path / "a" / ".vbatch" / "b")
    make_folder(Storage(), tmp_path / "a" / ".vbatch" / "b")

    assert (tmp_path / "a" / ".vbatch" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a").stat().st_mode & 0o700 == 0o700


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_disk_that_knows_no_sync_of_a_folder_is_used_without_it(tmp_path, monkeypatch, number):
    tried = []

    def refuse(fd):
        tried.append(fd)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)

    Storage().sync_folder(tmp_path)

    assert len(tried) == 1


def test_a_folder_that_a_dying_disk_does_not_sync_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail(errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        Storage().sync_folder(tmp_path)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_that_gives_no_room_beforehand_gets_zeros(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "posix_fallocate", fail(number), raising=False)

    Storage().reserve(tmp_path / "reserve", 1 << 20)

    assert (tmp_path / "reserve").read_bytes() == bytes(1 << 20)


def test_a_folder_that_cannot_be_written_is_found_by_the_probe(tmp_path):
    probe(Storage(), tmp_path)
    assert list(tmp_path.iterdir()) == []

    with pytest.raises(StorageFull, match="Permission denied"):
        probe(Failing(lambda what, _: what == "create", errno.EACCES), tmp_path)


def test_translation_lets_other_errors_through(tmp_path):
    with pytest.raises(KeyError), storage_errors(tmp_path):
        raise KeyError
    with pytest.raises(Corrupt, match=r"cannot be read: odd"), reading(tmp_path):
        raise ValueError("odd")
