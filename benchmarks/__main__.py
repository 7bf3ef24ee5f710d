"""Measures, prints the table and writes RESULTS.md: ``python -m benchmarks [ROUNDS]``."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import whole
from benchmarks.endpoint import serving

if TYPE_CHECKING:
    from benchmarks.measure import PerRow

PAGE = Path(__file__).with_name("RESULTS.md")
ROUNDS = 3

HEAD = """# Benchmarks

CPU is user and system time of the whole process per row, without start-up: the difference of two
sizes, the median of interleaved rounds. "Bare" is an aiohttp loop of 40 lines that only sends
(`bare.py`), 64 requests in flight like vbatch, against an endpoint in C that answers at once.
Ratios hold elsewhere, microseconds do not.

| what | to reach | ratio | vbatch | bare |
|---|---|---|---|---|
"""


def row(what: str, figure: float, found: dict[str, PerRow]) -> str:
    """One line of the table, of CPU per row; ``figure`` is the ratio to reach."""
    ours, bare = found["vbatch"].cpu_us, found["bare"].cpu_us
    return f"| {what} | ≤ {figure:.2f} | **{ours / bare:.2f}** | {ours:,.0f} µs | {bare:,.0f} µs |"


def table(folder: Path, rounds: int) -> str:
    """Measure everything, in ``folder``."""
    with serving() as endpoint:
        lines = [
            row("rows with an image URL", 1.0, whole.urls(folder, endpoint, rounds)),
            row("rows with a 160 kB JPEG", 0.58, whole.photographs(folder, endpoint, rounds)),
        ]
    return HEAD + "\n".join(lines) + f"\n\n{_where(rounds)}\n"


def _where(rounds: int) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "orjson", "pyarrow"))
    return (
        f"{platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{versions}; {rounds} rounds. Again: `make bench`."
    )


def main(words: list[str]) -> None:
    """Measure, print, write."""
    rounds = int(words[0]) if words else ROUNDS
    os.environ["BENCH_KEY"] = "none"
    with tempfile.TemporaryDirectory(prefix="vbatch-bench-") as folder:
        found = table(Path(folder), rounds)
    PAGE.write_text(found, encoding="utf-8")
    print(found)  # noqa: T201 - its output


if __name__ == "__main__":
    main(sys.argv[1:])
