"""Who is asked: the gateway of the job, or the built-in endpoint started for this run."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vbatch import server
from vbatch.errors import redact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vbatch.clock import Clock
    from vbatch.job import Job


@asynccontextmanager
async def with_endpoint(job: Job, clock: Clock) -> AsyncIterator[Job]:
    """The job with an address to ask. The built-in endpoint runs while the context is open."""
    if not job.starts_endpoint:
        yield job
        return
    running = await server.start(server.ServerSettings(), clock=clock)
    try:
        yield job.at(running.base_url)
    finally:
        await running.stop()


def label(job: Job) -> str:
    """What results call the endpoint: its address, or the name of the built-in one."""
    return job.profile.name if job.starts_endpoint else redact(job.base_url, job.secrets)
