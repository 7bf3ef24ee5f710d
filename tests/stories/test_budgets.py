"""How far and how fast: budgets, time limits, the endpoint's own limits."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest

import vbatch
from vbatch.errors import JobError
from vbatch.records import Result
from vbatch.server import parse_faults


def test_a_token_budget_stops_the_run_and_the_rest_stays_to_do(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(50)
    job = workshop.job(server.base_url, request={"max_tokens": 100})

    summary = vbatch.run(job, overrides=["limits.max_tokens_total=3000"])

    assert summary.exit_code == 4
    assert "max_tokens_total" in summary.line()
    assert 0 < server.sums["total_tokens"] <= 3000
    assert summary.left == 50 - summary.answered > 0
    assert vbatch.run(job).total_answered == 50


def test_a_row_that_never_fits_the_budget_is_named(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    job = workshop.job(
        server.base_url, request={"max_tokens": 9000}, limits={"max_tokens_total": 3000}
    )

    line = vbatch.run(job).line()

    assert "limits.max_tokens_total = 3,000 has no room for row " in line
    assert "lower the row's max_tokens" in line
    assert "run again" not in line
    assert server.sums["requests"] == 0


def test_a_budget_holds_what_lines_in_batch_format_ask(endpoint, workshop):
    server = endpoint(dialect="openai")
    messages = [{"role": "user", "content": "x" * 40_000}]
    body = {"model": "gpt-4o", "max_tokens": 10, "messages": messages}
    workshop.manifest([{"custom_id": str(n), "body": body} for n in range(3)])
    job = workshop.job(server.base_url, limits={"max_tokens_total": 9000})

    summary = vbatch.run(job)

    assert summary.exit_code == 4
    assert "has no room for row '0' alone" in summary.line()
    assert server.sums["requests"] == 0


def test_a_cost_budget_stops_the_run_before_it_is_passed(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.01)
    workshop.rows(200)
    job = workshop.job(
        server.base_url, price={"input": 10, "output": 20}, limits={"max_cost": 0.05}
    )

    summary = vbatch.run(job)

    spent = cost_of(server.sums, 10, 20)
    assert summary.exit_code == 4
    assert 0.8 * 0.05 < spent <= 0.05 + 0.001, "at most one answer's error beyond"
    assert float(summary.cost) == pytest.approx(spent)
    assert "limits.max_cost = 0.05 has no room for another request" in summary.line()
    assert "raise limits.max_cost, or run again" in summary.line()
    assert "next: vbatch run" in summary.line()
    assert vbatch.run(job).answered > 0, "it counts per invocation"


def test_the_runs_own_cost_budget_holds_over_all_invocations(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(60)
    job = workshop.job(
        server.base_url, price={"input": 10, "output": 20}, limits={"max_cost_total": 0.05}
    )

    vbatch.run(job, limit=5)
    stopped = vbatch.run(job)
    spent = cost_of(server.sums, 10, 20)
    once_more = vbatch.run(job)

    assert stopped.exit_code == once_more.exit_code == 4
    assert "limits.max_cost_total" in once_more.line()
    assert once_more.answered == 0
    assert 0.8 * 0.05 < spent <= 0.05 + 0.001
    assert cost_of(server.sums, 10, 20) == spent
    assert vbatch.run(job, overrides=["limits.max_cost_total=10"]).total_answered == 60


def test_the_runs_budget_ends_also_where_the_endpoint_never_says_what_answers_took(
    endpoint, workshop
):
    server = endpoint(dialect="openai", faults=parse_faults("nousage:1"))
    workshop.rows(60)
    job = workshop.job(
        server.base_url,
        price={"input": 10, "output": 20},
        request={"max_tokens": 100},
        limits={"max_cost_total": 0.1},
    )

    first = vbatch.run(job)
    again = [vbatch.run(job) for _ in range(5)]

    assert first.exit_code == again[-1].exit_code == 4
    assert again[-1].answered == 0
    assert 0 < server.sums["requests"] < 60


def test_what_may_have_been_billed_without_an_answer_is_paid_from_the_budget(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("reset-after:0.5"))
    workshop.rows(200)
    job = workshop.job(
        server.base_url,
        price={"input": 10, "output": 20},
        request={"max_tokens": 40},
        limits={"max_cost": 0.1, "max_failure_rate": 1},
    )

    summary = vbatch.run(job)

    assert summary.exit_code == 4
    assert "max_cost" in summary.line()
    assert cost_of(server.sums, 10, 20) <= 0.1 + 0.001


def test_a_cost_budget_without_a_known_price_is_refused_before_anything_is_sent(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    job = workshop.job(
        server.base_url,
        endpoint={"model": "in-house-7b"},
        limits={"max_cost": 1, "max_cost_total": 2},
    )

    with pytest.raises(JobError) as refused:
        vbatch.run(job)

    assert refused.value.exit_code == 2
    for key in ("max_cost", "max_cost_total"):
        assert f"limits.{key}: cannot be kept, as the price of in-house-7b" in refused.value.message
    assert "set price.input and price.output" in refused.value.message
    assert server.sums["requests"] == 0


def test_a_token_budget_needs_no_price(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    job = workshop.job(server.base_url, limits={"max_tokens_total": 10_000})
    assert vbatch.run(job).exit_code == 0


def cost_of(sums, prompt, completion) -> float:
    """USD for what the endpoint counted, at prices per million tokens."""
    return (prompt * sums["prompt_tokens"] + completion * sums["completion_tokens"]) / 1e6


def test_a_time_limit_stops_the_run_to_go_on_later(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05)
    workshop.rows(1_000)
    job = workshop.job(server.base_url, limits={"max_duration": "1s", "max_in_flight": 2})

    summary = vbatch.run(job)

    assert summary.exit_code == 5
    assert "max_duration" in summary.line()
    assert summary.answered == server.sums["answered"] < 1_000


def test_what_the_endpoint_throttles_is_waited_for_and_costs_no_attempt(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("429:0.4"), retry_after="0.01")
    workshop.rows(60)
    job = workshop.job(server.base_url, retry={"max_attempts": 1})

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered) == (0, 60)
    (usage,) = vbatch.open_run(workshop.folder / "run").usage().to_pylist()
    assert usage["throttled"] == server.sums["by_status"]["429"] > 0


def test_being_told_to_come_back_tomorrow_stops_the_run(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("429:1"), retry_after="86400")
    workshop.rows(20)

    summary = vbatch.run(workshop.job(server.base_url))

    assert summary.exit_code == 5
    assert server.sums["requests"] <= 4


def test_never_more_in_flight_than_asked_for(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.02)
    workshop.rows(100)

    vbatch.run(workshop.job(server.base_url, limits={"max_in_flight": 7}))

    assert server.sums["peak_in_flight"] <= 7


def test_a_price_makes_costs(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    job = workshop.job(server.base_url, price={"input": 2.5, "output": 10})

    summary = vbatch.run(job)

    sums = server.sums
    expected = (2.5 * sums["prompt_tokens"] + 10 * sums["completion_tokens"]) / 1e6
    assert float(summary.cost) == pytest.approx(expected)
    costs = vbatch.open_run(workshop.folder / "run").results()["cost"].to_pylist()
    assert sum(costs) == pytest.approx(expected)


def test_the_built_in_table_prices_what_nobody_else_does(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)

    summary = vbatch.run(workshop.job(server.base_url))

    assert float(summary.cost) == pytest.approx(cost_of(server.sums, 2.5, 10))
    assert isinstance(summary.cost, Decimal)


def test_the_endpoints_own_cost_stands_over_table_and_job(endpoint, workshop):
    server = endpoint(dialect="indoxhub", shape="text")
    workshop.rows(1)
    job = workshop.job(
        server.base_url,
        profile="indoxhub",
        endpoint={"model": "openai/gpt-4o"},
        price={"input": 1000, "output": 1000},
    )

    summary = vbatch.run(job)

    assert float(summary.cost) == pytest.approx(cost_of(server.sums, 2.5, 10))


def test_wasted_spend_is_shown_with_what_it_cost(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("null@1"))
    workshop.rows(2)
    job = workshop.job(
        server.base_url, price={"input": 10, "output": 20}, limits={"max_in_flight": 1}
    )

    summary = vbatch.run(job)

    wasted = server.entries[0]
    cost = cost_of(vars(wasted), 10, 20)
    tokens = wasted.prompt_tokens + wasted.completion_tokens
    assert f"{tokens:,} of them wasted (${cost:.6f})" in summary.line()
    assert (summary.wasted_tokens, float(summary.wasted_cost)) == (tokens, pytest.approx(cost))
    assert float(summary.cost) == pytest.approx(cost_of(server.sums, 10, 20))
    vbatch.retry(workshop.folder / "run")
    totals = vbatch.open_run(workshop.folder / "run").status()["totals"]
    assert (totals["wasted_tokens"], totals["wasted_cost"]) == (tokens, pytest.approx(cost))
    assert totals["cost"] == pytest.approx(cost_of(server.sums, 10, 20))


def test_a_row_that_may_have_been_billed_is_sent_again_only_so_often(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("reset@2,reset@3,reset@4"))
    workshop.rows(2)
    job = workshop.job(server.base_url, limits={"max_in_flight": 1})

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered, summary.failed) == (3, 1, 1)
    (row,) = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    assert (row["code"], row["possibly_billed"], row["retryable"]) == ("connection", 3, True)
    assert vbatch.run(job).exit_code == 0, "a later run asks it again by itself"


async def test_outcomes_can_be_streamed_and_left_early(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.01)
    workshop.rows(500)
    job = workshop.job(server.base_url)

    async with contextlib.aclosing(vbatch.stream(job)) as outcomes:
        async for outcome in outcomes:
            assert isinstance(outcome, Result)
            break

    kept = vbatch.open_run(workshop.folder / "run").results().num_rows
    assert kept == server.sums["answered"] < 500


async def test_run_works_inside_a_running_loop_as_in_a_notebook(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    assert vbatch.run(workshop.job(server.base_url)).answered == 2
