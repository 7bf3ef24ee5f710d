"""Signals to a run in this very process: what is said, and what is kept."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from types import SimpleNamespace

import pytest

import vbatch
from tests.crash.processes import wait_until
from vbatch import api
from vbatch.cli.drive import drive
from vbatch.cli.ending import Ending
from vbatch.cli.signals import Signals
from vbatch.clock import SystemClock
from vbatch.engine import worker
from vbatch.errors import Exit
from vbatch.records import Stop
from vbatch.server import parse_faults

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def send_when(condition, *numbers, pause=0.2):
    """Send signals to ourselves once ``condition`` holds, one after another."""

    def send():
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(pause)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def given_up(err):
    """The ids named as given up, which happens once."""
    (named,) = re.findall(r"^vbatch: given up, and possibly billed: (.*)$", err, re.MULTILINE)
    return {row_id for row_id in named.split(", ") if re.fullmatch(r"r\d+", row_id)}


@pytest.fixture
def hanging(endpoint, workshop):
    """A session whose requests are never answered, and the server."""
    server = endpoint(dialect="openai", faults=parse_faults("hang:1"))
    workshop.rows(50)
    return server, api.session(workshop.job(server.base_url, retry={"drain": "300ms"}))


def test_sigterm_waits_for_answers_no_longer_than_drain(hanging, workshop, capsys):
    server, session = hanging
    thread = send_when(lambda: server.sums["requests"] >= 4, signal.SIGTERM)

    code = drive(session, quiet=False, as_json=False)

    thread.join()
    assert code == 143
    assert session.summary.possibly_billed == 4
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "stopped (signal): by SIGTERM" in last
    assert "50 left, 4 possibly billed" in last
    assert vbatch.open_run(workshop.folder / "run").status()["exit_code"] == 143


def test_a_second_signal_gives_up_at_once(hanging, capsys):
    server, session = hanging
    thread = send_when(lambda: server.sums["requests"] >= 4, signal.SIGINT, signal.SIGINT)

    code = drive(session, quiet=True, as_json=True)

    thread.join()
    out, err = capsys.readouterr()
    assert code == 130
    assert '"possibly_billed": 4' in out
    assert "waiting for answers on their way" in err
    assert len(given_up(err)) == 4


def test_handlers_are_what_they_were_when_a_run_is_over(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    before = [signal.getsignal(number) for number in NUMBERS]

    assert drive(api.session(workshop.job(server.base_url)), quiet=True, as_json=False) == 0

    assert [signal.getsignal(number) for number in NUMBERS] == before


@pytest.mark.parametrize("number", NUMBERS)
def test_only_a_closed_terminal_can_be_ignored_from_the_start(hanging, number):
    _, session = hanging
    clock = SystemClock()
    ending = Ending(session, clock=clock, quiet=True, as_json=False, give_up=os._exit)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Signals(session, ending, clock=clock):
            stays_ignored = signal.getsignal(number) == signal.SIG_IGN
            assert stays_ignored == (number == signal.SIGHUP)
            others = [signal.getsignal(other) for other in NUMBERS if other != number]
            assert signal.SIG_IGN not in others
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)
        ending.rest()


def test_a_list_of_what_may_be_billed_has_an_end(capsys):
    ids = [f"row {n}" for n in range(23)]
    given_up = SimpleNamespace(on_their_way=ids)
    ending = Ending(given_up, clock=SystemClock(), quiet=True, as_json=False, give_up=os._exit)
    ending.tell_given_up()
    ending.tell_given_up()
    ending.rest()

    assert capsys.readouterr().err == (
        "vbatch: given up, and possibly billed: " + ", ".join(ids[:20]) + " and 3 more\n"
    )


def test_last_words_are_said_also_where_the_counts_cannot_be_read(workshop, capsys):
    """A run that hangs is asked from another thread, while it may be at work all the same."""
    workshop.rows(3)
    session = api.session(workshop.job("http://127.0.0.1:9"))
    session.begun = True
    ending = Ending(session, clock=SystemClock(), quiet=True, as_json=True, give_up=os._exit)
    ending.say_so_far(Stop(exit_code=Exit.SIGINT, code="signal", message="by SIGINT"))
    ending.rest()

    out, err = capsys.readouterr()
    assert err.startswith("vbatch: stopped (signal): by SIGINT · next: vbatch run")
    assert '"exit_code": 130' in out


def test_a_signal_before_anything_was_sent_ends_the_process_at_once(endpoint, workshop, capsys):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    session = api.session(workshop.job(server.base_url))
    codes = []
    clock = SystemClock()
    ending = Ending(session, clock=clock, quiet=True, as_json=True, give_up=codes.append)
    with Signals(session, ending, clock=clock):
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: codes)

    out, err = capsys.readouterr()
    assert codes == [143]
    assert "stopped (signal): by SIGTERM, before anything was sent · next: vbatch run" in err
    assert '"exit_code": 143' in out


def test_the_earliest_deadline_ends_the_process_and_last_words_are_said_once(workshop, capsys):
    workshop.rows(3)
    session = api.session(workshop.job("http://127.0.0.1:9"))
    codes = []
    ending = Ending(session, clock=SystemClock(), quiet=False, as_json=False, give_up=codes.append)
    stop = Stop(exit_code=Exit.SIGINT, code="signal", message="by SIGINT")
    ending.say_so_far(stop)
    ending.within(60.0, Exit.OK)
    ending.within(0.0, stop)
    wait_until(lambda: codes)

    assert codes == [130]
    assert capsys.readouterr().err.count("by SIGINT") == 1


def test_a_run_that_hangs_at_its_end_is_given_up_with_its_counts(hanging, capsys, monkeypatch):
    server, session = hanging
    codes, loops = [], []
    cancel = session.cancel
    monkeypatch.setattr(session, "cancel", lambda: loops.append(asyncio.get_running_loop()))

    def give_up(code):
        codes.append(code)
        loops[0].call_soon_threadsafe(cancel)

    thread = send_when(lambda: server.sums["requests"] >= 4, signal.SIGTERM, signal.SIGTERM)

    code = drive(session, quiet=False, as_json=False, give_up=give_up)

    thread.join()
    assert (codes, code) == ([143], 143)
    err = capsys.readouterr().err
    assert err.count("stopped (signal)") == 1
    assert len(given_up(err)) == 4
    assert "50 left, 4 possibly billed" in err


def test_a_bug_ends_in_a_closing_line_and_a_log(endpoint, workshop, capsys, monkeypatch):
    server = endpoint(dialect="openai")
    workshop.rows(20)
    monkeypatch.setattr(worker, "result_of", _broken)

    code = drive(api.session(workshop.job(server.base_url)), quiet=True, as_json=False)

    assert code == 1
    *_, complaint, last = capsys.readouterr().err.strip().splitlines()
    log = workshop.folder / "run" / ".vbatch" / "log"
    assert complaint == (
        "vbatch: internal error, please report it: ZeroDivisionError('[redacted]'). "
        f"The traceback is in {log}"
    )
    assert "stopped (internal): an internal error · 0 answered" in last
    assert "next: vbatch run" in last
    assert "_broken" in log.read_text()


def test_a_bug_before_there_is_a_log_shows_its_traceback(workshop, capsys, monkeypatch):
    workshop.rows(3)
    session = api.session(workshop.job("http://127.0.0.1:9"))
    monkeypatch.setattr(session, "_take_the_run", _broken)

    assert drive(session, quiet=True, as_json=False) == 1

    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError: [redacted]" in err
    assert "an internal error, before anything was sent · next: vbatch run" in err


def _broken(*_args, **_words):
    raise ZeroDivisionError("sk-test-0123456789")


async def test_a_stop_before_the_first_request_sends_nothing(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(5)
    session = api.session(workshop.job(server.base_url))
    session.stop(Stop(exit_code=130, code="signal", message="by SIGINT"))
    session.cancel()

    async with session:
        assert [outcome async for outcome in session] == []

    assert session.summary.exit_code == 130
    assert session.summary.left == 5
    assert server.sums["requests"] == 0


async def test_a_bug_in_the_caller_still_leaves_a_sound_run(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(100)
    session = api.session(workshop.job(server.base_url))
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the block is what is tested
        async with session:
            async for _ in session:
                await asyncio.sleep(0)
                raise ZeroDivisionError
    assert vbatch.run(workshop.folder / "job.toml").total_answered == 100
