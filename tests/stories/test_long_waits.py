"""Hours of waiting in a moment: outages, pauses and stalls of a whole run, on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.stories.long_waits import Run, job_with
from tests.virtual import run_virtual
from vbatch.api.chores import OUT_OF_TIME
from vbatch.errors import AmbiguousError, PermanentError, TransientError, UnreachedError
from vbatch.state import sum_of

OUTAGES = {
    "refused": lambda: UnreachedError("connection", "gateway.test: Connection refused"),
    "503": lambda: TransientError("server_error", "gateway.test: 503 overloaded", status=503),
    "502": lambda: AmbiguousError("server_error", "gateway.test: 502 bad gateway", status=502),
    "hang": None,
}


def breaking(clock, kind, *, begins=60.0, ends=660.0, takes=2.0):
    """An endpoint that answers after ``takes`` seconds, but not between two moments."""

    async def endpoint(row_id):
        if not begins <= clock.monotonic() < ends:
            await clock.sleep(takes)
        elif OUTAGES[kind] is None:
            await asyncio.Event().wait()
        else:
            await clock.sleep(0.01)
            error = OUTAGES[kind]()
            raise error

    return endpoint


@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("seed", range(3))
def test_ten_minutes_without_an_endpoint_use_up_no_rows_attempts(kind, seed, tmp_path, evidence):
    job = job_with(tmp_path, retry__timeout="30s", limits__requests_per_minute=600)

    async def scenario(clock):
        return await Run(clock, job, breaking(clock, kind), 2000).go()

    run = run_virtual(scenario, seed=seed)

    assert run.stop is None
    assert not run.failures
    answered = {result.id for result in run.results}
    assert len(answered) == len(run.results) == 2000
    probes = [at for at, _ in run.client.sent if 130 < at < 660]
    assert 7 <= len(probes) <= 9
    sent_in_vain = sum(result.attempts - 1 for result in run.results)
    assert sent_in_vain <= 64 + len(probes) + 10
    assert max(result.attempts for result in run.results) <= 3
    evidence.add(
        "outage in the middle",
        rows=len(run.results),
        attempts_used_up=len(run.failures),
        lost=2000 - len(answered),
    )


def test_an_outage_is_told_once_with_its_cause_and_how_it_goes_on(tmp_path):
    job = job_with(tmp_path, limits__requests_per_minute=600)

    async def scenario(clock):
        run = Run(clock, job, breaking(clock, "refused"), 2000)
        going = asyncio.create_task(run.go())
        await clock.sleep(100)
        seen = run.watch.waiting
        await going
        return run, seen

    run, seen = run_virtual(scenario)
    ((at, said),) = run.said
    assert 60 < at < 70
    assert said.startswith("waiting: endpoint down, next probe in ")
    assert said.endswith(": gateway.test: Connection refused")
    assert seen.startswith("endpoint down")
    assert seen.endswith("Connection refused")


def test_probes_go_after_five_seconds_and_then_ever_more_seldom_up_to_a_minute(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        return await Run(clock, job, breaking(clock, "refused", ends=600), 2000, slots=8).go()

    run = run_virtual(scenario)
    probes = [at for at, _ in run.client.sent if 62 < at <= 660]
    gaps = [after - before for before, after in itertools.pairwise(probes)][:8]
    assert gaps == pytest.approx([10, 20, 40, 60, 60, 60, 60, 60], abs=0.1)


def test_an_outage_longer_than_allowed_stops_with_host_and_cause_and_leaves_the_rows(tmp_path):
    job = job_with(tmp_path, retry__max_outage="10m")

    async def scenario(clock):
        return await Run(clock, job, breaking(clock, "refused", ends=1e9), 5000).go()

    run = run_virtual(scenario)
    assert (run.stop.exit_code, run.stop.code) == (5, "outage")
    assert "gateway.test: Connection refused" in run.stop.message
    assert 660 <= run.ended <= 662
    assert not run.failures
    assert 0 < len(run.results) < 5000


def test_nobody_there_from_the_start_costs_five_requests_whatever_was_answered_before(tmp_path):
    """Breakers know nothing of earlier invocations, so they hold in every one."""
    job = job_with(tmp_path)

    async def scenario(clock):
        return await Run(clock, job, breaking(clock, "refused", begins=0), 2000).go()

    run = run_virtual(scenario)
    assert (run.stop.exit_code, run.stop.code) == (5, "connection")
    assert len(run.client.sent) <= 4 + 5
    assert not run.results
    assert not run.failures


def hanging(clock, hung, *, takes=2.0):
    async def endpoint(row_id):
        if row_id in hung:
            await asyncio.Event().wait()
        await clock.sleep(takes)

    return endpoint


def test_rows_that_hang_at_the_end_are_named_once_and_the_run_ends(tmp_path):
    job = job_with(tmp_path, retry__max_ambiguous=1)
    hung = {f"r{n}" for n in range(495, 500)}

    async def scenario(clock):
        run = Run(clock, job, hanging(clock, hung), 500)
        going = asyncio.create_task(run.go())
        await clock.sleep(200)
        late = list(run.watch.stalled)
        await going
        return run, late

    run, late = run_virtual(scenario)
    stalls = [(at, text) for at, text in run.said if text.startswith("nothing was answered")]
    (at, text), *later = stalls
    assert len(later) <= 1  # the second attempts hang as well
    last_answer = max(result.finished_at for result in run.results) - 1_700_000_000
    assert 60 <= at - last_answer <= 62
    assert text.count("sent at") == 5
    assert {row.id for row in late} == hung
    assert all(130 < row.seconds < 200 for row in late)
    assert {failure.id for failure in run.failures} == hung
    assert {failure.code for failure in run.failures} == {"timeout"}
    assert run.ended < 2 * 300 + 60


def test_of_many_rows_that_hang_ten_are_named(tmp_path):
    job = job_with(tmp_path)
    hung = {f"r{n}" for n in range(480, 500)}

    async def scenario(clock):
        return await Run(clock, job, hanging(clock, hung), 500).go()

    run = run_virtual(scenario)
    stall = next(text for _, text in run.said if text.startswith("nothing was answered"))
    assert stall.count("sent at") == 10
    assert stall.endswith(", and 10 more")
    assert (run.stop.code, len(run.results)) == ("outage", 480)


def test_rows_that_hang_are_named_and_those_that_wait_for_their_turn_counted(tmp_path):
    job = job_with(tmp_path, retry__timeout="20s", retry__max_ambiguous=0)
    few = {f"r{n}" for n in range(4)}  # a run starts slowly

    async def scenario(clock):
        return await Run(clock, job, hanging(clock, {f"r{n}" for n in range(30)}), 30).go()

    run = run_virtual(scenario)
    stall = next(text for _, text in run.said if text.startswith("nothing was answered"))
    named = {part.split()[0] for part in stall.partition("their way: ")[2].split("; ")}
    assert named == few
    assert stall.count("sent at") == 4
    assert stall.endswith(", and 26 more wait for their turn")


def test_answers_that_always_take_long_are_no_stall(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        return await Run(clock, job, hanging(clock, set(), takes=55.0), 500, slots=4).go()

    assert not run_virtual(scenario).said


def test_with_a_short_timeout_a_stall_is_told_sooner(tmp_path):
    job = job_with(tmp_path, retry__timeout="20s", retry__max_ambiguous=0)

    async def scenario(clock):
        return await Run(clock, job, hanging(clock, {"r99"}), 100).go()

    ((_, text),) = run_virtual(scenario).said
    assert text.startswith("nothing was answered for 10 s, still on their way: r99 sent at ")


def test_a_pause_is_no_stall_and_is_told_with_the_endpoints_words(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        first = itertools.count()

        async def endpoint(row_id):
            await clock.sleep(1)
            if next(first) == 40:
                raise TransientError(
                    "rate_limited", "429 slow down", status=429, retry_after_s=800, throttled=True
                )

        return await Run(clock, job, endpoint, 200).go()

    run = run_virtual(scenario)
    ((_, text),) = run.said
    assert text.startswith("waiting: endpoint asked to wait until ")
    assert text.endswith(": 429 slow down")
    assert 800 <= run.ended <= 840
    assert len(run.results) == 200


def test_a_low_rate_is_told_once_as_the_reason_of_its_waits(tmp_path):
    job = job_with(tmp_path, limits__requests_per_minute=2)

    async def scenario(clock):
        return await Run(clock, job, hanging(clock, set()), 30).go()

    assert [text for _, text in run_virtual(scenario).said] == ["waiting: requests per minute"]


@pytest.mark.parametrize("step_s", [-86_400, -3600, 3600, 86_400])
def test_a_wall_clock_that_is_set_changes_no_wait_and_no_order_of_times(step_s, tmp_path):
    job = job_with(tmp_path, limits__requests_per_minute=600)

    async def scenario(clock):
        asked = itertools.count(1)

        async def endpoint(row_id):
            await clock.sleep(2)
            number = next(asked)
            if number == 300:
                clock._epoch += step_s
            if number % 50 == 0:
                raise TransientError(
                    "rate_limited", "429", status=429, retry_after_s=30, throttled=True
                )
            if row_id.endswith("7"):
                raise PermanentError("content_filtered", "no", status=403)

        return await Run(clock, job, endpoint, 600).go()

    run = run_virtual(scenario)
    assert run.stop is None
    assert len(run.results) == 540
    assert len(run.failures) == 60
    assert all(result.started_at <= result.finished_at for result in run.results)
    assert all(1.99 < result.latency_s < 3 for result in run.results)
    assert all(failure.first_at <= failure.last_at for failure in run.failures)
    assert run.ended < 12 * 31 + 60 + 30


def test_cuts_at_the_same_moment_are_told_with_what_helps(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        async def endpoint(row_id):
            if row_id in {"r10", "r40", "r70"}:
                await clock.sleep(60 + clock.random())
                raise AmbiguousError("connection", "gateway.test: closed without an answer")
            await clock.sleep(5 + 10 * clock.random())

        return await Run(clock, job, endpoint, 100, slots=8).go()

    assert run_virtual(scenario).worker.breakers.notice == (
        "the gateway cuts at about 60 s: ask for shorter answers (request.max_tokens) or for more "
        "time at the gateway"
    )


@pytest.mark.parametrize("seconds", [119.0, 121.0, 899.0])
def test_several_answers_with_waits_of_their_own_hold_all_for_the_longest(seconds, tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        asked = itertools.count(1)

        async def endpoint(row_id):
            await clock.sleep(1)
            number = next(asked)
            if 100 <= number < 103:
                wait = (seconds / 4, seconds, seconds / 2)[number - 100]
                raise TransientError(
                    "rate_limited", "429", status=429, retry_after_s=wait, throttled=True
                )

        return await Run(clock, job, endpoint, 400).go()

    run = run_virtual(scenario)
    times = [at for at, _ in run.client.sent]
    longest = max(after - before for before, after in itertools.pairwise(times))
    assert seconds - 1 <= longest <= 1.03 * seconds + 1
    assert len(run.results) == 400
    assert not run.failures


def test_a_wait_of_hours_stops_the_run_keeps_what_is_on_its_way_and_says_until_when(tmp_path):
    job = job_with(tmp_path)

    async def scenario(clock):
        asked = itertools.count(1)

        async def endpoint(row_id):
            number = next(asked)
            await clock.sleep(1 if number == 100 else 5)
            if number == 100:
                raise TransientError(
                    "rate_limited", "daily limit", status=429, retry_after_s=7500, throttled=True
                )

        return await Run(clock, job, endpoint, 4000).go()

    run = run_virtual(scenario)
    assert (run.stop.exit_code, run.stop.code) == (5, "rate_limited")
    assert "2 h 5 min (until " in run.stop.message
    assert "daily limit" in run.stop.message
    assert len(run.results) == len(run.client.sent) - 1
    assert not run.failures


def never(kind, clock):
    """Endpoints of which a run would wait for long: in a pause, an outage, the naps of retries."""

    async def pause(row_id):
        raise TransientError("rate_limited", "429", status=429, retry_after_s=890, throttled=True)

    async def naps(row_id):
        await clock.sleep(1)
        if row_id.endswith(("1", "2")):
            raise TransientError("server_error", "503", status=503, retry_after_s=100)

    async def slow(row_id):
        await clock.sleep(250)

    return {"pause": pause, "naps": naps, "slow": slow}[kind]


@pytest.mark.parametrize(("kind", "at_most"), [("pause", 0), ("naps", 1), ("slow", 250)])
def test_the_time_limit_holds_in_pauses_and_naps_and_keeps_what_is_on_its_way(
    kind, at_most, tmp_path
):
    job = job_with(tmp_path, limits__max_duration="400s", retry__max_wait="60s")

    async def scenario(clock):
        run = Run(clock, job, never(kind, clock), 20_000)
        limit = asyncio.create_task(clock.sleep(400))
        limit.add_done_callback(lambda _: run.engine.stop(OUT_OF_TIME))
        return await run.go()

    run = run_virtual(scenario)
    assert (run.stop.exit_code, run.stop.code) == (5, "max_duration")
    assert 400 <= run.ended <= 400 + at_most + 1
    assert not run.failures
    assert sum_of(run.live.events.closed().by_key.values()).possibly_billed == 0
