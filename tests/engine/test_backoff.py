"""How long a row waits before its next attempt."""

from __future__ import annotations

import pytest

from vbatch.engine.backoff import backoff_s, waits_as_a_whole
from vbatch.errors import (
    AmbiguousError,
    EndpointError,
    PermanentError,
    TransientError,
    UnreachedError,
)

KINDS = [
    TransientError("server_error", "busy", status=503),
    AmbiguousError("timeout", "late", status=504),
    UnreachedError("connection", "refused"),
]


def wait_s(error: EndpointError, *, sent=1, luck=0.0, retry_after_s=None) -> float:
    error.retry_after_s = retry_after_s
    return backoff_s(error, sent=sent, max_wait_s=60, luck=luck)


@pytest.mark.parametrize("error", KINDS)
def test_our_own_wait_doubles_up_to_the_longest(error):
    assert [wait_s(error, sent=n, luck=1.0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert wait_s(error, sent=3) == 2


@pytest.mark.parametrize("error", KINDS)
def test_a_wait_the_endpoint_asks_for_is_kept_whatever_the_attempt_may_have_cost(error):
    assert wait_s(error, retry_after_s=90) == 90
    assert 90 < wait_s(error, retry_after_s=90, luck=0.99) < 100
    assert not waits_as_a_whole(error)


@pytest.mark.parametrize("error", KINDS)
def test_a_long_wait_is_the_endpoints_and_none_of_the_rows(error):
    assert wait_s(error, retry_after_s=121) == 0
    assert waits_as_a_whole(error)


def test_too_many_requests_are_the_endpoints_matter_however_short_the_wait():
    error = TransientError("rate_limited", "slow down", status=429)
    assert wait_s(error, retry_after_s=1) == 0
    assert waits_as_a_whole(error)


def test_a_request_that_is_mended_goes_at_once():
    error = PermanentError("request_too_large", "no", status=413)
    assert wait_s(error, retry_after_s=3600) == 0
    assert not waits_as_a_whole(error)
