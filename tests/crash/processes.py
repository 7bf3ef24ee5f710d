"""Runs as processes that can be killed, waited for and read: forked from a nursery, or started."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
"""No run here takes as long: a test that waits longer has found a hang."""


class Process:
    """One run. ``code`` is how it ended once it has: exit code, or minus the signal."""

    def __init__(self, pid: int, poll, folder: Path, number: int) -> None:
        self.pid = pid
        self._poll = poll
        self._out = folder / f"out-{number}"
        self._err = folder / f"err-{number}"
        self.code: int | None = None

    @property
    def ended(self) -> bool:
        if self.code is None:
            self.code = self._poll()
        return self.code is not None

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text() if self._err.exists() else ""  # ended before it could speak

    @property
    def last_line(self) -> str:
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended already."""
        if not self.ended:
            os.kill(self.pid, number)

    def kill(self) -> bool:
        """Kill it for good; return whether it was still alive."""
        self.send(signal.SIGKILL)
        return self.wait() == -signal.SIGKILL

    def wait(self) -> int:
        """Wait for the end and return the code."""
        wait_until(lambda: self.ended)
        return self.code


class Nursery:
    """Forks runs from a process that has everything loaded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        self._begun: list[Process] = []
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self._reply() == "ready"

    def fork(self, *words, cwd: Path, env=None, **pranks) -> Process:
        """Run ``vbatch words`` in a process of its own, with ``pranks`` played on it."""
        number = next(self._numbers)
        order = {
            "words": [str(word) for word in words],
            "cwd": str(cwd),
            "out": str(self._folder / f"out-{number}"),
            "err": str(self._folder / f"err-{number}"),
            "env": {"TEST_KEY": "sk-test-0123456789", **(env or {})},
            "pranks": pranks,
        }
        pid = self._ask({"fork": order})
        return self._noted(Process(pid, lambda: self._ask({"poll": pid}), self._folder, number))

    def start(self, *command, cwd: Path, env=None) -> Process:
        """Start any command as a real process, with its imports and all."""
        number = next(self._numbers)
        with (
            (self._folder / f"out-{number}").open("w") as out,
            (self._folder / f"err-{number}").open("w") as err,
        ):
            child = subprocess.Popen(
                [str(word) for word in command],
                cwd=cwd,
                env=os.environ | {"TEST_KEY": "sk-test-0123456789"} if env is None else env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return self._noted(Process(child.pid, child.poll, self._folder, number))

    def end_all(self) -> None:
        """Kill what a test that failed has left behind."""
        for process in self._begun:
            process.kill()
        self._begun.clear()

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait(timeout=PATIENCE_S)
        self._server.stdout.close()

    def _noted(self, process: Process) -> Process:
        self._begun.append(process)
        return process

    def _ask(self, order):
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        self._server.stdin.flush()
        return self._reply()

    def _reply(self):
        """The next line; a nursery that hangs is ended, and fails the test instead."""
        if not select.select([self._server.stdout], [], [], PATIENCE_S)[0]:
            self._server.kill()
        return json.loads(self._server.stdout.readline())


def vbatch_command(*words) -> list:
    """The words that start vbatch itself."""
    return [sys.executable, "-m", "vbatch", *words]


def wait_until(condition) -> None:
    """Wait until ``condition()`` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
