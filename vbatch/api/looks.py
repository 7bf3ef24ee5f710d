"""Looking without paying: a job checked, gateways and models listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.api.endpoint import with_endpoint
from vbatch.api.question import check_question
from vbatch.api.rehearsal import rehearse
from vbatch.endpoint.client import Client
from vbatch.endpoint.settings import settings_of
from vbatch.errors import EndpointError, FatalError, JobError, StorageFull, VbatchError, redact
from vbatch.sink.kept import read_kept
from vbatch.sink.layout import Layout
from vbatch.sink.reader import open_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.api.rehearsal import Rehearsal
    from vbatch.clock import Clock
    from vbatch.endpoint.models import ModelInfo
    from vbatch.job import Job

CHECKED_ROWS = 20


@dataclass(slots=True)
class Findings:
    """What ``check`` found: ``problems`` would stop a run or fail its rows, ``warnings`` may."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def without(self, secrets: Sequence[str]) -> Findings:
        """The same without ``secrets``."""
        kinds = (self.notes, self.warnings, self.problems)
        return Findings(*([redact(text, secrets) for text in texts] for texts in kinds))


async def check(job: Job, *, clock: Clock) -> Findings:
    """Look over job, key, manifest, first images and model; nothing here costs anything.

    Raises ManifestError and JobError where a run could not even begin.
    """
    found = Findings()
    found.notes.append(f"job {job.name}: {job.profile.name}, model {job.model}")
    _check_key(job, found)
    _check_run(job, found)
    report = await _rehearse(job, clock, found)
    _tell_rows(report, found)
    _tell_urls(job, report, found)
    await _check_model(job, clock, found)
    if job.price.input is None or job.price.output is None:
        found.notes.append("price: known only where the endpoint reports a cost (see [price])")
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


async def _rehearse(job: Job, clock: Clock, found: Findings) -> Rehearsal:
    """Try the first rows. A run that can only be read is no reason to look no further."""
    try:
        return await rehearse(job, clock=clock, limit=CHECKED_ROWS, accept_change=True)
    except StorageFull as error:
        found.problems.append(
            f"output: {error.message}: which rows are done cannot be told, and all are taken as "
            "still to do"
        )
    return await rehearse(job, clock=clock, limit=CHECKED_ROWS, fresh=True)


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
    found.problems += [f"row {row_id}: {why}" for row_id, why in report.failures]


def _tell_urls(job: Job, report: Rehearsal, found: Findings) -> None:
    if report.remote_images and job.profile.images.urls and job.images.send != "inline":
        found.notes.append(
            "images given as URL are sent as URL: they can be neither stripped nor checked "
            '(images.send = "inline" fetches them)'
        )


async def _check_model(job: Job, clock: Clock, found: Findings) -> None:
    if job.key_problem is not None:
        return
    try:
        listed = {model.id: model for model in await models(job, clock=clock)}
    except FatalError as error:
        found.problems.append(f"the endpoint refuses us ({error.code}): {error.message}")
        return
    except EndpointError as error:
        found.warnings.append(f"model: the list of models could not be read ({error.message})")
        return
    model = listed.get(job.model)
    if model is None:
        found.warnings.append(
            f"model {job.model}: not among the {len(listed)} listed; see "
            f"`vbatch models --profile {job.profile.name}`"
        )
    elif model.vision is False:
        found.problems.append(f"model {job.model} does not see images")
    else:
        found.notes.append(f"model {job.model}: listed")
