import datetime as dt

import pytest

from vbatch.errors import JobError
from vbatch.profile.problems import Problems, did_you_mean, dotted, shown


@pytest.fixture
def problems():
    return Problems(lambda place: "-s" if place[0] == "b" else "job.toml")


def test_no_problem_raises_nothing(problems):
    problems.raise_if_any()

    assert list(problems) == []


def test_a_problem_says_where_and_which_key(problems):
    problems.add(("a", "c d"), "is wrong")
    problems.add(("b",), "is too")

    with pytest.raises(JobError) as caught:
        problems.raise_if_any()
    assert caught.value.problems == ('job.toml: a."c d": is wrong', "-s: b: is too")
    assert caught.value.message.startswith("2 problems:\n  job.toml: a.")


def test_the_first_problem_of_a_key_or_of_its_table_is_enough(problems):
    problems.add(("a",), "first")
    problems.add(("a",), "second")
    problems.add(("a", "b"), "third")

    with pytest.raises(JobError, match=r"^job\.toml: a: first$"):
        problems.raise_if_any()


def test_problems_of_another_file_stand_as_they_are(problems):
    problems.add_all(("a",), JobError("mine.toml: x: one", "mine.toml: y: two"))

    with pytest.raises(JobError) as caught:
        problems.raise_if_any()
    assert caught.value.problems == ("mine.toml: x: one", "mine.toml: y: two")


def test_secrets_are_taken_out(problems):
    problems.add(("a",), "found canary-1")

    with pytest.raises(JobError) as caught:
        problems.raise_if_any(["canary-1"])
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é", '"é"'),
        (True, "true"),
        (1.5, "1.5"),
        (["a", {"b": 1}], '["a", {"b": 1}]'),
        (dt.date(2024, 1, 2), '"2024-01-02"'),
        (dt.time(1, 2), '"01:02:00"'),
        ({1}, '"{1}"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        (10**200, "a number of 201 characters"),
        (["a" * 200], "a list of 204 characters"),
        ({"a": "b" * 200}, "a table of 209 characters"),
        ((1,) * 60, "a value of 180 characters"),
    ],
)
def test_a_value_is_shown_whole_or_described(value, text):
    assert shown(value) == text


def test_a_number_too_long_to_write_is_described():
    assert shown(10**5000) == "an endless number"


def test_keys_are_shown_as_toml_writes_them():
    assert dotted(("images", "max_side")) == "images.max_side"
    assert dotted(("headers", "a.b", "")) == 'headers."a.b".""'


def test_a_word_unlike_any_other_gets_no_suggestion():
    assert did_you_mean("qualty", ["quality", "format"]) == ' - did you mean "quality"?'
    assert did_you_mean("zzz", ["quality", "format"]) == ""
