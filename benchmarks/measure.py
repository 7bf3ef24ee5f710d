"""Whole processes, measured from outside: CPU, wall clock, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process took. ``cpu_s`` is user and system time, ``peak_mb`` resident memory."""

    cpu_s: float
    wall_s: float
    peak_mb: float


class BenchmarkError(Exception):
    """A measured process ended otherwise than it should."""


def spent(command: Sequence[str | Path], *, cwd: Path, expect: int = 0) -> Spent:
    """Run ``command`` to its end. Raises BenchmarkError with what it said if that is another."""
    with (cwd / "said.txt").open("w+") as said:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command], cwd=cwd, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expect:
            said.seek(0)
            raise BenchmarkError(
                f"{command[0]} ended with {process.returncode}:\n{said.read()[-2000:]}"
            )
    peak = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Spent(usage.ru_utime + usage.ru_stime, wall_s, peak)


@dataclass(frozen=True, slots=True)
class PerRow:
    """Costs without start-up. ``rate`` counts whole runs: rows a second, start-up included."""

    cpu_us: float
    rows_per_s: float


def per_row(
    ways: Mapping[str, Callable[[int], Spent]], sizes: tuple[int, int], rounds: int
) -> dict[str, PerRow]:
    """Medians over interleaved ``rounds``, by the difference of two sizes in rows."""
    few, many = sizes
    found: dict[str, list[PerRow]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            small, large = way(few), way(many)
            rows = many - few
            found[name].append(
                PerRow(
                    cpu_us=(large.cpu_s - small.cpu_s) / rows * 1e6,
                    rows_per_s=rows / max(large.wall_s - small.wall_s, 1e-9),
                )
            )
    return {
        name: PerRow(
            cpu_us=median(one.cpu_us for one in each),
            rows_per_s=median(one.rows_per_s for one in each),
        )
        for name, each in found.items()
    }
