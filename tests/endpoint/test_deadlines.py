import asyncio

import pytest

from tests.virtual import run_virtual
from vbatch.endpoint.deadlines import DeadlinePassedError, Deadlines


def with_deadlines(scenario, *, timeout_s=10.0, sweep_s=0.25):
    """Run ``scenario(deadlines, clock)`` while a sweep looks after the deadlines."""

    async def run(clock):
        deadlines = Deadlines(timeout_s=timeout_s, sweep_s=sweep_s, clock=clock)
        sweep = asyncio.create_task(deadlines.sweep())
        try:
            return await scenario(deadlines, clock)
        finally:
            sweep.cancel()

    return run_virtual(run)


def test_an_attempt_that_takes_too_long_ends_within_one_sweep():
    async def scenario(deadlines, clock):
        with pytest.raises(DeadlinePassedError), deadlines.attempt():
            await clock.sleep(1000)
        return clock.monotonic(), asyncio.current_task().cancelling()

    ended, cancelling = with_deadlines(scenario)
    assert 10 <= ended <= 10.25
    assert cancelling == 0


def test_an_attempt_in_time_is_left_alone():
    async def scenario(deadlines, clock):
        with deadlines.attempt():
            await clock.sleep(9.9)
        await clock.sleep(100)
        return clock.monotonic()

    assert with_deadlines(scenario) == pytest.approx(109.9)


def test_each_attempt_has_its_own_deadline_whatever_their_order_of_ending():
    async def one(deadlines, clock, start, takes):
        await clock.sleep(start)
        try:
            with deadlines.attempt():
                await clock.sleep(takes)
        except DeadlinePassedError:
            return "late"
        return "done"

    async def scenario(deadlines, clock):
        times = [(0, 100), (1, 2), (2, 9.5), (3, 100), (3.5, 0)]
        return await asyncio.gather(*(one(deadlines, clock, *time) for time in times))

    assert with_deadlines(scenario) == ["late", "done", "done", "late", "done"]


def test_being_cancelled_by_someone_else_stays_a_cancellation():
    async def scenario(deadlines, clock):
        async def attempt():
            with deadlines.attempt():
                await clock.sleep(1000)

        task = asyncio.create_task(attempt())
        await clock.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await clock.sleep(20)
        return True

    assert with_deadlines(scenario)


def test_a_cancellation_together_with_the_deadline_is_not_swallowed():
    async def run(clock):
        deadlines = Deadlines(timeout_s=1, sweep_s=1, clock=clock)

        async def attempt():
            with deadlines.attempt() as running:
                entered.set_result(running)
                await clock.sleep(1000)

        entered = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(attempt())
        (await entered).expire()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run_virtual(run)


def test_an_attempt_inside_a_task_that_is_being_cancelled_still_has_its_deadline():
    async def scenario(deadlines, clock):
        async def stubborn():
            try:
                await clock.sleep(1000)
            except asyncio.CancelledError:
                with pytest.raises(DeadlinePassedError), deadlines.attempt():
                    await clock.sleep(1000)
                raise

        task = asyncio.create_task(stubborn())
        await clock.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return clock.monotonic()

    assert 11 <= with_deadlines(scenario) <= 11.25


def test_an_error_of_its_own_is_worth_more_than_the_deadline():
    async def scenario(deadlines, clock):
        async def fall_over():
            try:
                await clock.sleep(1000)
            except asyncio.CancelledError:
                raise ValueError("found out while stopping") from None

        with pytest.raises(ValueError, match="found out while stopping"), deadlines.attempt():
            await fall_over()
        await clock.sleep(1)
        return asyncio.current_task().cancelling()

    assert with_deadlines(scenario) == 0


def test_an_attempt_that_ends_well_although_cancelled_keeps_its_result():
    async def scenario(deadlines, clock):
        with deadlines.attempt():
            try:
                await clock.sleep(1000)
            except asyncio.CancelledError:
                result = "saved"
        await clock.sleep(1)
        return result

    assert with_deadlines(scenario) == "saved"
