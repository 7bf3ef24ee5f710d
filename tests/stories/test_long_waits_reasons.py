"""Whatever all rows wait for is said once, with its name, and stands in run.json meanwhile."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.stories.long_waits import Run, job_with
from tests.virtual import run_virtual
from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.errors import TransientError
from vbatch.records import Completed


def answering(clock, seconds=1.0):
    async def endpoint(row_id):
        await clock.sleep(seconds)

    return endpoint


async def watched(run: Run, at: float):
    """What stands in run.json at a moment, and the run at its end."""
    going = asyncio.create_task(run.go())
    await run.clock.sleep(at)
    waiting, stalled = run.watch.waiting, list(run.watch.stalled)
    await going
    return waiting, stalled, run


def test_no_room_for_another_image(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        run = Run(clock, job, answering(clock), 100)
        run.worker.preparing.urls = lambda item, tries: None  # as if the rows had images to read
        budget = run.worker.preparing._budget
        budget.held = budget.limit + 1
        asyncio.get_running_loop().call_later(40, budget.release, budget.held)
        return await watched(run, 20)

    waiting, stalled, run = run_virtual(scenario)
    assert waiting == "room in limits.max_bytes_in_flight"
    assert not stalled
    assert run.said == [(pytest.approx(5, abs=1.1), "waiting: room in limits.max_bytes_in_flight")]
    assert len(run.results) == 100


def test_a_disk_that_hangs(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        run = Run(clock, job, answering(clock), 300, slots=4)
        record = run.worker.record
        written = itertools.count()

        async def slowly(event):
            if isinstance(event, Completed) and next(written) in range(100, 104):
                await clock.sleep(300)
            await record(event)

        run.worker.record = slowly
        return await watched(run, 200)

    waiting, stalled, run = run_virtual(scenario)
    assert waiting == "the journal to be written"
    assert {row.step for row in stalled} == {"being written to the journal"}
    assert [text.split(":")[0] for _, text in run.said] == [
        "waiting",
        "nothing was answered for 61 s, still on their way",
    ]
    assert len(run.results) == 300


def test_the_last_rows_wait_for_another_try(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        failed_once = set()

        async def endpoint(row_id):
            await clock.sleep(1)
            if row_id == "r9" and row_id not in failed_once:
                failed_once.add(row_id)
                raise TransientError("server_error", "503", status=503, retry_after_s=100)

        return await watched(Run(clock, job, endpoint, 10), 50)

    waiting, stalled, run = run_virtual(scenario)
    assert waiting == "the next try of rows that met a fault"
    assert not stalled
    assert [text for _, text in run.said] == [f"waiting: {waiting}"]
    assert len(run.results) == 10


def test_a_limit_that_the_headers_call_used_up(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        answers = itertools.count(1)

        async def endpoint(row_id):
            await clock.sleep(1)
            if next(answers) == 20:
                return LimitHeaders(remaining_requests=0, reset_requests_s=60)
            return None

        return await watched(Run(clock, job, endpoint, 100), 30)

    waiting, _, run = run_virtual(scenario)
    assert waiting.startswith("endpoint asked to wait until ")
    assert waiting.endswith(": its headers say that a limit is used up")
    ((_, text),) = run.said
    assert text.startswith("waiting: endpoint asked to wait until ")


def test_the_same_wait_is_said_again_only_after_a_calm_minute(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        answers = itertools.count(1)

        async def endpoint(row_id):
            await clock.sleep(1)
            if next(answers) in {100, 110, 3000}:
                raise TransientError(
                    "rate_limited", "429", status=429, retry_after_s=20, throttled=True
                )

        return await Run(clock, job, endpoint, 4000, slots=8).go()

    assert len(run_virtual(scenario).said) == 2


def test_ids_that_command_a_terminal_are_shown_escaped(tmp_path):
    job = job_with(tmp_path, retry__timeout="20s", retry__max_ambiguous=0)

    async def scenario(clock):
        async def endpoint(row_id):
            await asyncio.Event().wait()

        run = Run(clock, job, endpoint, 1, ids="\x1b[2J{n}")
        return await run.go()

    ((_, text),) = run_virtual(scenario).said
    assert "'\\x1b[2J0' sent at " in text
