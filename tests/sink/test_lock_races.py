"""Of many who take a run at once one holds it, even where flock is worth nothing."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from tests.sink.locks import HOUR_S, leave, leave_anew, names, note, take
from tests.sink.rows import T0
from vbatch.errors import Locked
from vbatch.sink import holder as holding
from vbatch.sink import lock as locking
from vbatch.sink import taking
from vbatch.sink.holder import read_holder


@pytest.fixture
def machines(monkeypatch):
    """Threads that each are a machine of their own: no flock of one is felt by another."""
    here = threading.local()
    monkeypatch.setattr(socket, "gethostname", lambda: here.name)
    for module in (holding, locking):
        monkeypatch.setattr(module, "boot_id", lambda: f"boot of {here.name}")
    monkeypatch.setattr(taking, "lock_descriptor", lambda fd, **_: fd > 0)

    def each(count, work) -> None:
        start = threading.Barrier(count)

        def live(number) -> None:
            here.name = f"m{number}"
            start.wait()
            work()

        threads = [threading.Thread(target=live, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return each


@pytest.mark.parametrize("last", ["nobody", "somebody dead", "somebody who let go"])
def test_of_machines_that_take_a_run_at_once_one_holds_it(lock_file, machines, last):
    for _ in range(25):
        if last == "nobody":
            lock_file.unlink(missing_ok=True)
        else:
            leave(lock_file, note(released="let go" in last, beat_at=T0 - HOUR_S), silent_s=HOUR_S)
        holders, refusals = [], []

        def contend(holders=holders, refusals=refusals) -> None:
            try:
                holders.append(take(lock_file, wait=shortly))
            except Locked as error:
                refusals.append(error.message)

        machines(4, contend)

        standing = [held for held in holders if stands(held)]
        assert len(holders) == len(standing) == 1
        assert len(refusals) == 3
        assert all("process" in refusal for refusal in refusals)
        assert read_holder(lock_file) == standing[0].holder
        standing[0].release()


def shortly(_seconds) -> None:
    threading.Event().wait(0.0001)


def stands(held) -> bool:
    try:
        held.confirm()
    except Locked:
        return False
    return True


def test_a_taker_that_died_half_way_blocks_nobody(lock_file):
    last, dead = note(released=True, token="a1"), note(token="b2", beat_at=T0 - HOUR_S)
    leave(lock_file, last)
    claim = lock_file.with_name("lock.after-a1")
    leave(claim, dead, silent_s=HOUR_S)
    leave(lock_file.with_name("lock.b2"), dead, silent_s=HOUR_S)

    held = take(lock_file)
    assert read_holder(lock_file) == held.holder
    assert names(lock_file) == ["lock"]
    held.release()


def test_a_taker_elsewhere_that_is_half_way_wins(lock_file):
    leave(lock_file, note(released=True, token="a1"))
    leave(lock_file.with_name("lock.after-a1"), note(host="near", token="b2"))
    with pytest.raises(Locked, match="on near"):
        take(lock_file)


def test_a_claim_that_a_power_cut_emptied_blocks_nobody(lock_file):
    for token in ("a1", "nobody"):
        lock_file.with_name(f"lock.after-{token}").touch()
    leave(lock_file, note(released=True, token="a1"))
    take(lock_file).release()
    lock_file.unlink()
    lock_file.with_name("lock.after-nobody").touch()
    take(lock_file).release()
    assert names(lock_file) == ["lock"]


def test_a_taker_that_was_overtaken_looks_again(lock_file, monkeypatch):
    """It judged the last holder gone, and slept until others had come and gone."""
    leave(lock_file, note(released=True, token="a1"))
    link, overtakers = os.link, [note(released=True, token="c3"), note(token="d4")]

    def late(*names) -> None:
        if overtakers:
            leave_anew(lock_file, overtakers.pop(0))
        link(*names)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(Locked, match="process 12 on far"):
        take(lock_file)
    assert read_holder(lock_file).token == "d4"
    assert names(lock_file) == ["lock"]


def test_a_link_whose_reply_was_lost_is_still_ours(lock_file, monkeypatch):
    link = os.link

    def repeated(*names) -> None:
        link(*names)
        link(*names)

    monkeypatch.setattr(os, "link", repeated)
    held = take(lock_file)
    held.confirm()
    assert read_holder(lock_file).token == held.holder.token
    held.release()
