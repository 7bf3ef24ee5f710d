"""The journal comes first: nothing is sent, and nothing is told, before it is written down."""

from __future__ import annotations

import asyncio

import pytest

from tests.endpoint.raw_server import http, read_request, said, serving
from vbatch.clock import SystemClock
from vbatch.endpoint.budget import ByteBudget
from vbatch.endpoint.client import Client
from vbatch.endpoint.limits import Limiter
from vbatch.endpoint.settings import settings_of
from vbatch.engine.breakers import Breakers
from vbatch.engine.outcomes import Origin
from vbatch.engine.preparing import Preparing
from vbatch.engine.tries import Tries
from vbatch.engine.worker import Again, Worker
from vbatch.errors import TransientError
from vbatch.job import load_job
from vbatch.records import (
    Asked,
    BadRow,
    Completed,
    Failed,
    Failure,
    ImageLimits,
    Item,
    Result,
    Tried,
)
from vbatch.source.loader import ImageLoader
from vbatch.state import Past

JOB = """
    manifest = "m.jsonl"
    [endpoint]
    profile = "openai"
    model = "m"
    base_url = "{base_url}"
    [retry]
    max_wait = "1ms"
"""
ROW = Item(id="a", row=0, images=(), prompt="what is it?", row_digest="d")
WELL = http(said("a cat"))
BUSY = http({"error": "busy"}, 503)
REFUSED = http({"error": "no"}, 400)
TURNS = 200
"""Of the loop: a request to a server on the same loop is there after some ten."""


class Journal:
    """Keeps events in order. The first of the kind that is ``held`` waits to be let go."""

    def __init__(self) -> None:
        self.held: type | None = None
        self.reached = asyncio.Event()
        self.let_go = asyncio.Event()
        self.events: list = []

    async def record(self, event) -> None:
        if isinstance(event, self.held or ()):
            self.reached.set()
            await self.let_go.wait()
        self.events.append(event)

    @property
    def kinds(self) -> list[type]:
        return [type(event) for event in self.events]


class Endpoint:
    """Gives each request the next of ``answers``, and counts them in ``asked``."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.asked = 0

    async def __call__(self, reader, writer) -> None:
        while True:
            await read_request(reader)
            self.asked += 1
            writer.write(self.answers.pop(0))


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
async def worker(endpoint, journal, tmp_path):
    """A worker with all that belongs to it, but for the journal."""
    clock = SystemClock()
    loader = ImageLoader(
        limits=ImageLimits(formats=frozenset({"jpeg"})),
        send="auto",
        urls=True,
        roots=[tmp_path],
        allow_private_urls=False,
        max_count=None,
        max_request_bytes=None,
        clock=clock,
    )
    async with serving(endpoint) as base_url:
        env = {"OPENAI_API_KEY": "sk-12345678"}
        job = load_job(None, text=JOB.format(base_url=base_url), env=env, cwd=tmp_path)
        async with Client(settings_of(job, connections=1), clock=clock) as client:
            yield Worker(
                job=job,
                origin=Origin(
                    invocation="i",
                    job_digest="j",
                    run_digest="j",
                    reach_digest="j",
                    endpoint="e",
                    model="m",
                    max_ambiguous=2,
                    price=job.price_book(),
                ),
                preparing=Preparing(loader, ByteBudget(10_000, clock=clock)),
                client=client,
                limiter=Limiter(clock=clock, max_in_flight=1, max_outage_s=60),
                breakers=Breakers(job.limits, address=base_url, timeout_s=60),
                record=journal.record,
                past=lambda row_id, digest: Past(),
                clock=clock,
                stop_run=lambda stop: None,
            )
    await loader.close()


async def hold(journal, kind, work) -> asyncio.Task:
    """Begin ``work``, and let it go as far as it can while an event of ``kind`` is not written."""
    journal.held = kind
    task = asyncio.create_task(work)
    reached = asyncio.create_task(journal.reached.wait())
    await asyncio.wait({task, reached}, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    reached.cancel()
    return task


def second_try() -> Again:
    tries = Tries(first_at=0.0, sent=1, counted=1)
    return Again(ROW, tries, TransientError("server_error", "busy", status=503))


@pytest.mark.parametrize("which", ["first", "second"])
async def test_nothing_is_sent_before_it_is_written_that_it_will_be(
    which, worker, journal, endpoint
):
    endpoint.answers = [WELL]
    work = worker.answer(ROW) if which == "first" else worker.again(second_try())

    task = await hold(journal, Asked, work)

    assert journal.reached.is_set()
    assert (task.done(), endpoint.asked) == (False, 0)
    journal.let_go.set()
    assert isinstance(await task, Result)
    assert endpoint.asked == 1
    assert journal.kinds == [Asked, Completed]


ENDS = [
    pytest.param(WELL, Completed, Result, id="an answer"),
    pytest.param(REFUSED, Failed, Failure, id="a failure"),
    pytest.param(BUSY, Tried, Again, id="another try"),
]


@pytest.mark.parametrize(("answer", "kind", "outcome"), ENDS)
async def test_nobody_hears_how_an_attempt_ended_before_it_is_written(
    answer, kind, outcome, worker, journal, endpoint
):
    endpoint.answers = [answer]

    task = await hold(journal, kind, worker.answer(ROW))

    assert journal.reached.is_set()
    assert (task.done(), endpoint.asked) == (False, 1)
    journal.let_go.set()
    assert isinstance(await task, outcome)
    assert journal.kinds == [Asked, kind]


@pytest.mark.parametrize(("answer", "kind", "outcome"), ENDS[:2])
async def test_nobody_hears_how_a_later_attempt_ended_before_it_is_written(
    answer, kind, outcome, worker, journal, endpoint
):
    endpoint.answers = [BUSY, answer]

    task = await hold(journal, kind, worker.again(second_try()))

    assert journal.reached.is_set()
    assert (task.done(), endpoint.asked) == (False, 2)
    journal.let_go.set()
    assert isinstance(await task, outcome)
    assert journal.kinds == [Asked, Tried, Asked, kind]


async def test_nobody_hears_of_a_bad_row_before_it_is_written(worker, journal):
    row = BadRow(id="bad-1", row=0, row_digest="d", message="not JSON", file="m.jsonl", line=1)

    task = await hold(journal, Failed, worker.answer(row))

    assert journal.reached.is_set()
    assert not task.done()
    journal.let_go.set()
    assert (await task).code == "bad_row"
