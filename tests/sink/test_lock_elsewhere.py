"""Holders on other machines are judged by what they wrote."""

from __future__ import annotations

import os
import socket

import pytest

from tests.sink.locks import HOUR_S, Waits, leave, names, note, take
from tests.sink.rows import T0, Still
from vbatch.clock import SystemClock
from vbatch.errors import Locked
from vbatch.sink import holder as holding
from vbatch.sink.holder import DEAD_AFTER_S, read_holder
from vbatch.sink.lock import BEAT_EVERY_S, is_held
from vbatch.sink.taking import WATCH_S


def test_a_holder_elsewhere_that_beats_is_refused_though_its_lock_does_not_reach_us(lock_file):
    leave(lock_file, note())
    waits = Waits()
    with pytest.raises(Locked, match="process 12 on far"):
        take(lock_file, wait=waits)
    assert waits.waited == 0
    leave(lock_file, note(beat_at=lock_file.stat().st_mtime))
    assert is_held(lock_file)


@pytest.mark.parametrize("flock", [False, True], ids=["does not reach", "outlived its holder"])
def test_a_holder_elsewhere_that_is_silent_for_two_minutes_is_followed(lock_file, ghost, flock):
    leave(lock_file, note(beat_at=T0 - DEAD_AFTER_S), silent_s=DEAD_AFTER_S)
    if flock:
        ghost(lock_file)
    assert not is_held(lock_file, Still(lock_file.stat().st_mtime + DEAD_AFTER_S))

    waits = Waits()
    held = take(lock_file, wait=waits)
    assert waits.waited == WATCH_S
    assert read_holder(lock_file) == held.holder
    assert is_held(lock_file, Still())
    with pytest.raises(Locked, match=str(os.getpid())):
        take(lock_file)
    held.release()
    take(lock_file).release()
    assert names(lock_file) == ["lock"]


@pytest.mark.parametrize("flock", [False, True], ids=["does not reach", "reaches"])
@pytest.mark.parametrize("ahead_s", [-HOUR_S, HOUR_S])
def test_a_holder_whose_clock_is_wrong_is_seen_to_live(lock_file, ghost, flock, ahead_s):
    """Its notes look an hour old, or come from the future; so do the times of its files."""
    leave(lock_file, note(beat_at=T0 + ahead_s), silent_s=-ahead_s)
    if flock:
        ghost(lock_file)
    beating = Waits(
        BEAT_EVERY_S, lambda: lock_file.write_bytes(note(beat_at=T0 + ahead_s + 10).note())
    )

    with pytest.raises(Locked, match="process 12 on far"):
        take(lock_file, wait=beating)
    assert beating.waited == BEAT_EVERY_S


def test_a_holder_that_lets_go_while_it_is_watched_is_followed_at_once(lock_file):
    leave(lock_file, note(beat_at=T0 - HOUR_S), silent_s=HOUR_S)
    ending = Waits(3, lambda: lock_file.write_bytes(note(released=True).note()))
    take(lock_file, wait=ending).release()
    assert ending.waited == 3


@pytest.mark.parametrize("host", ["far", socket.gethostname()])
def test_a_holder_elsewhere_that_let_go_is_followed_at_once(lock_file, host):
    leave(lock_file, note(host=host, released=True))
    waits = Waits()
    take(lock_file, wait=waits).release()
    assert waits.waited == 0


def test_after_a_reboot_the_run_goes_on_at_once(lock_file):
    before = note(host=socket.gethostname(), boot="before", beat_at=1000.0)
    leave(lock_file, before, silent_s=HOUR_S)
    waits = Waits()
    take(lock_file, SystemClock(), wait=waits).release()
    assert waits.waited == 0


@pytest.mark.parametrize("flock", [False, True])
def test_a_namesake_may_be_this_machine_before_a_reboot_and_is_watched(lock_file, ghost, flock):
    leave(lock_file, note(host=socket.gethostname()))
    if flock:
        ghost(lock_file)
    beating = Waits(5, lambda: lock_file.write_bytes(note(beat_at=T0 + 10).note()))
    with pytest.raises(Locked, match="process 12"):
        take(lock_file, wait=beating)

    leave(lock_file, note(host=socket.gethostname()))
    silent = Waits()
    take(lock_file, wait=silent).release()
    assert silent.waited == WATCH_S


def test_machines_that_name_no_boot_are_known_by_their_host(lock_file, monkeypatch):
    monkeypatch.setattr(holding, "boot_id", lambda: "")
    leave(lock_file, note(boot=""))
    with pytest.raises(Locked, match="far"):
        take(lock_file)

    leave(lock_file, note(boot="", host=socket.gethostname()))
    take(lock_file).release()
