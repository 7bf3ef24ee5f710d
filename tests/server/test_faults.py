from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.errors import Exit, JobError
from vbatch.server.faults import Faults, parse_faults, status_of


def test_shares_and_numbers_are_read():
    faults = parse_faults("429:0.1, reset:.05 ,cut@3")
    assert faults == Faults(shares=(("429", 0.1), ("reset", 0.05)), numbered={3: "cut"})


@pytest.mark.parametrize("text", ["", " , "])
def test_nothing_said_is_no_fault(text):
    assert parse_faults(text) == Faults()
    assert parse_faults(text).draw(1, 0) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("oops:0.1", "no fault 'oops'"),
        ("399:0.1", "no fault '399'"),
        ("600@1", "no fault '600'"),
        ("reset", "neither NAME:SHARE"),
        ("reset:-1", "neither NAME:SHARE"),
        ("reset:nan", "neither NAME:SHARE"),
        ("reset@x", "neither NAME:SHARE"),
        ("reset@2,cut@2", "request 2 has two faults"),
        ("500:0.6,cut:0.5", "more than 1"),
        ("500:7", "more than 1"),
    ],
)
def test_what_cannot_be_used_is_said(text, words):
    with pytest.raises(JobError, match=words) as caught:
        parse_faults(text)
    assert caught.value.exit_code == Exit.USAGE


def test_all_problems_are_told_at_once():
    with pytest.raises(JobError) as caught:
        parse_faults("oops:0.1,reset,cut@1,cut@1")
    assert caught.value.message.count(";") == 2


@given(st.text(max_size=20))
@settings(deadline=None, max_examples=80)
def test_any_text_is_read_or_refused(text):
    try:
        found = parse_faults(text)
    except JobError as error:
        found = error.message
    assert isinstance(found, Faults) or repr(text) in found


def test_numbered_faults_hit_their_request_only():
    faults = parse_faults("cut@3,500@5")
    assert [faults.draw(n, 0) for n in range(1, 7)] == [None, None, "cut", None, "500", None]


def test_a_number_goes_before_a_share():
    assert parse_faults("500:1,cut@2").draw(2, 0) == "cut"


def test_shares_hold_over_many_requests_and_the_seed_repeats_them():
    faults = parse_faults("429:0.1,slow:0.2")
    drawn = [faults.draw(n, 7) for n in range(1, 3001)]
    counts = Counter(drawn)
    assert 240 < counts["429"] < 360
    assert 510 < counts["slow"] < 690
    assert drawn == [faults.draw(n, 7) for n in range(1, 3001)]
    assert drawn != [faults.draw(n, 8) for n in range(1, 3001)]


@pytest.mark.parametrize("name", ["reset", "close"])
def test_plain_reset_and_close_fall_before_or_after_the_work(name):
    counts = Counter(parse_faults(f"{name}:1").draw(n, 0) for n in range(1, 201))
    assert set(counts) == {f"{name}-before", f"{name}-after"}
    assert min(counts.values()) > 60


def test_only_three_digits_from_400_to_599_are_a_status():
    found = [status_of(name) for name in ("400", "599", "200", "4000", "cut")]
    assert found == [400, 599, None, None, None]
