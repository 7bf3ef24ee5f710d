"""What ends a run early holds in every invocation, and the same command goes on."""

from __future__ import annotations

import asyncio

import pytest

import vbatch
from tests.endpoint.raw_server import http, read_request, said, serving


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (http({"error": {"message": "busy"}}, 429, retry_after="600"), 0),
        (http({"error": {"message": "busy"}}, 503, retry_after="100"), 0),
        (None, 12),
    ],
    ids=["in a pause", "in naps before other tries", "with answers on their way"],
)
async def test_the_time_limit_ends_a_run_for_now_and_the_same_command_goes_on(
    answer, kept, workshop
):
    patient = asyncio.Event()

    async def talk(reader, writer):
        while True:
            await read_request(reader)
            if answer is not None and not patient.is_set():
                writer.write(answer)
                continue
            if not patient.is_set():
                await asyncio.sleep(0.7)
            writer.write(http(said("a cat")))

    workshop.rows(60)
    async with serving(talk) as base_url:
        limits = {"max_duration": "0.5s", "max_in_flight": 4}
        job = workshop.job(base_url, limits=limits)
        first = await asyncio.wait_for(vbatch.arun(job), 30)
        patient.set()
        again = await asyncio.wait_for(vbatch.arun(job, overrides=["limits.max_duration=1m"]), 30)

    assert (first.exit_code, first.stop.code) == (5, "max_duration")
    assert first.failed == first.possibly_billed == 0
    assert first.answered <= kept
    assert (first.answered > 0) == (kept > 0)
    assert first.left == 60 - first.answered
    assert (again.exit_code, again.total_answered) == (0, 60)


async def test_time_spent_on_the_scan_counts_for_the_time_limit(workshop):
    asked = []

    async def talk(reader, writer):
        asked.append(await read_request(reader))
        writer.write(http(said("a cat")))

    workshop.rows(20_000)
    async with serving(talk) as base_url:
        job = workshop.job(base_url, limits={"max_duration": "0.01s"})
        summary = await vbatch.arun(job)

    assert (summary.exit_code, summary.left) == (5, 20_000)
    assert not asked


class Key:
    """An endpoint whose key was good once."""

    good = True

    def __init__(self) -> None:
        self.requests = 0

    async def talk(self, reader, writer):
        while True:
            await read_request(reader)
            self.requests += 1
            bad = http({"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}, 401)
            writer.write(http(said("a cat")) if self.good else bad)


async def test_a_wrong_key_in_the_second_night_costs_a_handful_of_requests_again(workshop):
    endpoint = Key()
    workshop.rows(300)
    async with serving(endpoint.talk) as base_url:
        job = workshop.job(base_url, limits={"max_in_flight": 64})
        first = await vbatch.arun(job, limit=200)
        endpoint.good, endpoint.requests = False, 0
        night = await vbatch.arun(job)

    assert (first.exit_code, first.answered) == (0, 200)
    assert (night.exit_code, night.stop.code, night.left) == (4, "authentication", 100)
    assert endpoint.requests <= 4


async def test_nobody_there_in_the_second_night_stops_it_after_five_faults(workshop):
    endpoint = Key()
    workshop.rows(300)
    async with serving(endpoint.talk) as base_url:
        job = workshop.job(base_url, limits={"max_in_flight": 64})
        await vbatch.arun(job, limit=200)
    night = await vbatch.arun(job)

    assert (night.exit_code, night.stop.code) == (5, "connection")
    assert (night.total_answered, night.failed, night.left) == (200, 0, 100)
    assert night.requests <= 4 + 5


async def test_more_failures_than_allowed_in_the_second_night_stop_it_too(workshop):
    endpoint = Key()
    workshop.rows(900)
    refusal = {"error": {"message": "moderated", "code": "content_policy_violation"}}

    async def talk(reader, writer):
        while True:
            request = await read_request(reader)
            endpoint.requests += 1
            refused = not endpoint.good and endpoint.requests % 3
            writer.write(http(refusal, 400) if refused else http(said("a cat")))
            assert request

    async with serving(talk) as base_url:
        job = workshop.job(base_url)
        await vbatch.arun(job, limit=300)
        endpoint.good = False
        night = await vbatch.arun(job)

    assert (night.exit_code, night.stop.code) == (4, "failure_rate")
    assert 200 <= night.answered + night.failed <= 200 + 64
