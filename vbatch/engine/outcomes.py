"""How a row's end is written down: as a Result or as a Failure. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vbatch.columns import exact
from vbatch.errors import EndpointError, Fault
from vbatch.records import (
    Attempt,
    BadRow,
    Completion,
    Failure,
    Item,
    PreparedImage,
    Result,
    SentImage,
    Usage,
    is_retryable,
)
from vbatch.source.manifest.batch import image_references

if TYPE_CHECKING:
    from vbatch.costs.book import PriceBook
    from vbatch.engine.tries import Tries
    from vbatch.state import Past

Stage = Literal["manifest", "image", "request", "answer"]
FIRST_TOKEN = "vbatch.first_token_s"  # noqa: S105 - no secret
"""In ``extra``: seconds from sending to the first word of a streamed answer."""
ANSWER_CODES = frozenset({"bad_response", "empty_answer", "response_too_large", "schema_mismatch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asks whom: what stands on every outcome of this invocation."""

    invocation: str
    job_digest: str
    run_digest: str
    """The job digest of the run itself; ``job_digest`` differs in a retry with other settings."""
    reach_digest: str
    """As ``run_digest``, and which images may be read: other roots make a forbidden one worth
    another look."""
    endpoint: str
    model: str
    max_ambiguous: int
    price: PriceBook


def result_of(
    item: Item,
    images: tuple[SentImage, ...],
    completion: Completion,
    *,
    origin: Origin,
    tries: Tries,
    past: Past,
    finished_at: float,
    latency_s: float,
    first_token_s: float | None = None,
) -> Result:
    """The answered row; of a streamed answer ``extra`` tells when its first word came."""
    return Result(
        id=item.id,
        row=item.row,
        completion=completion,
        images=_references(item),
        image_sha256=tuple(
            image.sha256 if isinstance(image, PreparedImage) else None for image in images
        ),
        prompt=item.prompt,
        endpoint=origin.endpoint,
        attempts=past.attempts + tries.sent,
        latency_s=latency_s,
        started_at=tries.first_at,
        finished_at=max(finished_at, tries.first_at),  # the wall clock may have been set back
        row_digest=item.row_digest,
        job_digest=origin.job_digest,
        invocation=origin.invocation,
        passthrough=item.passthrough,
        extra=item.extra if first_token_s is None else _with(item.extra, first_token_s),
    )


def _with(extra: str | None, first_token_s: float) -> str:
    said = exact.loads(extra) if extra else {}
    return exact.dumps({**said, FIRST_TOKEN: round(first_token_s, 4)}).decode()


def _references(item: Item) -> tuple[str | None, ...]:
    if item.body is not None:
        return image_references(item.body)
    return tuple(source.ref if source.kind in {"path", "url"} else None for source in item.images)


def failure_of(
    row: Item | BadRow,
    *,
    code: str,
    stage: Stage,
    message: str,
    error: EndpointError | None,
    origin: Origin,
    tries: Tries,
    past: Past,
    at: float,
) -> Failure:
    """The failed row. What earlier invocations spent on it in vain is counted in."""
    first_at = past.first_at or tries.first_at
    possibly_billed = past.possibly_billed + tries.ambiguous
    server_errors = past.server_errors + (code == "server_error")
    return Failure(
        id=row.id,
        row=row.row,
        code=code,
        stage=stage,
        message=message,
        retryable=is_retryable(
            code,
            possibly_billed=possibly_billed,
            server_errors=server_errors,
            max_ambiguous=origin.max_ambiguous,
        ),
        attempts=past.attempts + tries.sent,
        possibly_billed=possibly_billed,
        server_errors=server_errors,
        usage=past.usage + tries.wasted,
        http_status=error.status if error else None,
        provider_code=error.provider_code if error else None,
        request_id=error.request_id if error else None,
        response_body=error.body if error else None,
        first_at=first_at,
        last_at=max(at, first_at),
        row_digest=row.row_digest,
        former_digests=row.former_digests,
        job_digest=origin.reach_digest if code == "image_forbidden" else origin.run_digest,
        invocation=origin.invocation,
        file=row.file,
        line=row.line,
        given=row.given,
        passthrough=row.passthrough,
        extra=row.extra,
    )


def attempt_of(error: EndpointError) -> Attempt:
    """What the journal keeps of a failed attempt."""
    return Attempt(
        fault=error.fault, code=error.code, http_status=error.status, usage=error.usage or Usage()
    )


def stage_of(error: EndpointError) -> Stage:
    """Whether the request or the reading of its answer failed."""
    return "answer" if error.code in ANSWER_CODES and error.fault is not Fault.STOP else "request"
