"""Everything but sending: what ``--dry-run`` and ``check`` do."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.api.question import check_question, reach_digest
from vbatch.api.todo import Todo
from vbatch.api.wiring import loader_of, manifest_of
from vbatch.costs.rates import dollars
from vbatch.endpoint import lines, tokens, wire
from vbatch.errors import EndpointError, ImageError, Locked, redact
from vbatch.records import BadRow, Item, PreparedImage, RemoteImage
from vbatch.sink.holder import read_holder
from vbatch.sink.layout import Layout
from vbatch.sink.run_folder import RunFolder
from vbatch.source.sizes import Sizes
from vbatch.state import sum_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from vbatch.clock import Clock
    from vbatch.costs.book import PriceBook
    from vbatch.endpoint.wire import Question
    from vbatch.job import Job
    from vbatch.records import ImageSource, JsonValue, ManifestScan, SentImage
    from vbatch.source.loader import ImageLoader
    from vbatch.source.manifest import Manifest
    from vbatch.state import Tally

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
    cost: Decimal | None = Decimal()
    """USD of ``tokens``, with answers as long as is reserved for them; None: not known."""
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
        cost = None if self.cost is None else float(self.cost)
        return asdict(replace(self, codes=Counter())) | {"codes": dict(self.codes), "cost": cost}

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
            f"{self.tokens:,} tokens{self._priced()}"
            + (f"; would fail: {failing}" if failing else "")
        )

    def _priced(self) -> str:
        if self.cost is None:
            return ", at a price that is not known"
        return f" and {dollars(self.cost)}" if self.requests else ""


async def rehearse(
    job: Job,
    *,
    clock: Clock,
    limit: int | None = None,
    fresh: bool = False,
    accept_change: bool = False,
    look: Callable[[Manifest, ManifestScan], None] | None = None,
) -> Rehearsal:
    """Read, render, prepare and build the rows still to do; send and write nothing.

    ``fresh``: all of them, whatever run is there. ``look`` is shown the manifest once it is
    scanned, in a thread. Raises what a run would raise before its first
    request.
    """
    known = await asyncio.to_thread(known_of, job, clock, fresh=fresh, accept_change=accept_change)
    manifest = manifest_of(job, known.before)
    scan = await asyncio.to_thread(manifest.scan)
    report = Rehearsal(rows=scan.rows, remote_images=scan.remote_images, held_by=known.held_by)
    if look is not None:
        await asyncio.to_thread(look, manifest, scan)
    prices = job.price_book()
    await asyncio.to_thread(prices.rate, job.model)  # the table takes a moment to load
    loader = loader_of(job, manifest, clock)
    try:
        rows = _open_rows(manifest, scan, known.todo, report)
        rows = itertools.islice(rows, limit)
        while batch := await asyncio.to_thread(lambda: list(itertools.islice(rows, AT_ONCE))):
            await asyncio.gather(*(_try(row, job, loader, prices, report) for row in batch))
    finally:
        await loader.close()
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a run's folder says: which rows are done, and what the run has spent so far.

    ``todo`` is None where all rows are to do, ``before`` as ``Manifest`` takes it. ``spent`` sums
    up all invocations; its times are as far apart as they worked together.
    """

    todo: Todo | None = None
    before: tuple[tuple[str, ...], ...] = ()
    held_by: str | None = None
    spent: Tally = field(default_factory=lambda: _spent(()))


def known_of(job: Job, clock: Clock, *, fresh: bool = False, accept_change: bool = False) -> Known:
    """Read the run's folder, if there is one. Blocks.

    Raises what a run would raise; where another process holds it, nothing is known but that.
    """
    layout = Layout(root=Path(job.output))
    if fresh or not layout.hidden.is_dir():
        return Known()
    try:
        return _read(job, clock, accept_change=accept_change)
    except Locked:
        return Known(held_by=str(read_holder(layout.lock) or "another process"))


def _read(job: Job, clock: Clock, *, accept_change: bool) -> Known:
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
        spent = _spent(folder.tallies.closed().by_key.values())
        return Known(todo=todo, before=before, spent=spent)
    finally:
        folder.close()


def _spent(tallies: Iterable[Tally]) -> Tally:
    tallies = list(tallies)
    total = sum_of(tallies)
    total.finished_at = sum(tally.finished_at - tally.started_at for tally in tallies)
    return total


def _open_rows(
    manifest: Manifest, scan: ManifestScan, todo: Todo | None, report: Rehearsal
) -> Iterator[Item | BadRow]:
    for row in manifest.rows(scan):
        if todo is None or todo.wanted(row):
            yield row
        else:
            report.done += 1


async def _try(
    row: Item | BadRow, job: Job, loader: ImageLoader, prices: PriceBook, report: Rehearsal
) -> None:
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
    stored = body.image_bytes
    if row.body is not None:
        question, images, stored = await asyncio.to_thread(_inside, job, question, row.body)
    report.requests += 1
    report.images += len(images)
    report.image_bytes += stored
    answer = tokens.of_answer(question)
    prompt = tokens.estimate(question, images) - answer
    report.tokens += prompt + answer
    rate = prices.rate(question.model)
    if rate is None or report.cost is None:
        report.cost = None
    else:
        report.cost += rate.of(prompt, answer)


def _inside(
    job: Job, question: Question, body: Mapping[str, JsonValue]
) -> tuple[Question, tuple[SentImage, ...], int]:
    """What a line in Batch format asks, its images, and the bytes of those within. Blocks."""
    question, sources = lines.inside(question, body)
    sizes, images, stored = Sizes(job.image_limits(), ()), [], 0
    for source in sources:
        image, length = _measured(source, sizes)
        images.append(image)
        stored += length
    return question, tuple(images), stored


def _measured(source: ImageSource, sizes: Sizes) -> tuple[SentImage, int]:
    """An image of a line, for its size. What nobody can read is sent all the same."""
    unseen = RemoteImage(url="", detail=source.detail)
    if source.kind == "url":
        return unseen, 0
    try:
        width, height, stored = sizes.of(source)
    except ImageError:
        return unseen, 0
    image = PreparedImage(
        data=b"", media_type="", width=width, height=height, sha256="", detail=source.detail
    )
    return image, stored
