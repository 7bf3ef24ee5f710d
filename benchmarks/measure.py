"""Whole processes, measured from outside: CPU, wall clock, peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOK_EVERY_S = 0.005


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
        peak = 0.0
        while (found := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak = max(peak, peak_mb(process.pid))
            time.sleep(LOOK_EVERY_S)
        wall_s = time.monotonic() - began
        _, status, usage = found
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expect:
            said.seek(0)
            raise BenchmarkError(
                f"{command[0]} ended with {process.returncode}:\n{said.read()[-2000:]}"
            )
    return Spent(usage.ru_utime + usage.ru_stime, wall_s, peak)


def peak_mb(pid: int) -> float:
    """A process's own peak: ``ru_maxrss`` of a child begins with what its parent had at the fork.

    Not a number where there is no ``/proc``.
    """
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return float("nan")
    words = status.read_text().split()
    if "VmHWM:" not in words:  # it has ended, and nobody has waited for it
        return 0.0
    return int(words[words.index("VmHWM:") + 1]) / (1 << 10)


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
