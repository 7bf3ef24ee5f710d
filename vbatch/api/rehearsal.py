"""Everything but sending: what ``--dry-run`` and ``check`` do."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.api.question import check_question, reach_digest
from vbatch.api.todo import Todo
from vbatch.api.wiring import loader_of, manifest_of
from vbatch.endpoint import tokens, wire
from vbatch.errors import EndpointError, ImageError, Locked, redact
from vbatch.records import BadRow, Item
from vbatch.sink.holder import read_holder
from vbatch.sink.layout import Layout
from vbatch.sink.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.clock import Clock
    from vbatch.job import Job
    from vbatch.records import JsonValue, ManifestScan
    from vbatch.source.loader import ImageLoader
    from vbatch.source.manifest import Manifest

SHOWN = 20
"""Failures that are told one by one."""
AT_ONCE = 16


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """What would be sent. ``failures`` are the first few rows that would fail, as (id, why)."""

    rows: int
    remote_images: int = 0
    """Rows of the whole manifest that name an http(s) image."""
    done: int = 0
    requests: int = 0
    images: int = 0
    image_bytes: int = 0
    tokens: int = 0
    held_by: str | None = None
    """Who is at work on the run. Which rows are done cannot be told then: all count as to do."""
    codes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def fail(self, row_id: str, code: str, message: str) -> None:
        """Count a row that would fail before it is sent."""
        self.codes[code] += 1
        if len(self.failures) < SHOWN:
            self.failures.append((row_id, f"{code}: {message}"))

    def as_json(self) -> dict[str, JsonValue]:
        """The report as one JSON object."""
        return asdict(replace(self, codes=Counter())) | {"codes": dict(self.codes)}

    def done_so_far(self) -> str:
        """How many rows need not be asked any more, for people."""
        if self.held_by is None:
            return f"{self.done:,} done already"
        return f"all taken as still to do because {self.held_by}, is at work on this run"

    def line(self) -> str:
        """One line for people."""
        failing = ", ".join(f"{count:,} {code}" for code, count in self.codes.most_common())
        return (
            f"{self.rows:,} rows, {self.done_so_far()}; would send {self.requests:,} "
            f"requests with {self.images:,} images ({self.image_bytes / 1e6:,.1f} MB), about "
            f"{self.tokens:,} tokens" + (f"; would fail: {failing}" if failing else "")
        )


async def rehearse(
    job: Job,
    *,
    clock: Clock,
    limit: int | None = None,
    fresh: bool = False,
    accept_change: bool = False,
) -> Rehearsal:
    """Read, render, prepare and build the rows still to do; send and write nothing.

    ``fresh``: all of them, whatever run is there. Raises what a run would raise before its first
    request.
    """
    todo: Todo | None = None
    before: tuple[tuple[str, ...], ...] = ()
    held_by = None
    try:
        if not fresh:
            todo, before = await asyncio.to_thread(_todo, job, clock, accept_change=accept_change)
    except Locked:
        held_by = str(read_holder(Layout(root=Path(job.output)).lock) or "another process")
    manifest = manifest_of(job, before)
    scan = await asyncio.to_thread(manifest.scan)
    report = Rehearsal(rows=scan.rows, remote_images=scan.remote_images, held_by=held_by)
    loader = loader_of(job, manifest, clock)
    try:
        rows = _open_rows(manifest, scan, todo, report)
        rows = itertools.islice(rows, limit)
        while batch := await asyncio.to_thread(lambda: list(itertools.islice(rows, AT_ONCE))):
            await asyncio.gather(*(_try(row, job, loader, report) for row in batch))
    finally:
        await loader.close()
    return report


def _todo(
    job: Job, clock: Clock, *, accept_change: bool
) -> tuple[Todo | None, tuple[tuple[str, ...], ...]]:
    if not Layout(root=Path(job.output)).hidden.is_dir():
        return None, ()
    folder = RunFolder.open(job.output, clock=clock, invocation=secrets.token_hex(6), brief=True)
    try:
        check_question(folder.kept, job, has_answers=folder.has_answers, accept=accept_change)
        before = folder.kept.template_columns if folder.kept else ()
        root = manifest_of(job).root
        todo = Todo(
            history=folder.history(),
            job_digest=job.digest,
            reach_digest=reach_digest(job, job.digest, root),
        )
        return todo, before
    finally:
        folder.close()


def _open_rows(
    manifest: Manifest, scan: ManifestScan, todo: Todo | None, report: Rehearsal
) -> Iterator[Item | BadRow]:
    for row in manifest.rows(scan):
        if todo is None or todo.wanted(row):
            yield row
        else:
            report.done += 1


async def _try(row: Item | BadRow, job: Job, loader: ImageLoader, report: Rehearsal) -> None:
    if isinstance(row, BadRow):
        report.fail(row.id, "bad_row", row.message)
        return
    try:
        images = await loader.load(row.images)
        question = wire.question(job, row)
        body = wire.build(question, row, images, job.profile)
    except (ImageError, EndpointError) as error:
        report.fail(row.id, error.code, redact(error.message, job.secrets))
        return
    report.requests += 1
    report.images += len(images)
    report.image_bytes += body.image_bytes
    report.tokens += tokens.estimate(question, images)
