"""What columns are called in the tables we write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULT_NAMES = (
    "id",
    "row",
    "text",
    "finish_reason",
    "refusal",
    "tool_calls",
    "parsed",
    "images",
    "prompt",
    "model",
    "endpoint",
    "response_id",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "attempts",
    "latency_s",
    "started_at",
    "finished_at",
    "image_sha256",
    "row_digest",
    "job_digest",
    "invocation",
    "extra",
)
"""Our columns of results and superseded; the manifest's stand before ``extra``."""

FAILURE_NAMES = (
    "id",
    "row",
    "file",
    "line",
    "code",
    "stage",
    "message",
    "http_status",
    "provider_code",
    "retryable",
    "attempts",
    "possibly_billed",
    "prompt_tokens",
    "completion_tokens",
    "request_id",
    "response_body",
    "first_at",
    "last_at",
    "invocation",
    "image",
    "images",
    "prompt",
    "system",
    "params",
    "extra",
)
"""Our columns of failures; the manifest's stand before ``extra``."""

PRIVATE_NAMES = (
    "vbatch.row_digest",
    "vbatch.job_digest",
    "vbatch.server_errors",
    "vbatch.total_tokens",
    "vbatch.cached_tokens",
    "vbatch.reasoning_tokens",
    "vbatch.cost",
)
"""What stands before them in the private twin of failures."""

_OURS = frozenset((*RESULT_NAMES, *FAILURE_NAMES, *PRIVATE_NAMES))


def output_name(name: str) -> str:
    """The name under which a manifest column is carried: its own, or ``in_NAME`` if that is ours.

    One name for all tables, so that a column is found under it in results and in failures.
    """
    return f"in_{name}" if name in _OURS else name


def output_names(names: Iterable[str]) -> dict[str, str]:
    """Map each manifest column to a name of its own in the tables.

    A column called ``in_text`` keeps its name; one called ``text`` beside it: ``in_in_text``.
    """
    found = {name: name for name in names if name not in _OURS}
    held = _OURS | found.keys()
    for name in names:
        if name not in found:
            free = f"in_{name}"
            while free in held:
                free = f"in_{free}"
            found[name] = free
            held |= {free}
    return {name: found[name] for name in names}
