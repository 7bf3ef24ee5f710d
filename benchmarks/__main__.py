"""Measures, prints the table and writes RESULTS.md: ``python -m benchmarks [ROUNDS [NAME...]]``.

With NAMEs only those are measured and nothing is written.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import crowd, images, journal, memory, resume, start, starting, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PAGE = Path(__file__).with_name("RESULTS.md")
ROUNDS = 3
PARTS: dict[str, ModuleType] = {
    "whole": whole,
    "crowd": crowd,
    "memory": memory,
    "start": start,
    "resume": resume,
    "images": images,
    "journal": journal,
    "starting": starting,
}
"""Each has ``rows(folder, rounds)``: lines of the table, as what, to reach, found."""

HEAD = """# Benchmarks

CPU is user and system time of the whole process per row, without start-up: the difference of two
sizes, the median of interleaved rounds. "Bare" is an aiohttp loop of 40 lines that only sends
(`bare.py`), 64 requests in flight like vbatch, against an endpoint in C that answers at once.
Ratios hold elsewhere, times do not.

| what | to reach | found |
|---|---|---|
"""


def lines(names: list[str], rounds: int) -> Iterator[str]:
    """The lines of the table, as they are found."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="vbatch-bench-") as folder:
            for what, to_reach, found in PARTS[name].rows(Path(folder), rounds):
                yield f"| {what} | {to_reach} | {found} |"


def _where(rounds: int) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "orjson", "pyarrow"))
    return (
        f"{platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{versions}; {rounds} rounds. Again: `make bench`. Limits, on a virtual clock: "
        "`python -m benchmarks.limits`. Other tools: `make bench-peers`."
    )


def main(words: list[str]) -> None:
    """Measure, print, write."""
    rounds = int(words[0]) if words else ROUNDS
    os.environ["BENCH_KEY"] = "none"
    found = []
    for line in lines(words[1:] or [*PARTS], rounds):
        print(line, flush=True)  # noqa: T201 - its output
        found.append(line)
    if not words[1:]:
        PAGE.write_text(HEAD + "\n".join(found) + f"\n\n{_where(rounds)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
