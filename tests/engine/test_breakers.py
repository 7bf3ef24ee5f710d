"""When single failures add up to a reason to stop."""

from __future__ import annotations

import pytest

from vbatch.engine.breakers import Breakers
from vbatch.errors import AmbiguousError, FatalError, PermanentError, UnreachedError
from vbatch.job import Limits
from vbatch.records import Completion, Failure, Result, Usage


def breakers(**limits) -> Breakers:
    return Breakers(Limits(**limits), address="http://gateway.test/v1", timeout_s=300)


def answered(tokens=10) -> Result:
    return Result(
        id="a",
        row=0,
        completion=Completion(text="yes", finish_reason="stop", usage=Usage(total_tokens=tokens)),
        images=(),
        image_sha256=(),
        prompt="p",
        endpoint="e",
        attempts=1,
        latency_s=1,
        started_at=0,
        finished_at=1,
        row_digest="d",
        job_digest="j",
        invocation="i",
        passthrough={},
    )


def failed(code="invalid_request", message="no", stage="request", name="a", **more) -> Failure:
    return Failure(
        id=name,
        row=0,
        code=code,
        stage=stage,
        message=message,
        retryable=False,
        first_at=0,
        last_at=1,
        row_digest="d",
        job_digest="j",
        invocation="i",
        given={},
        passthrough={},
        **more,
    )


def first_stop(watch, event, times):
    for number in range(1, times + 1):
        stop = event(watch)
        if stop is not None:
            return number, stop
    return None, None


def test_a_fatal_error_stops_at_once_with_its_own_exit_code():
    stop = breakers().attempt_failed(FatalError("authentication", "wrong key", status=401), 0.1)
    assert (stop.exit_code, stop.code) == (4, "authentication")


def test_five_unreached_attempts_without_an_answer_stop_the_run_to_try_later():
    error = UnreachedError("connection", "refused")
    number, stop = first_stop(breakers(), lambda w: w.attempt_failed(error, 0), 9)
    assert (number, stop.exit_code) == (5, 5)
    assert "http://gateway.test/v1" in stop.message


def test_five_unreadable_replies_without_an_answer_ask_whether_the_url_is_right():
    error = AmbiguousError("bad_response", "not JSON")
    number, stop = first_stop(breakers(), lambda w: w.attempt_failed(error, 0), 9)
    assert (number, stop.exit_code) == (5, 2)
    assert "is the URL right?" in stop.advice


def test_a_wrong_url_stops_only_while_nothing_was_answered():
    error = PermanentError("invalid_request", "not found", status=404, suspect="wrong_url")
    assert breakers().attempt_failed(error, 0).exit_code == 2
    watch = breakers()
    watch.row_ended(answered())
    assert watch.attempt_failed(error, 0) is None


def test_other_trouble_in_between_starts_the_count_anew():
    watch = breakers()
    unreached = UnreachedError("connection", "refused")
    for _ in range(4):
        assert watch.attempt_failed(unreached, 0) is None
    assert watch.attempt_failed(AmbiguousError("timeout", "slow"), 1) is None
    assert watch.attempt_failed(unreached, 0) is None


def test_twenty_first_rows_refused_alike_stop_the_run():
    number, stop = first_stop(
        breakers(), lambda w: w.row_ended(failed(message="unknown field 'x' (request 123)")), 30
    )
    assert (number, stop.exit_code) == (20, 4)
    assert "unknown field" in stop.message


def test_twenty_first_images_outside_the_root_name_the_root():
    number, stop = first_stop(
        breakers(), lambda w: w.row_ended(failed("image_forbidden", "outside", "image")), 30
    )
    assert (number, stop.exit_code) == (20, 2)
    assert "images.root" in stop.advice


@pytest.mark.parametrize("other", [answered(), failed(message="something else")])
def test_one_other_outcome_among_the_first_means_the_rows_differ(other):
    watch = breakers(max_failure_rate=1.0)
    watch.row_ended(other)
    assert first_stop(watch, lambda w: w.row_ended(failed()), 50) == (None, None)


def test_bad_rows_of_the_manifest_say_nothing_of_the_endpoint():
    watch = breakers()
    for number in range(500):
        assert watch.row_ended(failed("bad_row", "bad", "manifest", name=str(number))) is None


def test_more_failures_than_allowed_among_the_last_two_hundred_rows_stop_the_run():
    watch = breakers(max_failure_rate=0.5)
    watch.row_ended(answered())
    for number in range(99):
        assert watch.row_ended(answered()) is None
        assert watch.row_ended(failed("content_filtered", name=str(number))) is None
    number, stop = first_stop(watch, lambda w: w.row_ended(failed("content_filtered")), 9)
    assert (number, stop.code) == (2, "failure_rate")


def test_our_own_deadline_is_not_taken_for_the_gateways_cut():
    watch = breakers()
    watch.row_ended(answered())
    for _ in range(5):
        watch.attempt_failed(AmbiguousError("timeout", "deadline"), 300.1)
    assert watch.notice is None


def test_rows_refused_for_reasons_of_their_own_do_not_stop_the_run():
    watch = breakers(max_failure_rate=1.0)
    for word in ("one", "two", "three", "four", "five") * 8:
        complaint = failed(message=f"no {word}", provider_code="invalid_request_error")
        assert watch.row_ended(complaint) is None


def test_three_cuts_after_the_same_time_are_recognised():
    watch = breakers()
    watch.row_ended(answered())
    for elapsed in (3, 60.2, 59.9, 60.0):
        assert watch.notice is None
        watch.attempt_failed(AmbiguousError("timeout", "cut"), elapsed)
    assert watch.notice.startswith("the gateway cuts at about 60 s: ")
    assert "max_tokens" in watch.notice
