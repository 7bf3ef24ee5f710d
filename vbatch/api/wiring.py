"""A job's settings handed to the rooms that work with them."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.endpoint.budget import ByteBudget
from vbatch.endpoint.limits import Limiter
from vbatch.engine.preparing import Preparing
from vbatch.engine.same import Same
from vbatch.errors import JobError
from vbatch.sink.answers import AnswerCache, unpaid
from vbatch.source.loader import ImageLoader
from vbatch.source.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from vbatch.clock import Clock
    from vbatch.endpoint.ledger import Ledger
    from vbatch.job import Job

AUTO_IN_FLIGHT = 256
OPEN_FILES_SHARE = 0.8


def manifest_of(job: Job, template_columns_before: Sequence[Sequence[str]] = ()) -> Manifest:
    """The manifest of a job."""
    return Manifest(
        job.manifest,
        columns=job.columns,
        prompt=job.request.prompt,
        system=job.request.system,
        template_columns_before=template_columns_before,
    )


def loader_of(job: Job, manifest: Manifest, clock: Clock) -> ImageLoader:
    """What prepares a job's images. Raises JobError for a root that is not there."""
    images, dialect = job.images, job.profile.images
    return ImageLoader(
        limits=job.image_limits(),
        send=images.send,
        urls=dialect.urls,
        roots=roots_of(job, manifest),
        allow_private_urls=images.allow_private_urls,
        max_count=dialect.max_count,
        max_request_bytes=dialect.max_raw_request_bytes,
        clock=clock,
    )


def preparing_of(job: Job, loader: ImageLoader, clock: Clock) -> Preparing:
    """What prepares a job's images, within its budget of bytes."""
    return Preparing(loader, ByteBudget(job.limits.max_bytes_in_flight, clock=clock))


def same_of(job: Job, hidden: Path, stack: AsyncExitStack) -> Same | None:
    """Where the same question finds its answer, if the job wants that: see ``engine.same``."""
    if not job.dedupe and job.cache.path is None:
        return None
    asked = job.request
    where = [
        job.profile.name,
        "" if job.profile.starts_here else job.base_url,  # else another port each time
        asked.response_schema,  # a line in Batch format is sent without
        asked.raw,
    ]
    named = job.cache.path
    cache = AnswerCache(Path(named or hidden / "answers.sqlite"), own=not named)
    same = Same(cache, where=json.dumps(where, sort_keys=True), unpaid=unpaid)
    stack.push_async_callback(same.close)
    return same


def roots_of(job: Job, manifest: Manifest) -> tuple[Path, ...]:
    """Where local images must lie. Raises JobError for a root that is not there."""
    for root in job.images.root:
        if not Path(root).is_dir():
            raise JobError(f"images.root: there is no folder {root}")
    return job.roots(manifest.root)


def limiter_of(job: Job, slots: int, clock: Clock, ledger: Ledger | None = None) -> Limiter:
    """What paces a job's requests, at most ``slots`` at once; ``ledger``: together with others."""
    return Limiter(
        clock=clock,
        max_in_flight=slots,
        seeks_width=job.limits.max_in_flight == "auto",
        max_outage_s=job.retry.max_outage,
        max_wait_s=job.retry.max_wait,
        requests_per_minute=job.limits.requests_per_minute,
        tokens_per_minute=job.limits.tokens_per_minute,
        ledger=ledger,
    )


def slots_of(job: Job) -> int:
    """How many requests a job may have in flight, within the process's open files."""
    asked = job.limits.max_in_flight
    if asked != "auto":
        return asked
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(AUTO_IN_FLIGHT, job.profile.max_in_flight or AUTO_IN_FLIGHT)
    return max(1, min(most, int(OPEN_FILES_SHARE * files)))
