"""Peak memory of whole runs: what a process with 64 in flight takes, and what a row adds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import workload
from benchmarks.endpoint import serving
from benchmarks.measure import spent

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.endpoint import Endpoint

SIZES = (10_000, 1_000_000)


class Growth(NamedTuple):
    """Peaks of two runs of different sizes, in megabytes, and the difference in bytes a row."""

    small_mb: float
    large_mb: float
    bytes_per_row: float


def growth(folder: Path, endpoint: Endpoint, sizes: tuple[int, int] = SIZES) -> Growth:
    """Runs over manifests of ``sizes`` rows with an image by URL, 64 requests in flight."""
    small, large = (_peak_mb(folder, endpoint, rows) for rows in sizes)
    return Growth(small, large, (large - small) * (1 << 20) / (sizes[1] - sizes[0]))


def rows(folder: Path, _rounds: int, sizes: tuple[int, int] = SIZES) -> list[tuple[str, str, str]]:
    """For the table: what, the figure to reach, what was found. A million rows take minutes."""
    with serving() as endpoint:
        found = growth(folder, endpoint, sizes)
    small, large = (f"{size:,}" for size in sizes)
    return [
        (f"peak memory, {small} rows, 64 in flight", "≤ 130 MB", f"{found.small_mb:.0f} MB"),
        (f"from there to {large} rows", "≤ 32 bytes a row", f"{found.bytes_per_row:.0f}"),
    ]


def _peak_mb(folder: Path, endpoint: Endpoint, rows: int) -> float:
    manifest = workload.url_manifest(folder, rows)
    job = workload.job(folder, manifest, endpoint, name=f"memory-{rows}")
    return spent([sys.executable, "-m", "vbatch", "run", "--fresh", "-q", job], cwd=folder).peak_mb
