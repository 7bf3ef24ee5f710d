"""What events add up to: usage, requests left open, counts. Pure.

The same fold serves a run at work, the tables, and the next command after a kill.
"""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003 - dataclasses resolve their annotations
from copy import copy
from dataclasses import dataclass, field, fields
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from vbatch.errors import Fault
from vbatch.records import Abandoned, Asked, Completed, Event, Failed, Tried, Usage

UsageKey = tuple[str, str, str]
"""Invocation, model as asked for, endpoint."""

Spent = tuple[int | None, int | None, int | None, int | None, int | None, Decimal | None]
"""The fields of a ``Usage``, in their order: millions are folded, and a tuple is cheap."""

_spent = attrgetter(*(f.name for f in fields(Usage)))


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one invocation asked of one model at one endpoint. Times in seconds since the epoch.

    Tokens and ``cost`` (USD) count every reported answer, kept or not; ``wasted_tokens`` and
    ``wasted_cost`` those of answers that were not kept. ``unreported`` counts kept answers without
    usage.
    """

    started_at: float
    finished_at: float
    answered: int = 0
    failed: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    possibly_billed: int = 0
    images: int = 0
    image_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    wasted_tokens: int = 0
    cost: Decimal | None = None
    wasted_cost: Decimal | None = None
    unreported: int = 0

    @property
    def rows(self) -> int:
        """Rows that came to an end."""
        return self.answered + self.failed

    def asked(self, *, attempt: int, images: int, image_bytes: int) -> None:
        """A request leaves; ``attempt`` counts from 1."""
        self.requests += 1
        self.retries += attempt > 1
        self.images += images
        self.image_bytes += image_bytes

    def wasted(self, fault: str, code: str, spent: Spent) -> None:
        """A request ended without an answer that is kept."""
        self.possibly_billed += fault == Fault.MAYBE
        self.throttled += code == "rate_limited"
        self.wasted_tokens += spent[2] or 0
        if spent[5] is not None:
            self.wasted_cost = spent[5] + (self.wasted_cost or 0)
        self.spend(spent)

    def completed(self, spent: Spent) -> None:
        """A request ended in an answer."""
        self.answered += 1
        self.unreported += spent[2] is None
        self.spend(spent)

    def spend(self, spent: Spent) -> None:
        """Add what an answer reports."""
        prompt, completion, total, cached, reasoning, cost = spent
        self.prompt_tokens += prompt or 0
        self.completion_tokens += completion or 0
        self.total_tokens += total or 0
        self.cached_tokens += cached or 0
        self.reasoning_tokens += reasoning or 0
        if cost is not None:
            self.cost = cost + (self.cost or 0)


class OpenAsk(NamedTuple):
    """A request that left and whose end is not known. ``at`` in seconds since the epoch."""

    row_digest: str
    at: float
    model: str
    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What was tried in vain for a row that has not changed since; ``a + b`` adds it up.

    Fields as in ``Failure``; ``first_at`` is None where nothing was tried.
    """

    attempts: int = 0
    possibly_billed: int = 0
    server_errors: int = 0
    usage: Usage = Usage()
    first_at: float | None = None

    def __add__(self, other: Past) -> Past:
        moments = [at for at in (self.first_at, other.first_at) if at is not None]
        return Past(
            attempts=self.attempts + other.attempts,
            possibly_billed=self.possibly_billed + other.possibly_billed,
            server_errors=self.server_errors + other.server_errors,
            usage=self.usage + other.usage,
            first_at=min(moments, default=None),
        )


class OpenPast(NamedTuple):
    """What was tried in vain for a row that has come to no outcome since."""

    row_digest: str
    past: Past


