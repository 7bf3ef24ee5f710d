"""Scripted faults: which request goes wrong, and how.

Instead of work: a status (400 to 599), ``hang`` (until the client leaves), ``garbage`` (200, not
JSON), ``html``, ``empty``, ``error200`` (an error inside a 200), ``reset-before`` and
``close-before`` (RST or FIN before any byte). On the way out of an answer that was worked for and
billed: ``reset-after``, ``close-after``, ``cut`` (half the body, then closed). Another answer:
``slow``, ``nousage``, ``null`` (no content), ``length``, ``filter``, ``refusal``, ``prose`` (words
instead of JSON). Plain ``reset``
and ``close`` fall before or after the work by chance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field

from vbatch.errors import JobError
from vbatch.server.chance import chance

INSTEAD = frozenset(
    {"hang", "garbage", "html", "empty", "error200", "reset-before", "close-before"}
)
ON_THE_WAY = frozenset({"reset-after", "close-after", "cut"})
ANOTHER_ANSWER = frozenset({"slow", "nousage", "null", "length", "filter", "refusal", "prose"})
EITHER = frozenset({"reset", "close"})

_NAMES = INSTEAD | ON_THE_WAY | ANOTHER_ANSWER | EITHER
_RULE = re.compile(r"([a-z0-9-]+)(?::([0-9]*[.]?[0-9]+)|@([0-9]+))")
_STATUS = re.compile(r"[45][0-9][0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """``shares``: which part of all requests has which fault; ``numbered``: the n-th request's."""

    shares: tuple[tuple[str, float], ...] = ()
    numbered: Mapping[int, str] = field(default_factory=dict)

    def draw(self, number: int, seed: int) -> str | None:
        """Return the fault of request ``number`` (from 1), None if all goes well."""
        name = self.numbered.get(number) or self._by_share(chance(seed, number, "fault"))
        if name not in EITHER:
            return name
        return f"{name}-{'before' if chance(seed, number, 'when') < 1 / 2 else 'after'}"

    def _by_share(self, drawn: float) -> str | None:
        for name, share in self.shares:
            drawn -= share
            if drawn < 0:
                return name
        return None


def status_of(name: str) -> int | None:
    """Return the status a fault's name stands for, None if it stands for something else."""
    return int(name) if _STATUS.fullmatch(name) else None


def parse_faults(text: str) -> Faults:
    """Read ``NAME:SHARE,NAME@NUMBER,…``, as in ``429:0.1,slow:0.05,reset@3``.

    Raises JobError that lists everything wrong with it.
    """
    shares: list[tuple[str, float]] = []
    numbered: dict[int, str] = {}
    problems = []
    for rule in filter(None, (part.strip() for part in text.split(","))):
        try:
            _add(rule, shares, numbered)
        except ValueError as problem:
            problems.append(str(problem))
    if sum(share for _, share in shares) > 1:
        problems.append("the shares add up to more than 1")
    if problems:
        raise JobError(f"the faults {text!r} cannot be used: " + "; ".join(problems))
    return Faults(shares=tuple(shares), numbered=numbered)


def _add(rule: str, shares: list[tuple[str, float]], numbered: dict[int, str]) -> None:
    match = _RULE.fullmatch(rule)
    if match is None:
        raise ValueError(f"{rule!r} is neither NAME:SHARE (of all requests) nor NAME@NUMBER")
    name, share, number = match.groups()
    if name not in _NAMES and status_of(name) is None:
        names = ", ".join(sorted(_NAMES))
        raise ValueError(f"there is no fault {name!r}, only a status from 400 to 599, {names}")
    if share is not None:
        shares.append((name, float(share)))
    elif int(number) in numbered:
        raise ValueError(f"request {number} has two faults")
    else:
        numbered[int(number)] = name
