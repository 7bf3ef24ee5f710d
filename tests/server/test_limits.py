import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.server.limits import Limits
from vbatch.server.refusals import Refusal


def test_without_limits_everything_goes_and_no_header_is_told(clock):
    limits = Limits(clock, requests=None, tokens=None)
    for _ in range(100):
        limits.take("requests")
        limits.take("tokens", 10**9)
    assert limits.headers() == {}


def test_the_request_over_the_limit_is_told_when_to_come_again(clock):
    limits = Limits(clock, requests=2, tokens=None)
    limits.take("requests")
    clock.now += 15.5
    limits.take("requests")
    with pytest.raises(Refusal, match=r"Limit 2, Used 2, try again in 44\.5s") as caught:
        limits.take("requests")
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "45"}
    clock.now += 45
    limits.take("requests")


def test_the_wait_for_tokens_counts_as_many_answers_as_must_be_forgotten(clock):
    limits = Limits(clock, requests=None, tokens=100)
    for _ in range(4):
        limits.take("tokens", 25)
        clock.now += 10
    with pytest.raises(Refusal, match="Limit 100, Used 100") as caught:
        limits.take("tokens", 50)
    assert caught.value.headers == {"Retry-After": "30"}
    clock.now += 30
    limits.take("tokens", 50)


def test_what_can_never_fit_gets_no_time(clock):
    limits = Limits(clock, requests=None, tokens=30_000)
    with pytest.raises(Refusal, match="Limit 30000, Requested 31538") as caught:
        limits.take("tokens", 31_538)
    assert caught.value.headers == {}


@pytest.mark.parametrize(
    ("passed", "told"),
    [(0.0, "1m0s"), (0.5, "59.5s"), (49.7, "10.3s"), (59.5, "500ms"), (59.0, "1s"), (60.0, "0ms")],
)
def test_headers_tell_limit_rest_and_reset_as_go_writes_durations(clock, passed, told):
    limits = Limits(clock, requests=10, tokens=500)
    limits.take("requests")
    limits.take("tokens", 120)
    clock.now += passed
    rest = ("10", "500") if passed == 60 else ("9", "380")
    assert limits.headers() == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": rest[0],
        "x-ratelimit-reset-requests": told,
        "x-ratelimit-limit-tokens": "500",
        "x-ratelimit-remaining-tokens": rest[1],
        "x-ratelimit-reset-tokens": told,
    }


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("none", {}),
        (
            "mistral",
            {
                "x-ratelimit-limit-req-minute": "10",
                "x-ratelimit-remaining-req-minute": "9",
                "x-ratelimit-limit-tokens-minute": "500",
                "x-ratelimit-remaining-tokens-minute": "500",
            },
        ),
        (
            "together",
            {
                "x-ratelimit-limit": "10",
                "x-ratelimit-remaining": "9",
                "x-ratelimit-reset": "60.000",
                "x-tokenlimit-limit": "500",
                "x-tokenlimit-remaining": "500",
                "x-tokenlimit-reset": "0.000",
            },
        ),
    ],
)
def test_limits_are_told_by_the_dialects_names(clock, names, told):
    limits = Limits(clock, requests=10, tokens=500, names=names)
    limits.take("requests")
    assert limits.headers() == told


def test_resets_can_be_told_as_dates(clock):
    limits = Limits(clock, requests=1, tokens=None, names="dated")
    limits.take("requests")
    assert limits.headers()["x-ratelimit-reset-requests"] == "2023-11-14T22:31:00Z"


def test_a_limit_that_is_nearly_used_can_be_told_on_an_answer(clock):
    limits = Limits(clock, requests=5, tokens=None, names="fireworks")
    said = []
    for _ in range(5):
        limits.take("requests")
        said.append(limits.headers()["x-ratelimit-over-limit"])
    assert said == ["no"] * 4 + ["yes"]


def test_a_dialect_can_count_by_the_second(clock):
    limits = Limits(clock, requests=120, tokens=None, window_s=1.0)
    limits.take("requests")
    limits.take("requests")
    with pytest.raises(Refusal, match="Limit 2, Used 2"):
        limits.take("requests")
    clock.now += 1
    limits.take("requests")


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.floats(0, 40), st.integers(1, 30)), max_size=40),
)
@settings(deadline=None, max_examples=80)
def test_no_sixty_seconds_ever_hold_more_than_the_limit(limit, steps):
    clock = _Now()
    limits = Limits(clock, requests=None, tokens=limit)
    let_in = []
    for pause, amount in steps:
        clock.now += pause
        try:
            limits.take("tokens", amount)
        except Refusal:
            continue
        let_in.append((clock.now, amount))
    for end, _ in let_in:
        assert sum(amount for at, amount in let_in if end - 60 < at <= end) <= limit


class _Now:
    now = 0.0

    def monotonic(self):
        return self.now
