"""Looking without paying: a job checked, gateways and models listed."""

from __future__ import annotations

import asyncio
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.api.endpoint import with_endpoint
from vbatch.api.findings import Findings, tell_fields, tell_images, tell_models, tell_schema
from vbatch.api.question import check_question
from vbatch.api.rehearsal import rehearse
from vbatch.api.survey import Survey, survey
from vbatch.endpoint.client import Client
from vbatch.endpoint.settings import settings_of
from vbatch.errors import (
    EndpointError,
    FatalError,
    JobError,
    StorageFull,
    VbatchError,
)
from vbatch.sink.kept import read_kept
from vbatch.sink.layout import Layout
from vbatch.sink.reader import open_run

if TYPE_CHECKING:
    from vbatch.api.rehearsal import Rehearsal
    from vbatch.clock import Clock
    from vbatch.endpoint.models import ModelInfo
    from vbatch.job import Job
    from vbatch.records import ManifestScan
    from vbatch.source.manifest import Manifest

__all__ = ["CHECKED_ROWS", "Findings", "check", "models"]

CHECKED_ROWS = 20
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_LISTING = re.compile(r"\b(scopes?|permissions?)\b", re.IGNORECASE)
"""Keys can be made that may ask models and not list them."""
_DOWN = frozenset({502, 503, 504, *range(520, 525), 529, 530})
"""Statuses of proxies before an endpoint that is down, starting or overrun."""


async def check(job: Job, *, clock: Clock) -> Findings:
    """Look over job, key, output, manifest, images and model; nothing here costs anything.

    What leaves no row that could be answered is a problem; what concerns some rows, a warning.
    Raises ManifestError and JobError where a run could not even begin.
    """
    found = Findings()
    found.notes.append(f"job {job.name}: {job.profile.name}, model {job.model}")
    _check_key(job, found)
    _check_output(job, found)
    _check_run(job, found)
    report, seen = await _rehearse(job, clock, found)
    _tell_rows(report, found)
    _tell_urls(job, report, found)
    tell_images(job, seen, found)
    tell_fields(job, found)
    tell_schema(job, found)
    await _check_models(job, clock, seen, found)
    await asyncio.to_thread(_tell_prices, job, seen, found)
    return found


async def models(job: Job, *, clock: Clock) -> list[ModelInfo]:
    """The models a gateway lists. Raises JobError without a key, EndpointError."""
    job.require_key()
    async with (
        with_endpoint(job, clock) as placed,
        Client(settings_of(placed, connections=1), clock=clock) as client,
    ):
        return await client.models()


def _check_key(job: Job, found: Findings) -> None:
    try:
        job.require_key()
    except JobError as error:
        found.problems.append(error.message)
    else:
        found.notes.append("key: found" if job.api_key else "key: none needed")


def _check_output(job: Job, found: Findings) -> None:
    """Whether a run's folder is there or can be made."""
    output = Path(job.output)
    there = next(place for place in (output, *output.parents) if os.path.lexists(place))
    if not there.is_dir():
        found.problems.append(f"output {output}: {there} is a file, and a run needs a folder")
    elif not os.access(there, os.W_OK | os.X_OK):
        found.problems.append(f"output {output}: nothing can be written into {there}")


def _check_run(job: Job, found: Findings) -> None:
    kept = read_kept(Layout(root=Path(job.output)))
    if kept is None:
        found.notes.append(f"output {job.output}: a new run")
        return
    results = open_run(job.output).answered
    found.notes.append(f"output {job.output}: {results:,} rows answered already")
    try:
        check_question(kept, job, has_answers=results > 0, accept=False)
    except VbatchError as error:
        found.problems.append(error.message)


async def _rehearse(job: Job, clock: Clock, found: Findings) -> tuple[Rehearsal, Survey]:
    """Try the next rows to do, and look over those from the first one on.

    A run that can only be read is no reason to look no further.
    """
    seen = Survey()

    def look(manifest: Manifest, scan: ManifestScan) -> None:
        nonlocal seen
        seen = survey(job, manifest, scan)

    tried = partial(rehearse, job, clock=clock, limit=CHECKED_ROWS, look=look)
    try:
        return await tried(accept_change=True), seen
    except StorageFull as error:
        found.problems.append(
            f"output: {error.message}: which rows are done cannot be told, and all are taken as "
            "still to do"
        )
    return await tried(fresh=True), seen


def _tell_rows(report: Rehearsal, found: Findings) -> None:
    found.notes.append(
        f"manifest: {report.rows:,} rows; of the next {CHECKED_ROWS} to do, {report.requests} can "
        f"be sent ({report.image_bytes / 1e6:.1f} MB, about {report.tokens:,} tokens)"
    )
    if report.held_by is not None:
        found.warnings.append(
            f"output: {report.held_by}, is at work on it: which rows are done cannot be told, and "
            "all are taken as still to do"
        )
    failing = [f"row {row_id}: {why}" for row_id, why in report.failures]
    (found.warnings if report.requests else found.problems).extend(failing)


def _tell_urls(job: Job, report: Rehearsal, found: Findings) -> None:
    if report.remote_images and job.profile.images.urls and job.images.send != "inline":
        found.notes.append(
            "images given as URL are sent as URL: they can be neither stripped nor checked "
            '(images.send = "inline" fetches them)'
        )


def _tell_prices(job: Job, seen: Survey, found: Findings) -> None:
    """What each model costs. A budget in money needs to know."""
    prices, limits = job.price_book(), job.limits
    capped = limits.max_cost is not None or limits.max_cost_total is not None
    asked = seen.asked(job)
    for model, rows in asked.items():
        rate = prices.rate(model)
        if rate is not None:
            found.notes.append(f"price of {model}: {rate.told()}")
            continue
        unknown = f"price of {model}: known only where the endpoint reports a cost (see [price])"
        place = found.of(rows, sum(asked.values())) if capped else found.notes
        place.append(f"{unknown}; limits.max_cost needs it" if capped else unknown)


async def _check_models(job: Job, clock: Clock, seen: Survey, found: Findings) -> None:
    if job.key_problem is not None:
        return
    try:
        listed = await models(job, clock=clock)
    except EndpointError as error:
        if isinstance(error, FatalError) and not _of_the_list_alone(error):
            found.problems.append(f"the endpoint refuses us ({error.code}): {error.message}")
        elif _is_down(error):
            found.problems.append(f"the endpoint is not there: {error.message}")
        else:
            found.warnings.append(f"model: the list of models could not be read ({error.message})")
    else:
        tell_models(job, seen, listed, found)


def _of_the_list_alone(error: FatalError) -> bool:
    """Whether requests may be answered all the same."""
    if error.status == _UNAUTHORIZED:
        return _LISTING.search(error.message) is not None
    return error.status == _FORBIDDEN or error.code == "redirect"


def _is_down(error: EndpointError) -> bool:
    """Whether nobody answers for the endpoint. A 501 may only mean that there is no such list."""
    if error.status is None:
        return error.code in {"connection", "timeout"}
    return error.status in _DOWN
