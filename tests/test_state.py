"""What events add up to."""

from __future__ import annotations

from decimal import Decimal

from tests.sink.rows import T0, abandoned, asked, completed, failed, tried, usage
from vbatch.errors import Fault
from vbatch.records import Attempt, Usage
from vbatch.state import Tallies, sum_of

KEY = ("i1", "m", "http://e")


def folded(*events) -> Tallies:
    tallies = Tallies()
    for event in events:
        tallies.fold(event)
    return tallies


def test_an_answered_row_counts_its_request_images_and_tokens():
    answer = completed(usage=usage(15, cached_tokens=2, reasoning_tokens=1, cost=Decimal("0.1")))
    tally = folded(asked(images=2, image_bytes=9), answer).by_key[KEY]

    assert (tally.rows, tally.answered, tally.failed) == (1, 1, 0)
    assert (tally.requests, tally.retries, tally.images, tally.image_bytes) == (1, 0, 2, 9)
    assert (tally.prompt_tokens, tally.completion_tokens, tally.total_tokens) == (10, 5, 15)
    assert (tally.cached_tokens, tally.reasoning_tokens, tally.wasted_tokens) == (2, 1, 0)
    assert (tally.cost, tally.unreported) == (Decimal("0.1"), 0)
    assert (tally.started_at, tally.finished_at) == (T0, T0 + 1)


def test_a_second_try_is_a_retry_and_what_the_first_spent_is_wasted():
    tally = folded(
        asked(),
        tried(usage=usage(7), fault=Fault.MAYBE),
        asked(attempt=2),
        tried(code="rate_limited"),
        asked(attempt=3),
        completed(),
    ).by_key[KEY]

    assert (tally.requests, tally.retries, tally.throttled) == (3, 2, 1)
    assert (tally.wasted_tokens, tally.total_tokens, tally.possibly_billed) == (7, 22, 1)


def test_a_failed_row_counts_the_attempt_that_ended_it_and_not_its_history():
    ended = Attempt(fault=Fault.MAYBE, code="timeout", usage=usage(6))
    tally = folded(asked(), failed(attempt=ended), failed("b")).by_key[KEY]

    assert (tally.failed, tally.possibly_billed, tally.wasted_tokens) == (2, 1, 6)


def test_answers_without_usage_are_counted_as_such():
    tally = folded(completed(usage=Usage())).by_key[KEY]

    assert (tally.unreported, tally.total_tokens, tally.cost) == (1, 0, None)


def test_costs_add_up_exactly():
    tally = folded(*(completed(usage=Usage(cost=Decimal("0.1"))) for _ in range(3))).by_key[KEY]

    assert tally.cost == Decimal("0.3")


def test_tallies_add_up_to_one():
    tallies = folded(asked(), completed(usage=usage(3, cost=Decimal(1))), asked(model="n"))

    total = sum_of(tallies.by_key.values())

    assert (total.requests, total.answered, total.total_tokens, total.cost) == (2, 1, 3, 1)


def test_each_invocation_model_and_endpoint_counts_for_itself():
    tallies = folded(asked(), asked(invocation="i2"), asked(model="n"), asked(endpoint="http://f"))

    assert set(tallies.by_key) == {
        KEY,
        ("i2", "m", "http://e"),
        ("i1", "n", "http://e"),
        ("i1", "m", "http://f"),
    }


def test_a_request_is_open_until_something_ends_it():
    for end in (tried(), completed(), failed(), abandoned()):
        assert list(folded(asked()).open) == [("i1", "a")]
        assert not folded(asked(), end).open


def test_a_killed_invocation_ends_with_its_last_record_and_what_was_open_is_possibly_billed():
    killed = folded(asked(at=T0), asked("b", at=T0 + 5))

    closed = killed.closed()

    assert (closed.by_key[KEY].possibly_billed, closed.by_key[KEY].finished_at) == (2, T0 + 5)
    assert not closed.open
    assert (killed.by_key[KEY].possibly_billed, len(killed.open)) == (0, 2)
    by_events = folded(asked(at=T0), asked("b", at=T0 + 5), *killed.abandoned_asks())
    assert by_events == closed


def test_it_can_be_said_what_is_open_while_another_thread_folds():
    class Busy(dict):
        """Grows while somebody walks it."""

        def items(self):
            for number, pair in enumerate(super().items()):
                self[("i1", f"late-{number}")] = pair[1]
                yield pair

    working = folded(asked(), asked("b"))
    working.open = Busy(working.open)

    assert working.closed().by_key[KEY].possibly_billed == 2


def test_a_record_from_before_the_first_moves_the_start():
    tally = folded(asked(at=T0), asked("b", at=T0 - 5)).by_key[KEY]

    assert (tally.started_at, tally.finished_at) == (T0 - 5, T0)
