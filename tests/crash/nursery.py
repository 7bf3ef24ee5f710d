"""A program that has vbatch loaded and forks runs of it: real processes without their imports.

It reads one order per line from standard input, as JSON, and answers with one line each. ``fork``
starts a run of the command line and answers its pid; ``poll`` answers how a run ended, or null. No
thread and no loop exists when it forks, so that a child is as good as a process of its own.
"""

from __future__ import annotations

import json
import os
import sys

import pyarrow as pa

from tests.crash import pranks
from vbatch import cli
from vbatch.api import session
from vbatch.cli import drive, run
from vbatch.source import images_pillow

LOADED = (session, drive, run, images_pillow)


def main() -> None:
    """Obey until standard input ends."""
    pa.array(["warm"]).to_numpy(zero_copy_only=False)  # looks for pandas the first time
    answer = os.dup(1)
    os.write(answer, b'"ready"\n')
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        if "poll" in order:
            reply = poll(order["poll"])
        else:
            reply = os.fork()
            if reply == 0:
                os.close(answer)
                become(order["fork"])
                cli.main()
        os.write(answer, json.dumps(reply).encode() + b"\n")


def poll(pid: int) -> int | None:
    """How a child ended: its exit code, minus the signal that killed it, None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def become(order: dict) -> None:
    """Turn the fork into the process that was ordered: its folder, streams, words and pranks."""
    os.setsid()
    os.chdir(order["cwd"])
    for fd, (path, flags) in enumerate(
        ((os.devnull, os.O_RDONLY), (order["out"], _WRITE), (order["err"], _WRITE))
    ):
        opened = os.open(path, flags, 0o666)
        os.dup2(opened, fd)
        os.close(opened)
    os.environ.update(order["env"])
    sys.argv = ["vbatch", *order["words"]]
    for name, settings in order["pranks"].items():
        getattr(pranks, name)(**settings)


_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

if __name__ == "__main__":
    main()
