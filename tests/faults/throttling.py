"""The table's rows about too many requests, and about the waits that endpoints ask for."""

from __future__ import annotations

from tests.faults.expected import answered, stop, throttled
from tests.faults.network import OUTAGE, silent
from tests.faults.wire import refuses, says

_QUOTA_BUT_WAIT = [
    {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota, $KEY",
            "details": [{"@type": "RetryInfo", "retryDelay": "0.01s"}],
        }
    }
]

THROTTLED = (
    throttled(
        "HTTP 429",
        "429 without a waiting time",
        refuses(429, "Rate limit reached", "rate_limit_exceeded"),
    ),
    throttled(
        "HTTP 429 and nothing else",
        "429 without a waiting time, for as long as `retry.max_outage`",
        refuses(429, "Rate limit reached", "rate_limit_exceeded"),
        once=answered(2),
        times=1,
        everywhere=silent(3),
        job_everywhere=OUTAGE,
        rows=20,
    ),
    throttled("HTTP 425", "425: too early", refuses(425)),
    throttled("402 that passes", "402 with a waiting time", refuses(402, retry_after="0.01")),
    throttled(
        "current quota, but wait", "429 with `retryDelay` in its body", says(_QUOTA_BUT_WAIT, 429)
    ),
    throttled(
        "a limit that one request fits",
        "429: Limit 30000, Used 29000, Requested 1500",
        refuses(429, "Limit 30000, Used 29000, Requested 1500"),
    ),
    *(
        throttled(
            f"waits: {name}",
            f"429 with `{name}: {value}`",
            refuses(429, **{name: value}),
            once=answered(2),
            times=1,
            least_s=least_s,
        )
        for name, value, least_s in (
            ("retry-after-ms", "150", 0.15),
            ("x-ms-retry-after-ms", "150", 0.15),
            ("retry-after", "0.15", 0.15),
            ("llm_provider-retry-after", "0.15", 0.15),
            ("x-ratelimit-reset-requests", "150ms", 0.15),
            ("x-ratelimit-reset-tokens", "0.15s", 0.15),
        )
    ),
    throttled(
        "waits: a date",
        "429 with `retry-after: DATE`, one second after the answer's own `date`",
        refuses(
            429,
            date="Thu, 01 Jan 2026 00:00:00 GMT",
            retry_after="Thu, 01 Jan 2026 00:00:01 GMT",
        ),
        once=answered(2),
        times=1,
        least_s=1.0,
    ),
    throttled(
        "waits: a moment",
        "429 with `x-ratelimit-reset-requests: MOMENT`, 150 ms after the answer's own `date`",
        refuses(
            429,
            date="Thu, 01 Jan 2026 00:00:00 GMT",
            x_ratelimit_reset_requests="2026-01-01T00:00:00.150000+00:00",
        ),
        once=answered(2),
        times=1,
        least_s=0.15,
        profile="flexai",
    ),
    *(
        throttled(
            f"no time: {value}", f"429 with `retry-after: {value}`", refuses(429, retry_after=value)
        )
        for value in ("0", "-1", "inf", "nan", "soon")
    ),
    *(
        stop(
            f"waits too long: {value}",
            f"{status} with `retry-after: {value}`",
            refuses(status, retry_after=value),
            5,
            "rate_limited",
            f"the endpoint asked to wait {span}",
        )
        for status, value, span in (
            (429, "901", "15 min"),
            (429, "86400", "24 h"),
            (503, "7200", "2 h"),
            (402, "1000", "17 min"),
        )
    ),
)
