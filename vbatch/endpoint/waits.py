"""How long an endpoint asks to be left alone, and what it says of its limits. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.endpoint.reply import leaves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vbatch.records import JsonValue

_IN_MS = ("retry-after-ms", "x-ms-retry-after-ms")
_IN_S = ("retry-after", "llm_provider-retry-after")
_IN_BODY = ("retryDelay", "retry_after", "retry_after_seconds", "X-RateLimit-Reset")
_BODY_KEYS = ("error", "errors", "details", "detail", "metadata", "headers", *_IN_BODY)
"""Google's RetryInfo; headers inside an error, as OpenRouter passes on those it got."""

_UNITS_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_TERM = r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|d|h|m|s)"
_DURATION = re.compile(rf"(?:{_TERM})+")
_EPOCH_S = 1e9
"""A plain number from here on is a moment, not a duration; from 1e12 on it counts milliseconds."""
_EPOCH_MS = 1e12

_NAMES = {
    "limit_requests": (
        *("x-ratelimit-limit-requests", "anthropic-ratelimit-requests-limit"),
        *("x-ratelimit-limit", "x-ratelimit-limit-req-minute"),
    ),
    "remaining_requests": (
        *("x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"),
        *("x-ratelimit-remaining", "x-ratelimit-remaining-req-minute"),
    ),
    "reset_requests_s": (
        *("x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset"),
        "x-ratelimit-reset",
    ),
    "limit_tokens": (
        *("x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-limit"),
        *("x-ratelimit-limit-tokens-minute", "x-tokenlimit-limit"),
    ),
    "remaining_tokens": (
        *("x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"),
        *("x-ratelimit-remaining-tokens-minute", "x-tokenlimit-remaining"),
    ),
    "reset_tokens_s": (
        *("x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"),
        "x-tokenlimit-reset",
    ),
}
"""Of OpenAI, Anthropic, Mistral (``-minute``) and Together (``tokenlimit``)."""
_OVER = "x-ratelimit-over-limit"
"""Fireworks' word on an answer that it need not have given."""
_COUNTS = ("limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens")
_RESETS = ("reset_requests_s", "reset_tokens_s")

_SILENT = LimitHeaders()


def limit_headers(headers: Mapping[str, str], now: float, *, window_s: float = 60) -> LimitHeaders:
    """Read ``x-ratelimit-*`` and its kin.

    ``now`` is in seconds since the epoch; the endpoint's limits count over ``window_s`` seconds.
    """
    if not any("ratelimit" in name.lower() for name in headers):
        return _SILENT
    moment = _answered_at(headers, now)
    found = {field: _first(map(_count, _said(headers, field))) for field in _COUNTS}
    for field in ("limit_requests", "limit_tokens"):
        found[field] = _times(found[field], 60 / window_s)
    for field in _RESETS:
        found[field] = _first(_seconds(said, moment) for said in _said(headers, field))
    return LimitHeaders(**found, over_limit=headers.get(_OVER, "").strip().lower() == "yes")


def is_shut(limits: LimitHeaders) -> bool:
    """Whether a limit is 0: then no waiting helps."""
    return limits.limit_requests == 0 or limits.limit_tokens == 0


def _said(headers: Mapping[str, str], field: str) -> Iterator[str]:
    return (headers[name] for name in _NAMES[field] if name in headers)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def waiting_time(
    headers: Mapping[str, str], document: JsonValue, now: float, *, throttled: bool
) -> float | None:
    """Seconds the endpoint asks us to wait, None when it says nothing that can be followed.

    An answer that refuses because of a limit (``throttled``) also says it by when that limit is
    reset. Dates count from the answer's own Date, else from ``now`` (seconds since the epoch).
    """
    moment = _answered_at(headers, now)
    in_ms = _first(_count(headers.get(name)) for name in _IN_MS)
    if in_ms:
        return in_ms / 1000
    said = _first(_seconds(headers.get(name), moment) for name in _IN_S)
    said = said or _first(_seconds(value, moment) for value in _from_body(document))
    if said is not None or not throttled:
        return said
    return _until_reset(limit_headers(headers, now))


def _until_reset(limits: LimitHeaders) -> float | None:
    """When the limit that was hit is free again: the one used up, else that of tokens."""
    used_up = [
        reset
        for remaining, reset in (
            (limits.remaining_requests, limits.reset_requests_s),
            (limits.remaining_tokens, limits.reset_tokens_s),
        )
        if remaining == 0 and reset is not None
    ]
    if used_up:
        return max(used_up)
    if limits.reset_tokens_s is None and limits.remaining_requests is None:
        return limits.reset_requests_s
    return limits.reset_tokens_s


def _from_body(document: JsonValue) -> Iterator[str]:
    return (str(value) for key, value in leaves(document, _BODY_KEYS) if key in _IN_BODY)


def _answered_at(headers: Mapping[str, str], now: float) -> float:
    return _date(headers.get("date", "")) or now


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _seconds(said: str | None, moment: float) -> float | None:
    """A duration or a moment, as seconds from ``moment``; None unless finite and above 0."""
    if not said:
        return None
    said = said.strip()
    value = _number(said)
    if value is None:
        value = _duration(said)
    if value is None:
        value = _from(_date(said), moment)
    elif value >= _EPOCH_S:
        value = _from(value / 1000 if value >= _EPOCH_MS else value, moment)
    return value if value is not None and value > 0 else None


def _from(date: float | None, moment: float) -> float | None:
    return None if date is None else date - moment


def _number(said: str) -> float | None:
    try:
        value = float(said)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _count(said: str | None) -> float | None:
    """The number a header begins with, as in ``100, 100;w=60``; None below 0."""
    value = _number((said or "").partition(",")[0])
    return value if value is not None and value >= 0 else None


def _duration(said: str) -> float | None:
    said = said.replace(" ", "").lower()
    if not _DURATION.fullmatch(said):
        return None
    seconds = sum(float(count) * _UNITS_S[unit] for count, unit in re.findall(_TERM, said))
    return seconds if math.isfinite(seconds) else None


def _date(said: str) -> float | None:
    """An HTTP date or ISO 8601, as seconds since the epoch; UTC where no zone is named."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(said)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None
