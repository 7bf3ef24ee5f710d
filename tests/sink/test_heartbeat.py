"""A holder says that it is alive, and sees when the run is no longer its own."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from tests.crash.processes import wait_until
from tests.sink.locks import HOUR_S, leave_anew, note, take
from tests.sink.rows import T0, Still
from vbatch.errors import Locked, StorageFull
from vbatch.sink import lock as locking
from vbatch.sink.holder import boot_id, read_holder
from vbatch.sink.lock import STALE_AFTER_S, is_held


def test_the_note_says_who_and_when_and_whether_it_let_go(lock_file):
    clock = Still()
    held = take(lock_file, clock)
    clock.now += 20
    held.beat()

    found = read_holder(lock_file)
    assert (found.pid, found.boot) == (os.getpid(), boot_id())
    assert (found.host, found.token) == (socket.gethostname(), held.holder.token)
    assert found.beat_at == found.started_at + 20
    held.release()
    assert read_holder(lock_file).released
    held.beat()
    assert read_holder(lock_file).released


def test_the_heart_beats_by_itself_until_the_end(lock_file, monkeypatch):
    monkeypatch.setattr(locking, "BEAT_EVERY_S", 0.001)
    clock = Still()
    held = take(lock_file, clock)
    for now in (T0 + 100, T0 + 300):
        clock.now = now
        wait_until(lambda: read_holder(lock_file).beat_at == clock.now)
    hearts = [thread for thread in threading.enumerate() if thread.name == "vbatch-heartbeat"]
    held.release()
    for heart in hearts:
        heart.join()
    assert read_holder(lock_file).beat_at == T0 + 300
    assert read_holder(lock_file).released


def test_a_heart_that_finds_another_holder_stops_and_says_so(lock_file, monkeypatch):
    monkeypatch.setattr(locking, "BEAT_EVERY_S", 0.001)
    held = take(lock_file)
    lock_file.unlink()
    wait_until(lambda: held.stale)

    with pytest.raises(Locked, match=r"lock of .*run was taken away while this process held it"):
        held.confirm()
    held.release()


def test_a_disk_that_fails_for_a_moment_only_delays_the_heart(lock_file, monkeypatch):
    monkeypatch.setattr(locking, "BEAT_EVERY_S", 0.001)
    held = take(lock_file)
    failures, beat = [], held.beat

    def beat_later() -> None:
        if len(failures) < 3:
            failures.append(1)
            raise StorageFull("not now")
        beat()

    held.beat = beat_later
    held._clock.now += 50
    wait_until(lambda: read_holder(lock_file).beat_at == T0 + 50)
    assert len(failures) == 3
    held.release()


def test_whoever_slept_looks_before_anything_else(lock_file):
    clock = Still()
    held = take(lock_file, clock)
    for step in (STALE_AFTER_S + 1, -HOUR_S):
        clock.now += step
        assert held.stale
        held.confirm()
        assert not held.stale
        assert read_holder(lock_file).beat_at == clock.now
    held.release()


def test_a_wall_clock_that_was_set_back_by_as_much_hides_no_sleep(lock_file):
    clock = Still()
    held = take(lock_file, clock)
    clock.time = lambda: T0
    clock.now += STALE_AFTER_S + 1
    assert held.stale
    held.release()


@pytest.mark.parametrize("slept", [True, False])
def test_whoever_lost_the_run_stops_whether_or_not_its_clock_says_that_it_slept(lock_file, slept):
    clock = Still()
    held = take(lock_file, clock)
    leave_anew(lock_file, note(beat_at=clock.now))
    clock.now += HOUR_S if slept else 0

    for _ in range(2):
        with pytest.raises(Locked, match="run was taken over by process 12 on far, since 2023"):
            held.confirm()
    with pytest.raises(Locked):
        held.beat()
    assert held.stale
    held.release()
    assert read_holder(lock_file) == note(beat_at=T0), "what it leaves behind is the other's"


def test_a_note_that_is_not_ours_in_our_own_file_is_another_holder_too(lock_file):
    held = take(lock_file)
    lock_file.write_bytes(note().note())
    with pytest.raises(Locked, match="far"):
        held.beat()
    held.release()


def test_a_copy_of_our_lock_is_no_lock_of_ours(lock_file):
    """As a backup, or a sync of folders, would put it back."""
    held = take(lock_file)
    leave_anew(lock_file, held.holder)
    for look in (held.beat, held.confirm):
        with pytest.raises(Locked, match="was taken away"):
            look()
    held.release()


def test_a_note_that_was_torn_is_written_again(lock_file):
    held = take(lock_file)
    lock_file.write_bytes(b"{")
    held.confirm()
    held.beat()
    assert read_holder(lock_file) == held.holder
    held.release()


def test_a_lock_that_was_removed_is_never_held_twice(lock_file):
    first = take(lock_file)
    lock_file.unlink()
    second = take(lock_file)

    with pytest.raises(Locked, match=str(second.holder)):
        first.confirm()
    second.confirm()
    first.release()
    second.confirm()
    assert is_held(lock_file, Still())
    second.release()
