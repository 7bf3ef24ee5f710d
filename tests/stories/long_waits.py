"""A run on a virtual clock: the real engine, worker, limiter and breakers.

Sockets, files and threads know no virtual time, so four things are simple here: rows come from a
list, have no images, the journal is a list of events, and the client asks a function.
"""

from __future__ import annotations

import asyncio
from collections import deque

from vbatch.api.chores import Chores
from vbatch.api.tally import Live
from vbatch.api.watch import Watch
from vbatch.api.wiring import limiter_of
from vbatch.endpoint.budget import ByteBudget
from vbatch.endpoint.client import Answer
from vbatch.endpoint.deadlines import DeadlinePassedError, Deadlines
from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.engine.breakers import Breakers
from vbatch.engine.local import Engine
from vbatch.engine.outcomes import Origin
from vbatch.engine.preparing import Preparing
from vbatch.engine.worker import Worker
from vbatch.errors import AmbiguousError
from vbatch.job import load_job
from vbatch.records import Completed, Completion, Failed, Item, Usage
from vbatch.source.loader import ImageLoader
from vbatch.state import Past

JOB = {
    "endpoint.profile": "openai",
    "endpoint.base_url": "http://gateway.test/v1",
    "endpoint.model": "gpt-4o",
    "request.prompt": "what is it?",
}


def job_with(folder, **settings):
    """A job without a file; ``settings`` as in ``retry__timeout="30s"``."""
    chosen = JOB | {key.replace("__", "."): value for key, value in settings.items()}
    return load_job(
        None,
        overrides=[f"{key}={value}" for key, value in chosen.items()],
        flags={"manifest": str(folder), "output": str(folder / "run")},
        env={"OPENAI_API_KEY": "sk-test"},
        cwd=folder,
    )


class Rows:
    """What the engine needs of a feed."""

    def __init__(self, count: int, ids: str) -> None:
        self._rows = deque(
            Item(id=ids.format(n=n), row=n, images=(), prompt="p", row_digest="d")
            for n in range(count)
        )

    async def next(self):
        return self._rows.popleft() if self._rows else None

    async def close(self):
        pass


class Asked:
    """What the worker needs of a client, over ``endpoint(row id)``, within real deadlines."""

    suspect_ids = ()

    def __init__(self, endpoint, job, clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self.deadlines = Deadlines(timeout_s=job.retry.timeout, sweep_s=0.25, clock=clock)
        self.sent: list[tuple[float, str]] = []

    async def ask(self, body, *, tag):
        started = self._clock.monotonic()
        self.sent.append((started, tag))
        try:
            with self.deadlines.attempt():
                limits = await self._endpoint(tag)
        except DeadlinePassedError:
            raise AmbiguousError("timeout", "no answer in time") from None
        return Answer(
            completion=Completion(
                text="a cat", finish_reason="stop", usage=Usage(total_tokens=100)
            ),
            latency_s=self._clock.monotonic() - started,
            limits=limits or LimitHeaders(),
        )


class Run:
    """One invocation over ``count`` rows. After ``go`` everything it came to is here."""

    def __init__(self, clock, job, endpoint, count: int, *, slots=64, ids="r{n}") -> None:
        self.clock = clock
        self.job = job
        self.events = []
        self.client = Asked(endpoint, job, clock)
        self.limiter = limiter_of(job, slots, clock)
        self.live = Live(history=NoHistory())
        self.worker = Worker(
            job=job,
            origin=Origin(
                invocation="i",
                job_digest="j",
                run_digest="j",
                reach_digest="j",
                endpoint="e",
                model="gpt-4o",
                max_ambiguous=job.retry.max_ambiguous,
                price=job.price_book(),
            ),
            preparing=Preparing(_loader(clock), ByteBudget(512_000_000, clock=clock)),
            client=self.client,
            limiter=self.limiter,
            breakers=Breakers(job.limits, address=job.base_url, timeout_s=job.retry.timeout),
            record=self._record,
            past=lambda row_id, digest: Past(),
            clock=clock,
            stop_run=self._stop_engine,
        )
        self.watch = Watch(self.worker, self.live, clock=clock, timeout_s=job.retry.timeout)
        self.engine = Engine(Rows(count, ids), self.worker, slots=slots)
        self.said: list[tuple[float, str]] = []

    async def _record(self, event) -> None:
        self.events.append(event)
        self.live.fold(event, self.clock.monotonic())

    def _stop_engine(self, stop) -> None:
        self.engine.stop(stop)

    async def _look(self) -> None:
        self.watch.look()
        for notice in self.watch.notices[len(self.said) :]:
            self.said.append((self.clock.monotonic(), notice))

    async def go(self) -> Run:
        chores = Chores(self.clock)
        chores.tick(self._look, failed=self._broken)
        sweep = asyncio.create_task(self.client.deadlines.sweep())
        async with self.engine as outcomes:
            async for _ in outcomes:
                pass
        self.ended = self.clock.monotonic()
        await chores.end()
        sweep.cancel()
        return self

    @staticmethod
    def _broken(why: str) -> None:
        raise AssertionError(why)

    @property
    def stop(self):
        return self.engine.stopped

    @property
    def results(self):
        return [event.result for event in self.events if isinstance(event, Completed)]

    @property
    def failures(self):
        return [event.failure for event in self.events if isinstance(event, Failed)]


class NoHistory:
    """A run that never ran."""

    answered = failed = 0

    def has_answer(self, row_id):
        return False

    def failure(self, row_id):
        return None

    def keeps_answer(self, failure):
        return False


def _loader(clock) -> ImageLoader:
    return ImageLoader(
        limits=None,
        send="auto",
        urls=True,
        roots=[],
        allow_private_urls=False,
        max_count=None,
        max_request_bytes=None,
        clock=clock,
        threads=1,
    )
