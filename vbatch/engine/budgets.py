"""What an invocation may still spend: reserved before a request leaves, settled when it ends.

Requests leave side by side only while the budget holds the worst that all of them may cost. Nearer
to its end they leave one by one, each if what it is expected to cost fits: so a budget is passed by
what one answer costs more than was expected, and by no more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Self

from vbatch.costs.rates import dollars, output_of
from vbatch.endpoint.limits import Stopped
from vbatch.endpoint.tokens import ANSWER_TOKENS
from vbatch.errors import EndpointError, Exit, Fault
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.costs.rates import Rate
    from vbatch.job import Limits
    from vbatch.records import Usage

ENOUGH_ANSWERS = 20
"""After so many answers the largest of them says how large answers get."""
UNKNOWN_ANSWER = 4096
"""Until then an answer that nothing caps may have so many tokens."""
UNKNOWN_FACTOR = 3.0
"""And a prompt may take so many times what was estimated, where its model's formula is unknown."""
UNSEEN_TIMES = 10
"""Before the first answer all on their way take a tenth of the budget: prices may be wrong, too."""
MARGIN = 1.25
"""Times the most that was seen is the worst that is expected."""

_NOTHING = Decimal(0)


@dataclass(slots=True)
class Seen:
    """How prompts and answers came out beside what was estimated."""

    answers: int = 0
    longest: int = 0
    """Tokens of the longest answer."""
    factor: float = 1.0
    """The most that a prompt was beside its estimate."""
    surplus: int = 0
    """The most tokens that a prompt had beyond its estimate."""
    estimated: int = 0
    """Tokens that the prompts were estimated at, all together."""
    reported: int = 0
    """Tokens that they came to."""

    def note(self, estimated: int, usage: Usage) -> None:
        """An answer came."""
        answer = output_of(usage)
        if usage.prompt_tokens is None or answer is None:
            return
        estimated = max(estimated, 1)
        self.answers += 1
        self.longest = max(self.longest, answer)
        self.factor = max(self.factor, usage.prompt_tokens / estimated)
        self.surplus = max(self.surplus, usage.prompt_tokens - estimated)
        self.estimated += estimated
        self.reported += usage.prompt_tokens

    def expected(self, prompt: int, cap: int | None) -> tuple[int, int]:
        """Tokens of prompt and answer as they will most likely not be passed."""
        answer = cap
        if answer is None:
            answer = self.longest if self.answers else ANSWER_TOKENS
        mean = self.reported / self.estimated if self.answers else 1.0
        return ceil(prompt * max(mean, 1.0)), answer

    def worst(self, prompt: int, cap: int | None) -> tuple[int, int]:
        """Tokens of prompt and answer at worst."""
        knows = self.answers >= ENOUGH_ANSWERS
        answer = cap
        if answer is None:
            answer = ceil(self.longest * MARGIN) if knows else max(self.longest, UNKNOWN_ANSWER)
        most = min(prompt * self.factor, prompt + self.surplus)
        return ceil(most * MARGIN if knows else max(most, prompt * UNKNOWN_FACTOR)), answer


@dataclass(slots=True, kw_only=True)
class Purse:
    """One budget. ``limit``, ``spent`` and ``held`` in tokens or USD, as ``is_money`` says."""

    key: str
    limit: Decimal
    advice: str
    is_money: bool
    spent: Decimal = _NOTHING
    held: Decimal = _NOTHING
    """At worst, of the requests on their way."""

    def told(self, amount: Decimal) -> str:
        """An amount in words."""
        return dollars(amount) if self.is_money else f"{amount:,.0f}"


class Hold:
    """What is reserved for one request, at worst; given back when the block ends."""

    __slots__ = ("_budgets", "_cap", "_model", "_prompt", "_worst")

    def __init__(
        self, budgets: Budgets, model: str, prompt: int, cap: int | None, worst: list[Decimal]
    ) -> None:
        self._budgets = budgets
        self._model = model
        self._prompt = prompt
        self._cap = cap
        self._worst = worst

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._budgets.give_back(self._worst)

    def answered(self, usage: Usage) -> None:
        """An answer came, kept or not. What it does not report counts as expected."""
        self._budgets.seen.note(self._prompt, usage)
        self._budgets.settle(self._model, usage, self._prompt, self._cap)

    def failed(self, error: EndpointError) -> None:
        """There is no answer. What may have been billed for it counts as spent."""
        if error.usage is not None and error.usage.total_tokens is not None:
            self.answered(error.usage)
        elif error.fault is Fault.MAYBE:
            self._budgets.settle(self._model, None, self._prompt, self._cap)


class _Free(Hold):
    """Where there is no budget nothing is reserved."""

    __slots__ = ()

    def __init__(self) -> None:
        """Nothing is kept."""

    def __exit__(self, *exc_info: object) -> None:
        """Nothing was reserved."""

    def answered(self, usage: Usage) -> None:
        """Nothing is counted."""

    def failed(self, error: EndpointError) -> None:
        """Nothing is counted."""


_FREE = _Free()


def _no_rate(_model: str) -> None:
    return None


