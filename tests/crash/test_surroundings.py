"""Where runs are started from: cron, timeout, pipes whose reader goes away, closed streams."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.crash.bench import Bench
from tests.crash.books import answers, delivered, settle
from tests.crash.processes import vbatch_command

ROWS = 60


@pytest.fixture
def bench(nursery, endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05)
    return Bench(workshop, nursery, server, rows=ROWS)


@pytest.fixture
def shell(bench, nursery):
    """Give a line to a shell, where ``vbatch run …`` stands for the run."""

    def give(line, env=None):
        run = shlex.join([str(word) for word in vbatch_command("run", bench.job)])
        return nursery.start("bash", "-c", line.replace("RUN", run), cwd=bench.folder, env=env)

    return give


def check_answered_once(bench) -> None:
    settle(bench.server)
    assert [row["id"] for row in answers(bench.run)] == sorted(bench.ids)
    assert sorted(delivered(bench.server.entries)) == sorted(bench.ids)


@pytest.mark.slow
def test_cron_needs_no_terminal_and_no_environment(bench, shell):
    process = shell("RUN", env={"PATH": os.defpath, "TEST_KEY": "sk-test-0123456789"})

    assert process.wait() == 0, process.err
    assert "\r" not in process.err, "plain lines"
    assert process.last_line.startswith(f"vbatch: finished · {ROWS} answered")
    check_answered_once(bench)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("timeout"), reason="there is no timeout")
@pytest.mark.parametrize(("words", "code"), [("", 124), ("--preserve-status", 143)])
def test_a_run_whose_timeout_is_over_wastes_no_answer(bench, shell, words, code):
    bench.grow(2_000)
    process = shell(f"exec timeout {words} 1000 RUN")
    bench.wait_for_requests(20, process)
    process.send(signal.SIGALRM)  # what its own clock sends to timeout

    assert process.wait() == code, process.err
    settle(bench.server)
    assert "by SIGTERM" in process.last_line
    done = delivered(bench.server.entries)
    assert [row["id"] for row in answers(bench.run)] == sorted(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "RUN 2>&1 | head -1; exit ${PIPESTATUS[0]}",
        "RUN --json 2>/dev/null | head -1; exit ${PIPESTATUS[0]}",
        "RUN --json >&-",
        "RUN 2>&-",
        "RUN <&- >&- 2>&-",
        "RUN 2>/dev/full >/dev/full",
    ],
)
def test_a_reader_that_goes_away_changes_nothing(bench, shell, line):
    process = shell(line)

    assert process.wait() == 0, process.err
    assert "Traceback" not in process.err
    assert "BrokenPipe" not in process.err
    check_answered_once(bench)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_document_that_a_full_disk_did_not_take_is_no_success(bench, shell):
    process = shell("RUN --json >/dev/full")

    assert process.wait() == 6
    *_, closing, complaint = process.err.splitlines()
    assert closing.startswith(f"vbatch: finished · {ROWS} answered")
    assert complaint == "vbatch: standard output cannot be written: No space left on device"
    check_answered_once(bench)


@pytest.mark.slow
def test_a_run_in_the_background_of_a_script_drains_when_told_to(bench, shell):
    """A shell has what it starts there ignore SIGINT; who sends it all the same means it."""
    process = shell("exec sh -c 'RUN & echo $! >pid; wait $!'")
    bench.wait_for_requests(20, process)
    os.kill(int((bench.folder / "pid").read_text()), signal.SIGINT)

    assert process.wait() == 130, process.err
    bench.go_on_to_the_end()
    check_answered_once(bench)


@pytest.mark.slow
def test_a_bug_says_what_is_kept_and_how_to_go_on(bench):
    process = bench.go("--json", bug={"after": 20})

    assert process.wait() == 1
    *_, complaint, last = process.err.strip().splitlines()
    assert complaint.startswith("vbatch: internal error, please report it: ZeroDivisionError")
    assert "Traceback" not in process.err
    assert last.startswith("vbatch: stopped (internal): an internal error · ")
    assert "next: vbatch run" in last
    log = bench.run / ".vbatch" / "log"
    assert str(log) in complaint
    assert "ZeroDivisionError" in log.read_text()
    kept = len(answers(bench.run))
    assert kept >= 20
    assert json.loads(process.out)["total_answered"] == kept
    assert "sk-test-0123456789" not in process.err + process.out + log.read_text()
    bench.go_on_to_the_end()
    assert bench.usage("answered") == ROWS


@pytest.mark.slow
def test_a_bug_before_there_is_a_log_shows_itself(bench):
    process = bench.go(early_bug={})

    assert process.wait() == 1
    assert "Traceback" in process.err
    assert "ZeroDivisionError" in process.err
    assert "sk-test-0123456789" not in process.err
    assert "an internal error, before anything was sent · next: vbatch run" in process.last_line


@pytest.mark.slow
def test_a_journal_never_becomes_standard_error(bench, nursery):
    """A stream that is closed gives its number to the next file that is opened."""
    code = (
        "import os, sys; os.closerange(0, 3); from vbatch.cli import ending;"
        "ending._open_standard_streams(); fd = os.open('file', os.O_CREAT | os.O_WRONLY);"
        "sys.exit(10 + fd)"
    )
    process = nursery.start(sys.executable, "-c", code, cwd=bench.folder)
    assert process.wait() > 12
