import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.endpoint.waits import is_shut, limit_headers, waiting_time

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def wait(headers, document=None, *, now=NOW, throttled=True):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return waiting_time(named, document, now, throttled=throttled)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after_ms": "1500"}, 1.5),
        ({"x_ms_retry_after_ms": "20"}, 0.02),
        ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
        ({"retry_after_ms": "0", "retry_after": "9"}, 9),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9),
        ({"retry_after": "12"}, 12),
        ({"retry_after": " 0.5 "}, 0.5),
        ({"retry_after": "1m30s"}, 90),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50"}, 30),
        ({"retry_after": "2023-11-14T22:13:50Z"}, 30),
        ({"retry_after": "2023-11-14T23:13:50+01:00"}, 30),
        ({"retry_after": "1700000030"}, 30),
        ({"retry_after": "1700000030000"}, 30),
        ({"retry_after": "86400"}, 86400),
        ({"x_ratelimit_reset_requests": "10.3s"}, 10.3),
        ({"x_ratelimit_reset_requests": "6m0s"}, 360),
        ({"x_ratelimit_reset_requests": "101ms"}, 0.101),
        ({"x_ratelimit_reset_requests": "1h 2m 3s"}, 3723),
        ({"x_ratelimit_reset_requests": "1d"}, 86400),
        ({"x_ratelimit_reset": "1700000030"}, 30),
        ({"anthropic_ratelimit_tokens_reset": "2023-11-14T22:13:30Z"}, 10),
    ],
)
def test_a_wait_is_read_in_every_form(headers, seconds):
    assert wait(headers) == pytest.approx(seconds)


def test_a_proxy_passes_its_providers_wait_on():
    assert waiting_time({"llm_provider-retry-after": "4"}, None, NOW, throttled=False) == 4


@pytest.mark.parametrize(
    "said",
    [
        *("0", "-3", "nan", "inf", "-inf", "1e999", "soon", "", "0s", "5 parsecs", "s", "1e9"),
        "9" * 400 + "s",
        *("Tue, 14 Nov 2023 22:13:20 GMT", "Thu, 01 Jan 1970 00:00:10 GMT"),
        "Xyz, 99 Foo 2023 00:00:00 GMT",
    ],
)
def test_a_wait_that_cannot_be_followed_is_none(said):
    assert wait({"retry_after": said}) is None


def test_a_date_counts_from_the_answers_own_date_not_from_our_clock():
    headers = {"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT", "date": DATE}
    assert wait(headers, now=NOW + 5000) == 30
    assert wait({**headers, "date": "nonsense"}, now=NOW + 10) == 20


@pytest.mark.parametrize(
    ("document", "seconds"),
    [
        ({"error": {"details": [{"@type": "RetryInfo", "retryDelay": "36s"}]}}, 36),
        ([{"error": {"details": [{"retryDelay": "1.5s"}]}}], 1.5),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1700000030000"}}}}, 30),
        ({"error": {"retry_after": 7}}, 7),
        ({"retry_after": "2"}, 2),
        ({"error": {"metadata": {"retry_after_seconds": 3}}}, 3),
        ({"error": {"retryDelay": "soon"}}, None),
        ({"error": {"message": "wait 5"}}, None),
    ],
)
def test_a_wait_in_the_body_is_found(document, seconds):
    assert wait({}, document) == seconds


def test_a_header_is_believed_before_the_body():
    assert wait({"retry_after": "2"}, {"retry_after": 9}) == 2


@pytest.mark.parametrize(
    ("requests", "tokens", "seconds"),
    [
        (("0", "5s"), ("10", "60s"), 5),
        (("10", "5s"), ("0", "60s"), 60),
        (("0", "5s"), ("0", "60s"), 60),
        (("10", "5s"), ("10", "60s"), 60),
        (("10", "24h"), None, None),
        (("0", "5s"), None, 5),
        (None, ("0", "60s"), 60),
    ],
)
def test_the_limit_that_was_hit_says_when_it_is_free_again(requests, tokens, seconds):
    headers = {}
    for name, said in (("requests", requests), ("tokens", tokens)):
        if said is not None:
            headers[f"x_ratelimit_remaining_{name}"] = said[0]
            headers[f"x_ratelimit_reset_{name}"] = said[1]
    assert wait(headers) == seconds
    assert wait(headers, throttled=False) is None


def test_limits_are_read_from_openais_names():
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "29000",
        "x-ratelimit-reset-tokens": "2s",
    }
    assert limit_headers(headers, NOW) == LimitHeaders(
        limit_requests=500,
        remaining_requests=499,
        reset_requests_s=0.12,
        limit_tokens=30000,
        remaining_tokens=29000,
        reset_tokens_s=2,
    )


def test_limits_are_read_from_anthropics_names():
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:30Z",
    }
    assert limit_headers(headers, NOW) == LimitHeaders(
        limit_requests=50, remaining_requests=0, reset_requests_s=10
    )


def test_limits_that_count_over_another_time_are_brought_to_a_minute():
    headers = {"x-ratelimit-limit-requests": "6", "x-ratelimit-limit-tokens": "100"}
    limits = limit_headers(headers, NOW, window_s=1)
    assert (limits.limit_requests, limits.limit_tokens) == (360, 6000)


@pytest.mark.parametrize(("said", "limit"), [("100, 100;w=60", 100), ("-1", None), ("all", None)])
def test_a_limit_is_the_number_it_begins_with(said, limit):
    assert limit_headers({"x-ratelimit-limit": said}, NOW).limit_requests == limit


def test_other_headers_say_nothing_of_limits():
    assert limit_headers({"date": DATE}, NOW) == LimitHeaders()


@pytest.mark.parametrize(
    ("limits", "shut"),
    [
        (LimitHeaders(limit_requests=0), True),
        (LimitHeaders(limit_tokens=0), True),
        (LimitHeaders(remaining_tokens=0), False),
    ],
)
def test_only_a_limit_of_0_is_shut(limits, shut):
    assert is_shut(limits) is shut


@given(st.text(max_size=30) | st.from_regex(r"[0-9.]{0,8}(ms|[dhms])[0-9]{0,3}s?", fullmatch=True))
def test_whatever_a_header_says_the_wait_is_above_0_or_none(said):
    seconds = wait({"retry_after": said, "x_ratelimit_reset_tokens": said, "date": said})
    assert seconds is None or 0 < seconds < float("inf")
