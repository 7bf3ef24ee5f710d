from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbatch.endpoint.usage import MAX_TOKENS, read_cost, read_usage
from vbatch.records import Usage


@pytest.mark.parametrize(
    "said",
    [
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        {"input_tokens": 10, "output_tokens": 5},
        {"tokens_prompt": 10, "tokens_completion": 5, "tokens_total": 15},
        {"prompt_tokens": "10", "completion_tokens": 5.0, "total_tokens": None},
        {"prompt_tokens": None, "input_tokens": 10, "output_tokens": 5},
    ],
)
def test_counts_are_found_under_every_gateways_names(said):
    assert read_usage(said) == Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)


@pytest.mark.parametrize(
    "said",
    [
        {"prompt_tokens_details": {"cached_tokens": 7}},
        {"input_tokens_details": {"cached_tokens": 7}},
        {"cache_read_input_tokens": 7},
        {"prompt_tokens_details": None, "cached_tokens": 7},
    ],
)
def test_cached_tokens_are_found(said):
    assert read_usage(said) == Usage(cached_tokens=7)


@pytest.mark.parametrize(
    "said",
    [
        {"completion_tokens_details": {"reasoning_tokens": 3}},
        {"output_tokens_details": {"reasoning_tokens": 3}},
        {"reasoning_tokens": 3},
    ],
)
def test_reasoning_tokens_are_found(said):
    assert read_usage(said) == Usage(reasoning_tokens=3)


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"cost": 0.000123}, "0.000123"),
        ({"cost": "0.5"}, "0.5"),
        ({"cost": None, "estimated_cost": 2}, "2"),
        ({"total_cost": 0}, "0"),
        ({"cost_in_usd_ticks": 15_000_000}, "0.0015"),
    ],
)
def test_a_cost_is_read_without_losing_a_digit(said, cost):
    assert read_usage(said).cost == Decimal(cost)


@pytest.mark.parametrize(
    "odd", [-1, 1.5, True, False, 2**70, "12x", "", "\uff11\uff12", [], {}, float("nan")]
)
def test_an_odd_count_is_no_count(odd):
    assert read_usage({"prompt_tokens": odd, "completion_tokens": 2}) == Usage(completion_tokens=2)


@pytest.mark.parametrize(
    "odd", [-1, True, "much", "nan", "1e99999", 10**400, [], None, float("inf")]
)
def test_an_odd_cost_is_no_cost(odd):
    assert read_cost(odd) is None
    assert read_usage({"cost": odd, "cost_in_usd_ticks": True}) == Usage()


@pytest.mark.parametrize("said", [None, [], "usage", 3])
def test_what_is_no_object_reports_nothing(said):
    assert read_usage(said) == Usage()


def test_one_count_alone_makes_no_total():
    assert read_usage({"prompt_tokens": 4}).total_tokens is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    ["prompt_tokens", "completion_tokens", "total_tokens", "cost", "prompt_tokens_details"]
)


@given(st.dictionaries(names, json_values, max_size=5))
def test_whatever_is_said_becomes_whole_counts_or_nothing(said):
    usage = read_usage(said)
    for count in (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens):
        assert count is None or (type(count) is int and 0 <= count <= 2 * MAX_TOKENS)
    assert usage.cost is None or usage.cost >= 0
