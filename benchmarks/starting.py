"""What a start costs: the help of the command line, and importing vbatch, beside Python alone."""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.measure import spent

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Spent

STARTS = 7
"""Per round: one alone is mostly noise."""
WAYS = {
    "python -c pass": ("-c", "pass"),
    "vbatch --help": ("-m", "vbatch", "--help"),
    "import vbatch": ("-c", "import vbatch"),
}
LIMITS_S = {"vbatch --help": 0.25, "import vbatch": 0.15}


def rows(folder: Path, rounds: int) -> list[tuple[str, str, str]]:
    """Lines of the table: what, to reach, found."""
    took: dict[str, list[Spent]] = {name: [] for name in WAYS}
    for _ in range(rounds * STARTS):
        for name, words in WAYS.items():
            took[name].append(spent([sys.executable, *words], cwd=folder))
    alone = median(one.cpu_s for one in took["python -c pass"])
    return [
        (f"`{name}`", f"≤ {most} s", _told(took[name], alone)) for name, most in LIMITS_S.items()
    ]


def _told(starts: list[Spent], alone_s: float) -> str:
    wall_s = median(one.wall_s for one in starts)
    cpu_s = median(one.cpu_s for one in starts)
    return f"{wall_s:.2f} s, {cpu_s / alone_s:.1f} times the CPU of Python alone"