@dataclass(slots=True, kw_only=True)
class Tallies:
    """The fold of events: a tally per invocation, model and endpoint, and what has no end yet.

    ``open`` are the requests left open, keyed by invocation and row id: a row has one request on
    its way at a time. ``pasts`` are rows that were tried and have no outcome since, by id.
    ``setbacks`` are rows that failed last and still have an answer, by id: which answers stand is
    known where the tables are made, so it is noted there and not by ``fold``.
    """

    by_key: dict[UsageKey, Tally] = field(default_factory=dict)
    open: dict[tuple[str, str], OpenAsk] = field(default_factory=dict)
    pasts: dict[str, OpenPast] = field(default_factory=dict)
    setbacks: dict[str, PastFailure] = field(default_factory=dict)

    def copy(self) -> Tallies:
        """An independent copy; another thread may fold meanwhile."""
        return Tallies(
            by_key={key: copy(tally) for key, tally in list(self.by_key.items())},
            open=dict(self.open),
            pasts=dict(self.pasts),
            setbacks=dict(self.setbacks),
        )

    def tally(self, key: UsageKey, at: float) -> Tally:
        """The tally that something at ``at`` counts towards."""
        tally = self.by_key.get(key)
        if tally is None:
            tally = self.by_key[key] = Tally(started_at=at, finished_at=at)
        elif at > tally.finished_at:
            tally.finished_at = at
        elif at < tally.started_at:
            tally.started_at = at
        return tally

    def asked(
        self,
        key: UsageKey,
        row_id: str,
        at: float,
        row_digest: str,
        *,
        attempt: int,
        images: int,
        image_bytes: int,
    ) -> None:
        """A request leaves."""
        tally = self.tally(key, at)
        tally.asked(attempt=attempt, images=images, image_bytes=image_bytes)
        self.open[key[0], row_id] = OpenAsk(row_digest, at, key[1], key[2])

    def ended(self, key: UsageKey, row_id: str, at: float) -> Tally:
        """The row has an outcome, and no request on its way; where its end counts."""
        self.open.pop((key[0], row_id), None)
        self.pasts.pop(row_id, None)
        return self.tally(key, at)

    def tried(
        self, key: UsageKey, row_id: str, at: float, fault: str, code: str, spent: Spent
    ) -> None:
        """The row's request is over in vain, and the row goes on, or stays to do."""
        self.tally(key, at).wasted(fault, code, spent)
        ask = self.open.pop((key[0], row_id), None)
        if ask is not None:
            past = Past(
                attempts=1,
                possibly_billed=int(fault == Fault.MAYBE),
                usage=usage_of(spent),
                first_at=ask.at,
            )
            self._remember(row_id, ask.row_digest, past)

    def abandoned(self, key: UsageKey, row_id: str, at: float, row_digest: str) -> None:
        """The row's request, left open by a kill, may have been billed."""
        self.open.pop((key[0], row_id), None)
        self.tally(key, at).possibly_billed += 1
        past = Past(attempts=1, possibly_billed=1, first_at=at)
        self._remember(row_id, row_digest, past)

    def fold(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Asked():
                self.asked(
                    _key(event),
                    event.id,
                    event.at,
                    event.row_digest,
                    attempt=event.attempt,
                    images=event.images,
                    image_bytes=event.image_bytes,
                )
            case Tried(attempt=attempt):
                spent = _spent(attempt.usage)
                self.tried(_key(event), event.id, event.at, attempt.fault, attempt.code, spent)
            case Completed(result=result):
                key = (result.invocation, event.model, result.endpoint)
                tally = self.ended(key, result.id, result.finished_at)
                tally.completed(_spent(result.completion.usage))
            case Failed(failure=failure, attempt=attempt):
                key = (failure.invocation, event.model, event.endpoint)
                tally = self.ended(key, failure.id, failure.last_at)
                tally.failed += 1
                if attempt is not None:
                    tally.wasted(attempt.fault, attempt.code, _spent(attempt.usage))
            case Abandoned():
                self.abandoned(_key(event), event.id, event.at, event.row_digest)

    def abandoned_asks(self) -> Iterable[Abandoned]:
        """The events that end every request left open, to be written by a later invocation."""
        for (invocation, row_id), ask in self.open.items():
            yield Abandoned(
                id=row_id,
                row_digest=ask.row_digest,
                invocation=invocation,
                at=ask.at,
                model=ask.model,
                endpoint=ask.endpoint,
            )

    def closed(self) -> Tallies:
        """A copy in which every request left open counts as possibly billed: what people see."""
        tallies = self.copy()
        for event in list(tallies.abandoned_asks()):
            tallies.fold(event)
        return tallies

    def _remember(self, row_id: str, row_digest: str, past: Past) -> None:
        """Add to what the row has behind it; a row that has changed begins anew."""
        before = self.pasts.get(row_id)
        if before is not None and before.row_digest == row_digest:
            past = before.past + past
        self.pasts[row_id] = OpenPast(row_digest, past)


def usage_of(spent: Spent) -> Usage:
    """As a ``Usage``."""
    prompt, completion, total, cached, reasoning, cost = spent
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        cost=cost,
    )


def _key(event: Asked | Tried | Abandoned) -> UsageKey:
    return (event.invocation, event.model, event.endpoint)


def sum_of(tallies: Iterable[Tally]) -> Tally:
    """All of ``tallies`` as one; times are not looked at."""
    total = Tally(started_at=0, finished_at=0)
    for tally in tallies:
        for name in _SUMMED:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        if tally.cost is not None:
            total.cost = tally.cost + (total.cost or 0)
        if tally.wasted_cost is not None:
            total.wasted_cost = tally.wasted_cost + (total.wasted_cost or 0)
    return total


_SUMMED = [f.name for f in fields(Tally) if f.type == "int"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many rows of the manifest stand where; ``possibly_billed`` counts requests."""

    rows: int = 0
    answered: int = 0
    failed: int = 0
    left: int = 0
    possibly_billed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PastFailure:
    """What a later invocation needs to know of a failed row. Fields as in ``Failure``."""

    id: str
    row_digest: str
    job_digest: str
    code: str
    retryable: bool
    attempts: int
    possibly_billed: int
    server_errors: int
    usage: Usage
    first_at: float
    last_at: float
    invocation: str

    @property
    def past(self) -> Past:
        """What it adds to the next failure of the row."""
        return Past(
            attempts=self.attempts,
            possibly_billed=self.possibly_billed,
            server_errors=self.server_errors,
            usage=self.usage,
            first_at=self.first_at,
        )
