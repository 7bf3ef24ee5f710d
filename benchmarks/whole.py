"""Whole runs against the bare loop: URL rows and photographs inline, 64 in flight."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import workload
from benchmarks.endpoint import serving
from benchmarks.measure import BenchmarkError, per_row, spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.endpoint import Endpoint
    from benchmarks.measure import PerRow, Spent

BARE = Path(__file__).with_name("bare.py")
URL_SIZES = (2_000, 22_000)
PHOTO_SIZES = (1_000, 5_000)


def rows(folder: Path, rounds: int) -> list[tuple[str, str, str]]:
    """Lines of the table: what, to reach, found."""
    with serving() as endpoint:
        return [
            _line("rows with an image URL", 1.0, urls(folder, endpoint, rounds)),
            _line("rows with a 160 kB JPEG", 0.58, photographs(folder, endpoint, rounds)),
        ]


def _line(what: str, most: float, found: dict[str, PerRow]) -> tuple[str, str, str]:
    ours, bare = found["vbatch"].cpu_us, found["bare"].cpu_us
    told = f"**{ours / bare:.2f}** ({ours:,.0f} µs of CPU, bare {bare:,.0f} µs)"
    return what, f"≤ {most:.2f} x bare", told


def vbatch(
    folder: Path, endpoint: Endpoint, manifest: Callable[[Path, int], Path]
) -> Callable[[int], Spent]:
    """``vbatch run`` of as many rows as it is called with, each time afresh."""

    def run(rows: int) -> Spent:
        job = workload.job(folder, manifest(folder, rows), endpoint, name=f"run-{rows}")
        before = endpoint.requests()
        took = spent([sys.executable, "-m", "vbatch", "run", "--fresh", "-q", job], cwd=folder)
        if endpoint.requests() - before != rows:
            raise BenchmarkError(f"{endpoint.requests() - before} requests for {rows} rows")
        return took

    return run


def bare(folder: Path, endpoint: Endpoint, bodies: Path) -> Callable[[int], Spent]:
    """The bare loop with as many requests as it is called with."""
    return lambda rows: spent(
        [sys.executable, BARE, endpoint.chat_url, bodies, str(rows)], cwd=folder
    )


def urls(folder: Path, endpoint: Endpoint, rounds: int) -> dict[str, PerRow]:
    """CPU per row with images by URL."""
    ways = {
        "bare": bare(folder, endpoint, workload.url_bodies(folder)),
        "vbatch": vbatch(folder, endpoint, workload.url_manifest),
    }
    return per_row(ways, URL_SIZES, rounds)


def photographs(folder: Path, endpoint: Endpoint, rounds: int) -> dict[str, PerRow]:
    """CPU per row with 160 kB JPEGs inline."""
    ways = {
        "bare": bare(folder, endpoint, workload.photo_bodies(folder)),
        "vbatch": vbatch(folder, endpoint, workload.photo_manifest),
    }
    return per_row(ways, PHOTO_SIZES, rounds)
