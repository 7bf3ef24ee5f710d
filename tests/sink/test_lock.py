"""One process per run, and a message that names it."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.sink.locks import HOUR_S, Waits, held_by_us, leave, names, note, take
from tests.sink.rows import T0, Still
from vbatch.clock import SystemClock
from vbatch.errors import Exit, Locked
from vbatch.sink.holder import boot_id, read_holder
from vbatch.sink.lock import Lock, is_held


@pytest.fixture
def script():
    """Python in a process of its own, which no test leaves behind: ``script(code, *words)``."""
    with ExitStack() as stack:

        def begin(code, *words) -> subprocess.Popen:
            started = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(started)
            stack.callback(started.kill)
            return started

        yield begin


def test_a_second_holder_is_refused_and_told_who_holds_it(lock_file):
    first = take(lock_file)

    with pytest.raises(Locked, match=rf"run is being worked on by process {os.getpid()} on .+2023"):
        take(lock_file)
    assert Locked.exit_code is Exit.LOCKED
    assert is_held(lock_file)
    first.release()
    first.release()

    assert not is_held(lock_file)
    take(lock_file).release()
    assert names(lock_file) == ["lock"]


def test_a_lock_whose_process_died_blocks_nobody(lock_file):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from vbatch.clock import SystemClock; from vbatch.sink.lock import Lock\n"
        "Lock(Path(sys.argv[1]), SystemClock()); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(lock_file)], check=False)
    assert dead.returncode == -9
    assert not read_holder(lock_file).released
    assert not is_held(lock_file)

    take(lock_file).release()


def test_a_pid_that_somebody_else_bears_by_now_blocks_nobody(lock_file):
    leave(lock_file, note(host=socket.gethostname(), boot=boot_id(), pid=os.getppid()))

    waits = Waits()
    take(lock_file, wait=waits).release()
    assert waits.waited == 0


def test_a_holder_on_this_kernel_is_never_dead_however_long_it_is_silent(lock_file, ghost):
    """It may be stopped, or live in a container whose pids and host name are its own."""
    leave(lock_file, note(boot=boot_id(), pid=2**30, beat_at=T0 - HOUR_S), silent_s=HOUR_S)
    ghost(lock_file)

    with pytest.raises(Locked, match="on far"):
        take(lock_file)
    assert is_held(lock_file, Still())


def test_somebody_who_only_looks_whether_it_is_held_makes_nobody_give_up(lock_file):
    take(lock_file).release()
    fd = os.open(lock_file, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)

    waits = Waits(1, lambda: fcntl.flock(fd, fcntl.LOCK_UN))
    take(lock_file, wait=waits).release()
    os.close(fd)
    assert 1 <= waits.waited < 2


def test_looks_at_a_run_that_was_killed_do_not_keep_others_from_it(lock_file):
    leave(lock_file, note(boot=boot_id(), host=socket.gethostname(), pid=2**30))
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.0005):
            is_held(lock_file)

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(20):
            Lock(lock_file, SystemClock()).release()
    finally:
        ended.set()
        for looker in lookers:
            looker.join()
    assert read_holder(lock_file).released


def test_one_who_holds_it_briefly_is_waited_for(lock_file):
    brief = take(lock_file, brief=True)
    waits = Waits(40, brief.release)
    take(lock_file, wait=waits).release()
    assert 40 <= waits.waited < 41

    with held_by_us(lock_file, brief=True), pytest.raises(Locked, match="process"):
        take(lock_file)


def test_of_many_who_start_at_once_one_holds_it_and_the_others_name_it(lock_file):
    for _ in range(12):
        holders, refusals, start = [], [], threading.Barrier(6)

        def contend(holders=holders, refusals=refusals, start=start) -> None:
            start.wait()
            try:
                holders.append(Lock(lock_file, SystemClock()))
            except Locked as error:
                refusals.append(error.message)

        threads = [threading.Thread(target=contend) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = holders
        assert Counter(refusals) == {
            f"{lock_file.parent.parent} is being worked on by {winner.holder}. Nothing was sent": 5
        }
        winner.release()


PARENT = """
import os, sys
from pathlib import Path
from vbatch.clock import SystemClock
from vbatch.sink.lock import Lock

held = Lock(Path(sys.argv[1]), SystemClock())
last_breath, life = os.pipe()
if os.fork() == 0:
    os.close(life)
    print("born", flush=True)
    os.read(last_breath, 1)
    held.release()
    os._exit(0)
sys.stdin.readline()
held.release()
print("released", flush=True)
sys.stdin.readline()
os.close(life)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_child_of_the_holder_does_not_keep_the_lock_alive(lock_file, script):
    parent = script(PARENT, lock_file)
    assert parent.stdout.readline() == "born\n"
    with pytest.raises(Locked, match=f"process {parent.pid} on"):
        Lock(lock_file, SystemClock())
    parent.stdin.write("release\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "released\n"

    second = take(lock_file)
    parent.communicate("end\n", timeout=60)
    assert parent.returncode == 0
    assert read_holder(lock_file) == second.holder
    second.release()


FORKED_LATER = """
import os, sys
from pathlib import Path
from vbatch.clock import SystemClock
from vbatch.sink.lock import Lock

released = Lock(Path(sys.argv[1]), SystemClock())
released.release()
pipes = [os.pipe() for _ in range(8)]  # one of them bears the number that the lock's file had
if os.fork() == 0:
    for here, there in pipes:
        os.close(here), os.close(there)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_child_born_after_the_release_keeps_all_its_files(lock_file, script):
    parent = script(FORKED_LATER, lock_file)
    _, errors = parent.communicate(timeout=60)
    assert parent.returncode == 0, errors


FORKED_MEANWHILE = """
import os, sys
from pathlib import Path
from vbatch.clock import SystemClock
from vbatch.sink import lock
from vbatch.sink.lock import Lock

held = Lock(Path(sys.argv[1]), SystemClock())
last_breath, life = os.pipe()
discard = lock._HELD.discard
def forking(one):
    discard(one)
    if os.fork() == 0:
        os.close(life)
        os.read(last_breath, 1)
        os._exit(0)
lock._HELD = type("Held", (), {"discard": staticmethod(forking), "__iter__": lambda _: iter(())})()
held.release()
print("released", flush=True)
sys.stdin.readline()
"""


def test_a_child_born_in_the_middle_of_the_release_keeps_no_lock(lock_file, script):
    parent = script(FORKED_MEANWHILE, lock_file)
    assert parent.stdout.readline() == "released\n"
    fd = os.open(lock_file, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    parent.communicate("end\n", timeout=60)
    assert parent.returncode == 0
