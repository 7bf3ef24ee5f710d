"""Whatever stands in an event goes into the journal and comes out of it again."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sink import rows
from vbatch.errors import Fault
from vbatch.records import Attempt, Completion, Failure, Result, Usage
from vbatch.sink import codec

EVENTS = [
    rows.asked(),
    rows.tried(usage=rows.usage()),
    rows.completed(),
    rows.failed(attempt=Attempt(fault=Fault.MAYBE, code="timeout")),
    rows.abandoned(),
]


def journalled(event):
    (entry,) = codec.loads(codec.dumps([codec.entry(event)]))
    return entry


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_entry_begins_with_what_counting_needs(event):
    kind, row_id, invocation, model, endpoint, at = journalled(event)[:6]

    assert kind in "ATCFX"
    assert (row_id, invocation, model, endpoint) == ("a", "i1", "m", "http://e")
    assert at >= rows.T0


def test_a_request_keeps_its_attempt_and_images():
    entry = journalled(rows.asked(attempt=3, images=2, image_bytes=99, digest="d9"))

    at = codec.AT_ASKED
    assert [entry[at[name]] for name in ("row_digest", "attempt", "images", "image_bytes")] == [
        "d9",
        3,
        2,
        99,
    ]


def test_every_field_of_a_result_has_its_place():
    event = rows.completed(extra='{"x": 1}', refusal="no", tool_calls="[]")
    result, answer = event.result, event.result.completion
    entry = journalled(event)

    at = codec.AT_COMPLETED
    for field in fields(Result):
        if field.name == "completion":
            continue
        name = "at" if field.name == "finished_at" else field.name
        value = getattr(result, field.name)
        assert entry[at[name]] == (list(value) if isinstance(value, tuple) else value), name
    for field in fields(Completion):
        if field.name == "usage":
            continue
        name = "answer_model" if field.name == "model" else field.name
        assert entry[at[name]] == getattr(answer, field.name), name
    for field in fields(Usage):
        assert entry[at[field.name]] == getattr(answer.usage, field.name)


def test_every_field_of_a_failure_has_its_place():
    event = rows.failed(
        attempt=Attempt(fault=Fault.MAYBE, code="timeout", http_status=504, usage=rows.usage(3)),
        file="m.jsonl",
        line=7,
        extra="{}",
        former_digests=("d0", "d9"),
    )
    entry = journalled(event)

    at = codec.AT_FAILED
    for field in fields(Failure):
        if field.name == "usage":
            continue
        name = "at" if field.name == "last_at" else field.name
        value = getattr(event.failure, field.name)
        assert entry[at[name]] == (list(value) if isinstance(value, tuple) else value), name
    assert Decimal(entry[at["cost"]]) == Decimal("0.5")
    attempt = entry[at["attempt"]]
    assert attempt[:3] == ["maybe", "timeout", 504]
    assert attempt[codec.AT_ATTEMPT["total_tokens"]] == 3


def test_money_is_kept_exactly():
    entry = journalled(rows.completed(usage=Usage(cost=Decimal("0.000000123456789"))))

    assert Decimal(entry[codec.AT_COMPLETED["cost"]]) == Decimal("0.000000123456789")


def test_what_json_cannot_hold_is_brought_to_what_it_can():
    odd = {"\ud800k": ["\udc00", 2**70, -(2**70), {"x": (1, 2.5, None, True)}], 5: "five"}
    entry = journalled(rows.completed(text="a\ud83d\ude00b\ud800", passthrough=odd))

    at = codec.AT_COMPLETED
    assert entry[at["text"]] == "a\U0001f600b\ufffd"
    assert entry[at["passthrough"]] == {
        "\ufffdk": ["\ufffd", str(2**70), str(-(2**70)), {"x": [1, 2.5, None, True]}],
        "5": "five",
    }


def test_values_nested_too_deeply_become_text():
    deep: list = []
    for _ in range(300):
        deep = [deep]

    entry = journalled(rows.completed(passthrough={"deep": deep}))

    assert "[[[" in str(entry[codec.AT_COMPLETED["passthrough"]])


texts = st.text(st.characters(codec=None), max_size=30)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(text=texts, passthrough=st.dictionaries(texts, anything, max_size=3))
def test_no_answer_is_ever_too_odd_for_the_journal(text, passthrough):
    entry = journalled(rows.completed(text=text, passthrough=passthrough))

    kept = entry[codec.AT_COMPLETED["text"]]
    kept.encode()
    assert kept == codec.clean_text(text)
    if codec.clean_text(text) == text:
        assert kept == text
