"""One run that several processes want, each with an endpoint of its own to be counted at."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import vbatch
from tests.crash.processes import Process, wait_until
from vbatch.sink.holder import read_holder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 6
FAR = {"host": "far", "boot": "boot of far"}
NEAR = {"host": "near", "boot": "boot of near"}


class Contest:
    """Runs of one job; endpoint ``n`` counts what contestant ``n`` sends."""

    def __init__(self, workshop, nursery, endpoint, *, contestants=2, latency_s=0.4) -> None:
        self._nursery = nursery
        self.folder = workshop.folder
        self.servers = [endpoint(dialect="openai", latency_s=latency_s) for _ in range(contestants)]
        workshop.rows(ROWS)
        self.job = workshop.job(self.servers[0].base_url, limits={"max_in_flight": 2})

    def run(self, name="run") -> Path:
        return self.folder / name

    def lock(self, name="run") -> Path:
        return self.run(name) / ".vbatch" / "lock"

    def go(self, number=0, *words, name="run", **pranks) -> Process:
        """Start contestant ``number`` on the run called ``name``."""
        words = words or ("run",)
        chosen = ("-s", f"endpoint.base_url={self.servers[number].base_url}")
        output = ("-s", f"output={self.run(name)}")
        verb, *more = words
        return self._nursery.fork(
            verb, self.job, *more, *chosen, *output, cwd=self.folder, **pranks
        )

    def look(self, *words) -> Process:
        return self._nursery.fork(*words, cwd=self.folder)

    def asked(self, number) -> int:
        """How many requests came from contestant ``number``."""
        return self.servers[number].sums["requests"]

    def at_work(self, number=0, **more) -> Process:
        """Start a contestant, and wait until it has asked and got an answer."""
        before = self.asked(number)
        process = self.go(number, **more)
        wait_until(lambda: process.ended or self.asked(number) >= before + 3)
        assert process.code is None, process.err
        return process

    def killed(self, **more) -> Process:
        """Leave a run as a process leaves it that was killed at work."""
        process = self.at_work(**more)
        assert process.kill()
        return process

    @contextmanager
    def asleep(self, process: Process) -> Iterator[None]:
        """Stop a process for as long as the block lasts: however slow others are, it is there."""
        process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send(signal.SIGCONT)

    def is_whole(self, name="run") -> bool:
        """Whether every row is answered, each once."""
        ids = vbatch.open_run(self.run(name)).results()["id"].to_pylist()
        return sorted(ids) == [f"r{n}" for n in range(ROWS)]


def names(error: str, process: Process) -> bool:
    """Whether a refusal names the process that holds the run."""
    return f"is being worked on by process {process.pid} on {socket.gethostname()}" in error


def forge(lock: Path, *, silent_s=0.0, **changes) -> None:
    """Make the note another's, and as old as it would be; the lock itself stays as it is."""
    holder = read_holder(lock)
    now = lock.stat().st_mtime - silent_s
    note = replace(holder, beat_at=holder.beat_at - silent_s, **changes).note()
    with lock.open("r+b") as file:
        file.write(note)
    os.utime(lock, (now, now))
