"""The commit record: the only commit point of a run. Everything else can be done again from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vbatch.errors import Corrupt
from vbatch.records import Usage
from vbatch.sink.kept import check_version, read_json, sealed
from vbatch.sink.layout import FORMAT_VERSION, Layout, Table
from vbatch.sink.storage import Storage, put, storage_errors
from vbatch.state import OpenAsk, OpenPast, Past, PastFailure, Tallies, Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMITTED: tuple[Table, ...] = ("superseded", "results", "failed")
"""Tables whose parts a commit names; ``failures`` has the same parts as ``failed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What holds once the segments up to ``n`` have become parts.

    ``parts`` are the numbers of each table's parts, ascending. ``dirty`` are places, positive for
    a part of results and negative for one of failed, that hold ids which a higher number holds
    too. ``power_cut``: the machine stopped under a run, so that sums are "at least".
    """

    n: int = 0
    tallies: Tallies = field(default_factory=Tallies)
    parts: Mapping[Table, tuple[int, ...]] = field(
        default_factory=lambda: dict.fromkeys(COMMITTED, ())
    )
    dirty: frozenset[int] = frozenset()
    power_cut: bool = False
    sums: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """By number of a part of failed: what its file's CRC-32 may be, two while it is rewritten."""

    def with_part(self, table: Table, number: int) -> Commit:
        """The same with one part more."""
        numbers = sorted({*self.parts[table], number})
        return replace(self, parts={**self.parts, table: tuple(numbers)})

    def without_part(self, table: Table, number: int) -> Commit:
        """The same with one part less."""
        numbers = tuple(n for n in self.parts[table] if n != number)
        return replace(self, parts={**self.parts, table: numbers})

    def with_sums(self, number: int, *sums: int) -> Commit:
        """The same with these for a part of failed."""
        return replace(self, sums={**self.sums, number: sums})


def put_commit(storage: Storage, layout: Layout, commit: Commit) -> None:
    """Make it so, then remove what it replaces."""
    put(storage, layout.commit(commit.n), sealed(_to_json(commit)))
    with storage_errors(layout.commits):
        for number in layout.commit_numbers():
            if number < commit.n:
                storage.remove(layout.commit(number))


def newest_commit(layout: Layout) -> Commit:
    """Where the run stands; the empty commit before the first."""
    numbers = layout.commit_numbers()
    if not numbers:
        return Commit()
    path = layout.commit(numbers[-1])
    stored = read_json(path)
    check_version(stored, path)
    try:
        return _from_json(stored)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Corrupt(
            f"{path} is not a commit record: {error!r}. Restore it, or use --fresh"
        ) from error


_TALLY = tuple(f.name for f in fields(Tally) if f.name not in {"cost", "wasted_cost"})
_PAST = tuple(f.name for f in fields(Past) if f.name != "usage")
_SETBACK = tuple(f.name for f in fields(PastFailure) if f.name != "usage")


def _to_json(commit: Commit) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "n": commit.n,
        "parts": commit.parts,
        "dirty": sorted(commit.dirty),
        "power_cut": commit.power_cut,
        "sums": [[number, *commit.sums.get(number, ())] for number in commit.parts["failed"]],
        "usage": [
            [*key, _of_tally(tally), _text(tally.cost)]
            for key, tally in commit.tallies.by_key.items()
        ],
        "open": [
            [invocation, row_id, ask.row_digest, ask.at, ask.model, ask.endpoint]
            for (invocation, row_id), ask in commit.tallies.open.items()
        ],
        "pasts": [
            [row_id, digest, *(getattr(past, name) for name in _PAST), _of_usage(past.usage)]
            for row_id, (digest, past) in commit.tallies.pasts.items()
        ],
        "setbacks": [
            [*(getattr(failure, name) for name in _SETBACK), _of_usage(failure.usage)]
            for failure in commit.tallies.setbacks.values()
        ],
    }


def _from_json(stored: dict[str, Any]) -> Commit:
    by_key = {
        (invocation, model, endpoint): _to_tally(tally, cost)
        for invocation, model, endpoint, tally, cost in stored["usage"]
    }
    still_open = {
        (invocation, row_id): OpenAsk(row_digest=digest, at=at, model=model, endpoint=endpoint)
        for invocation, row_id, digest, at, model, endpoint in stored["open"]
    }
    pasts = {
        row_id: OpenPast(
            digest, Past(**dict(zip(_PAST, counts, strict=True)), usage=_to_usage(usage))
        )
        for row_id, digest, *counts, usage in stored.get("pasts", ())
    }
    setbacks = [
        PastFailure(**dict(zip(_SETBACK, values, strict=True)), usage=_to_usage(usage))
        for *values, usage in stored.get("setbacks", ())
    ]
    return Commit(
        n=stored["n"],
        tallies=Tallies(
            by_key=by_key, open=still_open, pasts=pasts, setbacks={f.id: f for f in setbacks}
        ),
        parts={table: tuple(stored["parts"][table]) for table in COMMITTED},
        dirty=frozenset(stored["dirty"]),
        power_cut=stored["power_cut"],
        sums={number: tuple(sums) for number, *sums in stored.get("sums", ()) if sums},
    )


def _of_tally(tally: Tally) -> dict[str, Any]:
    counts: dict[str, Any] = {name: getattr(tally, name) for name in _TALLY}
    return counts if tally.wasted_cost is None else counts | {"wasted_cost": str(tally.wasted_cost)}


def _to_tally(stored: dict[str, Any], cost: str | None) -> Tally:
    counts = {name: value for name, value in stored.items() if name != "wasted_cost"}
    return Tally(**counts, cost=_money(cost), wasted_cost=_money(stored.get("wasted_cost")))


def _text(cost: Decimal | None) -> str | None:
    return None if cost is None else str(cost)


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _of_usage(usage: Usage) -> list[Any]:
    *tokens, cost = (getattr(usage, f.name) for f in fields(Usage))
    return [*tokens, _text(cost)]


def _to_usage(stored: Sequence[Any]) -> Usage:
    *tokens, cost = stored
    values = [*tokens, None if cost is None else Decimal(cost)]
    return Usage(**dict(zip((f.name for f in fields(Usage)), values, strict=True)))
