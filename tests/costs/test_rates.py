"""What tokens cost: exact money."""

from __future__ import annotations

from decimal import Decimal

import pytest

from vbatch.costs.book import PriceBook
from vbatch.costs.rates import Rate, dollars
from vbatch.records import Usage

GPT_4O = Rate(input=Decimal("2.5"), output=Decimal(10), cached=Decimal("1.25"), source="a list")


def test_a_price_is_exact_money_per_million_tokens():
    rate = Rate(input=Decimal("0.15"), output=Decimal("0.60"))
    usage = Usage(prompt_tokens=1000, completion_tokens=100)
    assert rate.cost(usage) == Decimal("0.00021")


def test_thinking_that_is_counted_in_the_total_alone_is_paid_for_as_an_answer():
    apart = Usage(prompt_tokens=300, completion_tokens=10, total_tokens=5310)
    assert GPT_4O.cost(apart) == GPT_4O.of(300, 5010)
    within = Usage(prompt_tokens=300, completion_tokens=5010, total_tokens=5310)
    assert GPT_4O.cost(within) == GPT_4O.of(300, 5010)
    too_small = Usage(prompt_tokens=300, completion_tokens=10, total_tokens=10)
    assert GPT_4O.cost(too_small) == GPT_4O.of(300, 10)


@pytest.mark.parametrize("usage", [Usage(prompt_tokens=1), Usage(completion_tokens=1)])
def test_a_cost_with_a_count_unknown_is_unknown(usage):
    assert GPT_4O.cost(usage) is None


def test_the_cached_part_of_a_prompt_costs_less_where_that_is_known():
    usage = Usage(prompt_tokens=1000, cached_tokens=400, completion_tokens=0)
    assert GPT_4O.cost(usage) == Decimal("0.002")
    assert Rate(input=Decimal("2.5"), output=Decimal(10)).cost(usage) == Decimal("0.0025")


def test_more_cached_than_there_is_makes_nothing_negative():
    assert GPT_4O.of(100, 0, 10**9) == Decimal("0.000125")


def test_a_rate_says_what_it_is_and_where_it_comes_from():
    assert GPT_4O.told() == "$2.5 in, $10 out per million tokens (a list)"


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (Decimal("1234.5"), "$1,234.50"),
        (Decimal("0.25"), "$0.2500"),
        (Decimal("0.0042"), "$0.004200"),
        (Decimal(0), "$0.0000"),
        (3.5, "$3.50"),
    ],
)
def test_little_money_is_told_to_smaller_parts(amount, told):
    assert dollars(amount) == told


def test_both_of_the_jobs_prices_stand_for_every_model():
    book = PriceBook(input=Decimal(1), output=Decimal(2), profile="local")
    assert book.rate("whatever") == Rate(
        input=Decimal(1), output=Decimal(2), source="the job's [price]"
    )


@pytest.mark.parametrize(
    ("profile", "base_url", "model", "seller"),
    [
        ("openai", "https://api.openai.com/v1", "gpt-4o", "OpenAI"),
        ("openai", "http://127.0.0.1:9/v1", "gpt-4o", "OpenAI"),
        ("indoxhub", "https://api.indoxhub.com/api/v1", "anthropic/claude-opus-4-7", "Anthropic"),
        ("aimlapi", "https://api.aimlapi.com/v1", "gpt-4o", "OpenAI"),
        ("openrouter", "https://openrouter.ai/api/v1", "openai/gpt-4o", "OpenRouter"),
        ("mine", "https://api.mistral.ai/v1", "pixtral-12b", "Mistral"),
    ],
)
def test_the_table_knows_gateways_and_the_makers_of_what_they_sell(
    profile, base_url, model, seller
):
    rate = PriceBook(profile=profile, base_url=base_url).rate(model)
    assert rate.source.startswith(f"{seller}'s list price, genai-prices ")
    assert 0 < rate.input <= rate.output
    assert rate.cached is None or 0 < rate.cached <= rate.input


@pytest.mark.parametrize(
    ("profile", "base_url", "model"),
    [
        ("local", None, "pixels"),
        ("vllm", "http://gpu.example.com:8000/v1", "gpt-4o"),
        ("mine", "http://10.1.2.3:8000/v1", "gpt-4o"),
        ("mine", "http://localhost:8000/v1", "gpt-4o"),
        ("mine", "http://[::1]:8000/v1", "gpt-4o"),
        ("openai", "https://api.openai.com/v1", "no-such-model"),
        ("flexai", "https://tokens.flex.ai/v1", "phi-4-multimodal-instruct"),
        ("openai", "https://api.openai.com/v1", ""),
    ],
)
def test_nobodys_list_price_is_taken_for_a_server_of_ones_own_or_an_unknown_model(
    profile, base_url, model
):
    assert PriceBook(profile=profile, base_url=base_url).rate(model) is None


def test_one_price_of_the_job_stands_over_the_tables_other():
    listed = PriceBook(profile="openai").rate("gpt-4o")
    rate = PriceBook(profile="openai", input=Decimal(1)).rate("gpt-4o")
    assert (rate.input, rate.output, rate.cached) == (Decimal(1), listed.output, None)
    assert rate.source.startswith("the job's [price] over OpenAI's list price")
    assert PriceBook(profile="local", input=Decimal(1)).rate("pixels") is None


def test_the_endpoints_own_cost_stands_over_every_price():
    book = PriceBook(profile="openai", input=Decimal(1), output=Decimal(1))
    usage = Usage(prompt_tokens=1000, completion_tokens=0)
    assert book.cost(usage, "gpt-4o") == Decimal("0.001")
    told = Usage(prompt_tokens=1000, completion_tokens=0, cost=Decimal("0.5"))
    assert book.cost(told, "gpt-4o") == Decimal("0.5")
    assert PriceBook(profile="local").cost(usage, "pixels") is None
