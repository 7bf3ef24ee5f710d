"""How often one row is tried, by what each attempt may have cost."""

from __future__ import annotations

import pytest

from vbatch.engine.tries import Tries
from vbatch.errors import (
    AmbiguousError,
    Fault,
    PermanentError,
    TransientError,
    UnreachedError,
)
from vbatch.job import Retry
from vbatch.records import Usage

RETRY = Retry(max_attempts=4, max_ambiguous=2)


def attempts_until_given_up(error, *, counts=True, at_most=50) -> int:
    tries = Tries(first_at=0)
    for number in range(1, at_most + 1):
        tries.note(error, counts=counts)
        if not tries.may_go_on(error, RETRY):
            return number
    return at_most


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (TransientError("server_error", "busy", status=503), 4),
        (TransientError("server_error", "broken", status=500), 3),
        (AmbiguousError("timeout", "slow"), 3),
        (PermanentError("invalid_request", "no"), 1),
    ],
    ids=["refused", "three 500s in a row", "maybe billed", "this row's fault"],
)
def test_a_row_is_given_up_after(error, attempts):
    assert attempts_until_given_up(error) == attempts


@pytest.mark.parametrize(
    "error",
    [
        UnreachedError("connection", "refused"),
        TransientError("rate_limited", "slow down", status=429),
        TransientError("too_many_open_files", "EMFILE"),
    ],
    ids=["never reached", "429", "no file descriptor left"],
)
def test_what_says_nothing_of_the_row_never_uses_its_attempts_up(error):
    assert attempts_until_given_up(error) == 50


def test_an_outage_of_the_whole_endpoint_costs_a_row_no_attempt():
    busy = TransientError("server_error", "busy", status=503)
    assert attempts_until_given_up(busy, counts=False) == 50


def test_500s_while_the_endpoint_is_down_do_not_condemn_a_row():
    broken = TransientError("server_error", "broken", status=500)
    assert attempts_until_given_up(broken, counts=False) == 50


def test_a_500_among_other_faults_does_not_condemn_the_row():
    tries = Tries(first_at=0)
    broken = TransientError("server_error", "broken", status=500)
    busy = TransientError("server_error", "busy", status=503)
    for error in (broken, broken, busy):
        tries.note(error, counts=True)
    assert tries.may_go_on(busy, RETRY)


def test_what_may_have_been_billed_counts_also_where_it_ends_the_row():
    told_not_to_retry = PermanentError("timeout", "no", status=504)
    told_not_to_retry.fault = Fault.MAYBE
    tries = Tries(first_at=0)
    tries.note(told_not_to_retry, counts=True)
    assert tries.ambiguous == 1
    assert not tries.may_go_on(told_not_to_retry, RETRY)


def test_what_failed_attempts_were_said_to_cost_adds_up():
    tries = Tries(first_at=0)
    for _ in range(2):
        tries.note(
            PermanentError("empty_answer", "nothing", usage=Usage(total_tokens=7)), counts=True
        )
    assert tries.wasted.total_tokens == 14