@dataclass(slots=True)
class Budgets:
    """The purses of one invocation. ``rate`` says what a model costs."""

    purses: tuple[Purse, ...] = ()
    rate: Callable[[str], Rate | None] = _no_rate
    seen: Seen = field(default_factory=Seen)
    _dearer: Decimal = Decimal(1)
    """The most that an answer cost beside what its tokens cost by ``rate``."""
    _on_their_way: int = 0
    _stopped: Stop | None = None
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(
        cls, limits: Limits, rate: Callable[[str], Rate | None], *, spent_before: Decimal = _NOTHING
    ) -> Budgets:
        """The budgets of a job. ``spent_before``: USD of the run's earlier invocations."""
        return cls(tuple(_purses(limits, spent_before)), rate)

    async def reserve(
        self, model: str, prompt: int, cap: int | None, *, row: str | None = None
    ) -> Hold:
        """Wait until a request of about ``prompt`` tokens may leave; ``cap`` of its answer's.

        ``row`` is the id of the row that asks, for the message where it does not fit.

        Raises Stopped where it does not fit even alone, or the run stops meanwhile. Who came first
        goes first.
        """
        if not self.purses:
            return _FREE
        async with self._line:
            while self._stopped is None:
                worst = self._amounts(model, *self.seen.worst(prompt, cap))
                if self._holds(worst):
                    return self._hold(model, prompt, cap, worst)
                if not self._on_their_way:
                    self._check(self._amounts(model, *self.seen.expected(prompt, cap)), row, cap)
                    return self._hold(model, prompt, cap, worst)
                self._changed.clear()
                await self._changed.wait()
            raise Stopped(self._stopped)

    def _holds(self, worst: list[Decimal]) -> bool:
        """Whether there is room for one request more, beside those on their way."""
        times = 1 if self.seen.answers else UNSEEN_TIMES
        return all(
            purse.spent + times * (purse.held + amount) <= purse.limit
            for purse, amount in zip(self.purses, worst, strict=True)
        )

    def stop(self, stop: Stop) -> None:
        """Send home all who wait."""
        self._stopped = self._stopped or stop
        self._changed.set()

    def settle(self, model: str, usage: Usage | None, prompt: int, cap: int | None) -> None:
        """Count what a request cost; what is not reported as it was expected."""
        if usage is not None:
            self._learn_price(model, usage)
        expected = self._amounts(model, *self.seen.expected(prompt, cap))
        for purse, amount in zip(self.purses, expected, strict=True):
            reported = None
            if usage is not None:
                reported = usage.cost if purse.is_money else usage.total_tokens
            purse.spent += amount if reported is None else reported

    def give_back(self, worst: list[Decimal]) -> None:
        """A request is no longer on its way."""
        self._on_their_way -= 1
        for purse, amount in zip(self.purses, worst, strict=True):
            purse.held -= amount
        self._changed.set()

    def _hold(self, model: str, prompt: int, cap: int | None, worst: list[Decimal]) -> Hold:
        self._on_their_way += 1
        for purse, amount in zip(self.purses, worst, strict=True):
            purse.held += amount
        return Hold(self, model, prompt, cap, worst)

    def _amounts(self, model: str, prompt: int, answer: int) -> list[Decimal]:
        """What so many tokens take of each purse."""
        rate = self.rate(model) if any(purse.is_money for purse in self.purses) else None
        return [
            self._priced(purse, model, rate, prompt, answer)
            if purse.is_money
            else Decimal(prompt + answer)
            for purse in self.purses
        ]

    def _priced(
        self, purse: Purse, model: str, rate: Rate | None, prompt: int, answer: int
    ) -> Decimal:
        if rate is None:
            raise Stopped(
                Stop(
                    exit_code=Exit.NEEDS_A_PERSON,
                    code="budget",
                    message=f"{purse.key} cannot be kept: the price of {model} is not known",
                    advice="set [price] input and output, or take the budget out",
                )
            )
        return rate.of(prompt, answer) * self._dearer

    def _learn_price(self, model: str, usage: Usage) -> None:
        """A gateway may ask more than the list says, and says so in its answers."""
        rate = self.rate(model)
        listed = None if rate is None else rate.cost(usage)
        if listed and usage.cost is not None:
            self._dearer = max(self._dearer, usage.cost / listed)

    def _check(self, expected: list[Decimal], row: str | None, cap: int | None) -> None:
        """Raise Stopped where a request that leaves alone does not fit."""
        for purse, amount in zip(self.purses, expected, strict=True):
            if purse.spent + amount <= purse.limit:
                continue
            if amount > purse.limit:
                message, advice = _never(purse, amount, row, cap)
            else:
                advice = purse.advice
                message = (
                    f"{purse.key} = {_given(purse)} has no room for another request "
                    f"({purse.told(purse.spent)} spent, about {purse.told(amount)} needed)"
                )
            raise Stopped(
                Stop(exit_code=Exit.NEEDS_A_PERSON, code="budget", message=message, advice=advice)
            )


def _never(purse: Purse, amount: Decimal, row: str | None, cap: int | None) -> tuple[str, str]:
    """Message and advice for a request that the whole budget does not hold: runs end there."""
    who = "a single request" if row is None else f"row {row!r} alone"
    shorter = "give the row a max_tokens" if cap is None else "lower the row's max_tokens"
    needed = f"which needs about {purse.told(amount)}"
    message = f"{purse.key} = {_given(purse)} has no room for {who}, {needed}"
    return message, f"raise {purse.key}, or {shorter}"


def _given(purse: Purse) -> str:
    """The limit as a person writes it."""
    return f"{purse.limit:,f}" if purse.is_money else f"{purse.limit:,.0f}"


def _purses(limits: Limits, spent_before: Decimal) -> list[Purse]:
    again = "raise {0}, or run again: it counts per invocation"
    whole = "raise {0}: it counts the whole run, whoever goes on with it"
    purses = []
    for key, limit, advice, is_money in (
        ("limits.max_tokens_total", limits.max_tokens_total, again, False),
        ("limits.max_cost", limits.max_cost, again, True),
        ("limits.max_cost_total", limits.max_cost_total, whole, True),
    ):
        if limit is not None:
            purse = Purse(
                key=key, limit=Decimal(limit), advice=advice.format(key), is_money=is_money
            )
            purses.append(purse)
    if limits.max_cost_total is not None:
        purses[-1].spent = spent_before
    return purses
