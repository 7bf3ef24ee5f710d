"""Event → journal entry: a JSON array whose places are named here, one table per kind of event.

Every entry begins with kind, id, invocation, model, endpoint and time, so that counting needs no
more than those places. Arrays instead of objects: the names of 30 fields would be most of a row.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from vbatch.records import Abandoned, Asked, Completed, Event, Failed, Tried

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vbatch.records import Attempt

Entry = tuple[Any, ...]

ASKED: Final = "A"
TRIED: Final = "T"
COMPLETED: Final = "C"
FAILED: Final = "F"
ABANDONED: Final = "X"

_HEAD = ("kind", "id", "invocation", "model", "endpoint", "at")
_RESULT = (
    "row_digest",
    "job_digest",
    "row",
    "images",
    "image_sha256",
    "prompt",
    "attempts",
    "latency_s",
    "started_at",
    "passthrough",
    "extra",
)
_COMPLETION = ("text", "finish_reason", "refusal", "tool_calls", "response_id", "model")
_USAGE = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
)
_FAILURE = (
    "row_digest",
    "former_digests",
    "job_digest",
    "row",
    "code",
    "stage",
    "message",
    "retryable",
    "attempts",
    "possibly_billed",
    "server_errors",
    "http_status",
    "provider_code",
    "request_id",
    "response_body",
    "first_at",
    "file",
    "line",
    "given",
    "passthrough",
    "extra",
)


def _places(*names: str) -> dict[str, int]:
    return {name: place for place, name in enumerate(_HEAD + names)}


AT_ASKED = _places("row_digest", "attempt", "images", "image_bytes")
AT_TRIED = _places("attempt")
AT_COMPLETED = _places(*_RESULT, *_COMPLETION[:-1], "answer_model", *_USAGE, "parsed", "raw")
AT_FAILED = _places("attempt", *_FAILURE, *_USAGE)
AT_ABANDONED = _places("row_digest")
AT_OUTCOME = {COMPLETED: AT_COMPLETED, FAILED: AT_FAILED}
AT_ATTEMPT = {name: place for place, name in enumerate(("fault", "code", "http_status", *_USAGE))}

_result = attrgetter(*_RESULT)
_completion = attrgetter(*_COMPLETION)
_usage = attrgetter(*_USAGE)
_failure = attrgetter(*_FAILURE)
_asked = attrgetter(*_HEAD[1:], "row_digest", "attempt", "images", "image_bytes")
_tried = attrgetter(*_HEAD[1:])
_abandoned = attrgetter(*_HEAD[1:], "row_digest")
_outcome = attrgetter("id", "invocation")


def _of_asked(event: Asked) -> Entry:
    return (ASKED, *_asked(event))


def _of_tried(event: Tried) -> Entry:
    return (TRIED, *_tried(event), _of_attempt(event.attempt))


def _of_completed(event: Completed) -> Entry:
    result = event.result
    answer = result.completion
    return (
        COMPLETED,
        *_outcome(result),
        event.model,
        result.endpoint,
        result.finished_at,
        *_result(result),
        *_completion(answer),
        *_usage(answer.usage),
        answer.parsed,
        answer.raw,
    )


def _of_failed(event: Failed) -> Entry:
    failure = event.failure
    return (
        FAILED,
        *_outcome(failure),
        event.model,
        event.endpoint,
        failure.last_at,
        event.attempt and _of_attempt(event.attempt),
        *_failure(failure),
        *_usage(failure.usage),
    )


def _of_abandoned(event: Abandoned) -> Entry:
    return (ABANDONED, *_abandoned(event))


def _of_attempt(attempt: Attempt) -> Entry:
    return (attempt.fault, attempt.code, attempt.http_status, *_usage(attempt.usage))


_ENTRIES: dict[type[Any], Callable[[Any], Entry]] = {
    Asked: _of_asked,
    Tried: _of_tried,
    Completed: _of_completed,
    Failed: _of_failed,
    Abandoned: _of_abandoned,
}


def entry(event: Event) -> Entry:
    """The event as the tuple that the journal keeps."""
    return _ENTRIES[type(event)](event)


def dumps(entries: Sequence[Entry]) -> bytes:
    """Entries as JSON, whatever their texts and numbers are.

    Lone surrogates become U+FFFD and integers beyond 64 bits text: an answer that was paid for is
    never lost because JSON cannot hold it. Decimals become text, exactly.
    """
    try:
        return orjson.dumps(entries, default=str)
    except orjson.JSONEncodeError:
        return orjson.dumps(clean(entries), default=str)


def loads(data: bytes) -> list[list[Any]]:
    """Entries as ``dumps`` made them; tuples come back as lists, Decimals as text."""
    entries: list[list[Any]] = orjson.loads(data)
    return entries


_LARGEST = 2**64 - 1
_SMALLEST = -(2**63)
_DEEPEST = 100


def clean(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON can hold it: see ``dumps``."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return value if _SMALLEST <= value <= _LARGEST else str(value)
    if depth > _DEEPEST:
        return clean_text(str(value))
    if isinstance(value, dict):
        return {clean_text(str(key)): clean(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(inner, depth + 1) for inner in value]
    return value


def clean_text(text: str) -> str:
    """``text`` with every lone surrogate replaced, so that UTF-8 can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
