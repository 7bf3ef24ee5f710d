"""The journal alone: rows a second, CPU per row, and how long a record waits for its sync."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.measure import per_row, spent

if TYPE_CHECKING:
    from benchmarks.measure import Spent

RECORDING = Path(__file__).with_name("recording.py")
SIZES = (20_000, 220_000)
AT_ONCE = 64


def rows(folder: Path, rounds: int) -> list[tuple[str, str, str]]:
    """Lines of the table: what, to reach, found."""
    unsynced_ms: list[int] = []

    def record(rows: int) -> Spent:
        run = folder / "journal"
        shutil.rmtree(run, ignore_errors=True)
        took = spent([sys.executable, RECORDING, run, str(rows), str(AT_ONCE)], cwd=folder)
        unsynced_ms.append(int((folder / "said.txt").read_text()))
        return took

    found = per_row({"journal": record}, SIZES, rounds)["journal"]
    return [
        ("journal, intent and answer of a row", "≥ 80,000 rows/s", f"{found.rows_per_s:,.0f}"),
        ("the same, CPU per row", "≤ 12 µs", f"{found.cpu_us:.1f} µs"),
        ("longest wait of a record for its sync", "≤ 200 ms", f"{median(unsynced_ms):.0f} ms"),
    ]
