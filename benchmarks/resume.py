"""Picking up a run of which nearly all is done: time to its first request, and memory."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks import start, workload
from benchmarks.endpoint import serving
from benchmarks.measure import spent
from vbatch.job import Columns
from vbatch.sink.commits import newest_commit, put_commit
from vbatch.sink.layout import Layout
from vbatch.sink.parts import put_table, read_part
from vbatch.sink.storage import Storage
from vbatch.source.manifest import Manifest
from vbatch.source.manifest.memo import SETTLED_S

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.endpoint import Endpoint
    from benchmarks.start import First
    from vbatch.records import BadRow, Item

PART_ROWS = 20_000
DONE = 0.99
SIZES = (1_000_000, 10_000_000)
TO_REACH = dict(zip(SIZES, ("≤ 2.5 s, ≤ 300 MB", "≤ 20 s, ≤ 700 MB"), strict=True))


def resumed(folder: Path, endpoint: Endpoint, rounds: int, rows: int) -> First:
    """The quickest of ``rounds``: ``rows`` rows, 99 % of them done by an earlier invocation."""
    run = done(folder, endpoint, rows)
    found: list[First] = []
    for turn in range(rounds):
        copy = folder / f"resume-{rows}-{turn}"
        shutil.copytree(run, copy, dirs_exist_ok=True)
        found.append(start.first_request(folder, _manifest(folder, rows), output=copy.name))
        shutil.rmtree(copy)
    return min(found, key=lambda first: first.wall_s)


def rows(folder: Path, rounds: int, size: int = SIZES[0]) -> list[tuple[str, str, str]]:
    """For the table: what, the figure to reach, what was found."""
    with serving() as endpoint:
        first = resumed(folder, endpoint, rounds, size)
    limit = TO_REACH.get(size, "")
    return [(f"first request, {size:,} rows of which 99 % are done", limit, first.told())]


def done(folder: Path, endpoint: Endpoint, rows: int) -> Path:
    """A run with 99 % of its rows done: the first part is a real one, the others are made of it."""
    run = folder / f"done-{rows}"
    if not run.exists():
        manifest = _manifest(folder, rows)
        job = workload.job(folder, manifest, endpoint, name=run.name)
        _let_settle(manifest)
        words = ["run", "-q", "--limit", str(PART_ROWS), job]
        spent([sys.executable, "-m", "vbatch", *words], cwd=folder)
        _multiply(Layout(root=run), manifest, int(rows * DONE))
    return run


def _let_settle(manifest: Path) -> None:
    """Nothing is remembered of a file that changed just now."""
    while time.time() < manifest.stat().st_ctime + 2 * SETTLED_S:
        time.sleep(SETTLED_S / 4)


def _manifest(folder: Path, rows: int) -> Path:
    path: Path = start.lines(folder, rows, ids=True)
    return path


def _multiply(layout: Layout, manifest: Path, upto: int) -> None:
    storage, commit = Storage(), newest_commit(layout)
    pattern = pa.concat_tables(
        read_part(layout.part("results", number)) for number in commit.parts["results"]
    )
    source = Manifest([str(manifest)], columns=Columns(), prompt=workload.PROMPT)
    batch: list[Item | BadRow] = []
    for row in source.rows(source.scan()):
        if pattern.num_rows <= row.row < upto:
            batch.append(row)
        if len(batch) == pattern.num_rows or (batch and row.row == upto - 1):
            commit = replace(commit, n=commit.n + 1)
            put_table(storage, layout.part("results", commit.n), _answers(pattern, batch))
            commit = commit.with_part("results", commit.n)
            batch = []
    put_commit(storage, layout, commit)


def _answers(pattern: pa.Table, rows: list[Item | BadRow]) -> pa.Table:
    own = {
        "id": [row.id for row in rows],
        "row": [row.row for row in rows],
        "row_digest": [row.row_digest for row in rows],
    }
    table = pattern.slice(0, len(rows))
    for name, values in own.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table
