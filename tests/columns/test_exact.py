import json
import math

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.columns import exact

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(JSON)
def test_what_is_written_reads_the_same_to_the_last_digit(value):
    data = exact.dumps(value)
    assert json.loads(data) == value
    for back in (exact.loads(data), exact.loads(data.decode())):
        assert back == value
        assert exact.dumps(back) == data


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**400, 10**4000])
def test_an_integer_keeps_its_digits_wherever_it_stands(number):
    text = f'{{"a":[{{"b":{number}}}]}}'
    assert exact.loads(text) == {"a": [{"b": number}]}
    assert exact.dumps({"a": [{"b": number}]}).decode() == text


@pytest.mark.parametrize(
    "text",
    [
        "[1e400,111111111111111111111]",
        "[NaN,111111111111111111111]",
        '["\\ud800",111111111111111111111]',
        "[111111111111111111111",
        "1" * 5000,
        "[" * 2000 + "1" * 20 + "]" * 2000,
    ],
)
def test_long_integers_open_no_door_to_what_is_no_json(text):
    with pytest.raises(orjson.JSONDecodeError):
        exact.loads(text)


def test_long_digits_that_are_no_integer_change_nothing():
    text = '{"id":"00000000000000000000001","x":0.12345678901234567890}'
    assert exact.loads(text) == orjson.loads(text)
    assert math.isfinite(exact.loads(text)["x"])


def test_keys_are_sorted_where_wanted_also_beside_long_integers():
    assert exact.dumps({"b": 2**70, "a": 1}, sort=True) == b'{"a":1,"b":%d}' % 2**70


def test_a_value_nested_too_deeply_is_refused_also_beside_long_integers():
    deep = value = []
    for _ in range(2000):
        deep.append([])
        deep = deep[0]
    for one in (value, [2**70, value]):
        with pytest.raises(TypeError):
            exact.dumps(one)
