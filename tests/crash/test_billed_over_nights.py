"""What a row may have cost counts over all invocations, also those that ended before it did."""

from __future__ import annotations

import asyncio

import vbatch
from vbatch import api
from vbatch.api.chores import OUT_OF_TIME
from vbatch.server import parse_faults


async def stopped_after_one_try(job) -> None:
    """A night in which the row is tried once, in vain, and stopped while it waits for the next."""
    session = api.session(job, overrides=["retry.max_wait=30s"])
    async with session:
        while not session._live.sums().possibly_billed:  # noqa: ASYNC110 - nothing tells of a try
            await asyncio.sleep(0.01)
        session.stop(OUT_OF_TIME)
        async for _ in session:
            raise AssertionError("the row has no outcome")


async def test_attempts_of_nights_that_were_stopped_stand_in_the_failure(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("504:1"))
    workshop.rows(1)
    job = workshop.job(server.base_url, retry={"max_ambiguous": 1})
    for _ in range(3):
        await stopped_after_one_try(job)

    await api.arun(job)

    failure = vbatch.open_run(workshop.folder / "run").failures().to_pylist()[0]
    assert failure["attempts"] == failure["possibly_billed"] == server.sums["requests"] == 5
    assert not failure["retryable"], "more than twice as often as one night may pay for it"
