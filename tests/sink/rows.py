"""Events and a run to put them in, with only what a test wants to say spelled out."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa

from vbatch.errors import Fault
from vbatch.records import (
    Abandoned,
    Asked,
    Attempt,
    Completed,
    Completion,
    Failed,
    Failure,
    Result,
    Tried,
    Usage,
)
from vbatch.sink.kept import Kept
from vbatch.sink.views import Standing
from vbatch.state import Counts

DONE = Standing(name="captions", counts=Counts(rows=2, answered=1, failed=1), exit_code=3)
T0 = 1_700_000_000.0
CARRIED = pa.schema([("label", pa.string()), ("n", pa.int64())])
GIVEN = pa.schema([("image", pa.string()), ("prompt", pa.string())])


def kept(carried=CARRIED, given=GIVEN, **changes) -> Kept:
    fields = {
        "job_text": 'name = "x"\n',
        "overrides": ("limits.max_in_flight=3",),
        "question": {"model": "m", "request.prompt": "look"},
        "job_digest": "j" * 32,
        "profile": {"name": "p"},
        "carried_schema": carried.serialize().to_pybytes(),
        "given_schema": given.serialize().to_pybytes(),
        "renamed": {"in_id": "id"},
        "template_columns": (("label",), ()),
    }
    return Kept(**{**fields, **changes})


def usage(total=15, **changes) -> Usage:
    fields = {"prompt_tokens": total - 5, "completion_tokens": 5, "total_tokens": total}
    return Usage(**{**fields, **changes})


def asked(row_id="a", *, attempt=1, invocation="i1", digest="d1", at=T0, **changes) -> Asked:
    fields = {"model": "m", "endpoint": "http://e", "images": 1, "image_bytes": 1000}
    return Asked(
        id=row_id,
        row_digest=digest,
        invocation=invocation,
        at=at,
        attempt=attempt,
        **{**fields, **changes},
    )


def tried(row_id="a", *, code="server_error", fault=Fault.REFUSED, invocation="i1", at=T0, **more):
    attempt = Attempt(fault=fault, code=code, http_status=500, usage=more.get("usage", Usage()))
    return Tried(
        id=row_id, invocation=invocation, at=at, model="m", endpoint="http://e", attempt=attempt
    )


def completed(row_id="a", *, digest="d1", invocation="i1", text="yes", **changes) -> Completed:
    answer = {"finish_reason": "stop", "model": "m-2", "response_id": "r-1", "usage": usage()}
    answer |= {name: changes.pop(name) for name in list(changes) if name in ANSWER}
    fields = {
        "row": 0,
        "images": ("a.jpg",),
        "image_sha256": ("0" * 64,),
        "prompt": "look",
        "endpoint": "http://e",
        "attempts": 1,
        "latency_s": 0.5,
        "started_at": T0,
        "finished_at": T0 + 1,
        "job_digest": "j" * 32,
        "passthrough": {"label": "cat", "n": 1},
    }
    result = Result(
        id=row_id,
        row_digest=digest,
        invocation=invocation,
        completion=Completion(text=text, **answer),
        **{**fields, **changes},
    )
    return Completed(result=result, model="m")


ANSWER = ("finish_reason", "refusal", "tool_calls", "model", "response_id", "usage")


def failed(row_id="a", *, digest="d1", invocation="i1", code="timeout", attempt=None, **changes):
    fields = {
        "row": 0,
        "stage": "request",
        "message": "too slow",
        "retryable": True,
        "attempts": 2,
        "possibly_billed": 1,
        "server_errors": 0,
        "usage": usage(7, cost=Decimal("0.5")),
        "first_at": T0,
        "last_at": T0 + 2,
        "job_digest": "j" * 32,
        "given": {"image": "a.jpg", "prompt": None},
        "passthrough": {"label": "cat", "n": 1},
    }
    failure = Failure(
        id=row_id, row_digest=digest, invocation=invocation, code=code, **{**fields, **changes}
    )
    return Failed(failure=failure, model="m", endpoint="http://e", attempt=attempt)


def abandoned(row_id="a", *, invocation="i1", at=T0) -> Abandoned:
    return Abandoned(
        id=row_id, row_digest="d1", invocation=invocation, at=at, model="m", endpoint="http://e"
    )


async def night(folder, *events, asks=None, standing=DONE) -> None:
    """Record these and finish."""
    folder.keep(asks or kept())
    await folder.start()
    for event in events:
        await folder.record(event)
    await folder.finish(standing)


class Still:
    """A clock that stands still until it is told otherwise; nobody sleeps on it."""

    def __init__(self, now: float = T0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody should wait {seconds} s here")

    def random(self) -> float:
        return 0.5
