"""A slow endpoint and very many requests in flight: the rate that is reached, and the memory."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING

from benchmarks import workload
from benchmarks.endpoint import serving
from benchmarks.measure import spent

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.endpoint import Endpoint
    from benchmarks.measure import Spent

IN_FLIGHT = 2_000
LATENCY_MS = 1_000
SIZES = (10_000, 40_000)
FILES = IN_FLIGHT + 1_000
"""Descriptors wanted: one per connection, and plenty for the rest."""


def rows(folder: Path, rounds: int) -> list[tuple[str, str, str]]:
    """Lines of the table: what, to reach, found."""
    what = f"{IN_FLIGHT:,} in flight at an endpoint that takes {LATENCY_MS / 1e3:g} s"
    if not _enough_files():
        return [(what, "≥ 80 %", f"left out: `ulimit -Hn` is below {FILES:,}")]
    best = IN_FLIGHT * 1e3 / LATENCY_MS
    rates, peaks = [], []
    with serving(LATENCY_MS) as endpoint:
        for _ in range(rounds):
            few, many = (_run(folder, endpoint, size) for size in SIZES)
            rates.append((SIZES[1] - SIZES[0]) / (many.wall_s - few.wall_s))
            peaks.append(many.peak_mb)
    rate, peak = sorted(rates)[rounds // 2], sorted(peaks)[rounds // 2]
    return [
        (what, "≥ 80 % of what it can answer", f"{rate / best:.0%} ({rate:,.0f} rows/s)"),
        ("the same, peak memory", "≤ 200 MB", f"{peak:,.0f} MB"),
    ]


def _run(folder: Path, endpoint: Endpoint, rows: int) -> Spent:
    manifest = workload.url_manifest(folder, rows)
    job = workload.job(folder, manifest, endpoint, name=f"crowd-{rows}", in_flight=IN_FLIGHT)
    return spent([sys.executable, "-m", "vbatch", "run", "--fresh", "-q", job], cwd=folder)


def _enough_files() -> bool:
    """Raise the soft limit, which children take over, where the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in {-1, resource.RLIM_INFINITY} and hard < FILES:
        return False
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    return True
