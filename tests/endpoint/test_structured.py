"""JSON is found in whatever a model says around it, and checked against its schema."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbatch.endpoint.structured import AnswerSchema, MismatchError, response_format

SCHEMA = {
    "type": "object",
    "required": ["n"],
    "additionalProperties": False,
    "properties": {"n": {"type": "integer"}},
}


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 5}',
        ' \n{"n": 5}\n',
        '```json\n{"n": 5}\n```',
        '```\n{"n": 5}\n```\nThat is it.',
        'Here you are:\n```json\n{"n": 5}',
        'Sure! {"n": 5} Anything else?',
        'First {"n": "five"}, or rather {"n": 5}.',
        '<think>Is it {"n": 4}?</think>{"n": 5}',
        '<THINKING>{"n": 3}</thinking> so {"n": 5} <think>and',
        'A set {a, b} and a list [x], then {"n": 5}',
        '[{"n": 4}, 1] {"n": 5}',
        '{"n": 5.0}',
    ],
)
def test_the_value_that_follows_the_schema_is_found(text):
    assert AnswerSchema(SCHEMA).read(text) == {"n": 5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no whole JSON value"),
        ("", "no whole JSON value"),
        ("It is five.", "no whole JSON value"),
        ('{"n": 5', "no whole JSON value"),
        ('{"n": NaN}', "no whole JSON value"),
        ('{"n": "five"}', r"at \$\.n: 'five' is not of type 'integer'"),
        ('{"n": 5, "m": 1}', "'m' was unexpected"),
        ("5", "at \\$: 5 is not of type 'object'"),
        ("[" * 100_000, "no whole JSON value"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(text, says):
    with pytest.raises(MismatchError, match=says):
        AnswerSchema(SCHEMA).read(text)


@given(st.text())
def test_no_text_is_too_odd(text):
    with contextlib.suppress(MismatchError):
        assert isinstance(AnswerSchema({"type": "string"}).read(text), str)


def test_thoughts_without_end_take_no_longer_than_they_are():
    with pytest.raises(MismatchError):
        AnswerSchema(SCHEMA).read("<think>" * 200_000)


@pytest.mark.parametrize("number", ["1" * 400, "1e999"])
def test_a_number_that_nobody_can_check_is_a_mismatch(number):
    with pytest.raises(MismatchError):
        AnswerSchema({"type": "number", "multipleOf": 0.5}).read(number)


def test_a_schema_that_refers_to_itself_is_followed():
    tree = {"type": "object", "properties": {"inner": {"$ref": "#"}}, "additionalProperties": False}

    assert AnswerSchema(tree).read('{"inner": {"inner": {}}}') == {"inner": {"inner": {}}}
    with pytest.raises(MismatchError, match="outer"):
        AnswerSchema(tree).read('{"inner": {"outer": {}}}')


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({**SCHEMA, "required": []}, False),
        ({**SCHEMA, "additionalProperties": True}, False),
        ({"type": "object"}, False),
        ({**SCHEMA, "properties": {"n": {"type": "object"}}}, False),
    ],
)
def test_strict_is_said_only_of_schemas_that_strict_decoding_takes(schema, strict):
    sent = response_format(schema, "json_schema")

    assert sent["json_schema"]["strict"] is strict
    assert sent["json_schema"]["schema"] == schema


def test_other_gateways_get_another_form():
    assert response_format(SCHEMA, "json_object") == {"type": "json_object"}
    assert response_format(SCHEMA, "prompt") is None
