"""Time to the first request: from the start of the process to the first bytes at the endpoint."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import workload
from benchmarks.measure import BenchmarkError, peak_mb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PATIENCE_S = 300.0
ROWS = 1_000_000
BATCH_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class First:
    """What it took from the start of a process to its first request. ``peak_mb``: until then."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    def told(self) -> str:
        """For the table."""
        return f"{self.wall_s:.1f} s, {self.cpu_s:.1f} s of CPU, {self.peak_mb:.0f} MB"


class Ear:
    """A socket that listens, and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def wait(self) -> None:
        """Return when the first request's first bytes are here."""
        ready, _, _ = select.select([self._socket], [], [], PATIENCE_S)
        if not ready:
            raise BenchmarkError(f"no request within {PATIENCE_S:.0f} s")
        connection, _ = self._socket.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            connection.recv(1)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


def first_request(folder: Path, manifest: Path, *, output: str) -> First:
    """``vbatch run`` over ``manifest`` into ``output``, killed once its first request is there."""
    ear = Ear()
    job = workload.job(folder, manifest, ear, name=output)
    command = [sys.executable, "-m", "vbatch", "run", "-q", job]
    with (folder / "said.txt").open("w") as said:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        try:
            ear.wait()
            wall_s = time.monotonic() - began
            found_mb = peak_mb(process.pid)
        finally:
            ear.close()
            process.send_signal(signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return First(wall_s, usage.ru_utime + usage.ru_stime, found_mb)


def manifests(folder: Path, rows: int = ROWS) -> dict[str, Path]:
    """Manifests of ``rows`` rows in four forms, by what they are called in the table."""
    return {
        "JSONL with ids": lines(folder, rows, ids=True),
        "JSONL without ids": lines(folder, rows, ids=False),
        "Parquet with ids": table(folder, rows, ids=True),
        "Parquet without ids": table(folder, rows, ids=False),
    }


def lines(folder: Path, rows: int, *, ids: bool) -> Path:
    """A JSONL manifest, made where it is not there yet."""
    path = folder / f"start-{rows}-{ids}.jsonl"
    if not path.exists():
        with path.open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in _rows(range(rows), ids=ids))
    return path


def table(folder: Path, rows: int, *, ids: bool) -> Path:
    """A Parquet manifest, made where it is not there yet."""
    path = folder / f"start-{rows}-{ids}.parquet"
    if not path.exists():
        _write(path, rows, ids=ids)
    return path


def _write(path: Path, rows: int, *, ids: bool) -> None:
    names = ["id", "image"] if ids else ["image"]
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, BATCH_ROWS):
            numbers = range(first, min(rows, first + BATCH_ROWS))
            batch = pa.RecordBatch.from_pylist(list(_rows(numbers, ids=ids)), schema)
            writer.write_batch(batch)


def _rows(numbers: range, *, ids: bool) -> Iterable[dict[str, str]]:
    for n in numbers:
        image = f"https://images.example.com/2026/{n:08d}.jpg"
        yield {"id": f"row-{n:08d}", "image": image} if ids else {"image": image}


def starts(folder: Path, rounds: int, rows: int = ROWS) -> dict[str, First]:
    """The quickest of ``rounds`` first requests of a new run, for each form of manifest."""
    found: dict[str, First] = {}
    for turn in range(rounds):
        for name, manifest in manifests(folder, rows).items():
            took = first_request(folder, manifest, output=f"start-{turn}-{manifest.name}")
            best = found.get(name, took)
            found[name] = min(best, took, key=lambda first: first.wall_s)
    return found


def rows(folder: Path, rounds: int) -> list[tuple[str, str, str]]:
    """For the table: what, the figure to reach, what was found."""
    return [
        (f"first request, {ROWS:,} rows, {name}", "≤ 2 s", first.told())
        for name, first in starts(folder, rounds).items()
    ]
