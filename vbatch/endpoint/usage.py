"""The one tolerant reader of token counts and costs, for every gateway's names. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from vbatch.records import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vbatch.records import JsonValue

MAX_TOKENS = 2**40
"""More than this is no token count; sums of millions of rows still fit 64 bits."""
MAX_COST = Decimal(1_000_000)
USD_PER_TICK = Decimal("1e-10")
"""Of xAI's ``cost_in_usd_ticks``."""

_DIGITS = re.compile("[0-9]{1,18}")
_PROMPT = ("prompt_tokens", "input_tokens", "tokens_prompt")
_COMPLETION = ("completion_tokens", "output_tokens", "tokens_completion")
_TOTAL = ("total_tokens", "tokens_total")
_COST = ("cost", "total_cost", "estimated_cost")
_CACHED = ("cached_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens")
_REASONING = ("reasoning_tokens",)
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")
_TICKS = "cost_in_usd_ticks"
_ALL = frozenset(
    [_TICKS, *_PROMPT, *_COMPLETION, *_TOTAL, *_COST, *_CACHED, *_REASONING, *_PROMPT_DETAILS]
) | {*_COMPLETION_DETAILS}
NOTHING = Usage()
"""What an answer says that says nothing of usage."""


def read_usage(said: JsonValue) -> Usage:
    """Return what an answer's ``usage`` object says; anything odd in it counts as not said.

    A missing total is the sum of prompt and completion.
    """
    if not isinstance(said, dict) or _ALL.isdisjoint(said):
        return NOTHING
    prompt, completion = _tokens(said, _PROMPT), _tokens(said, _COMPLETION)
    total = _tokens(said, _TOTAL)
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=_detail(said, _PROMPT_DETAILS, _CACHED),
        reasoning_tokens=_detail(said, _COMPLETION_DETAILS, _REASONING),
        cost=_cost(said),
    )


def read_cost(value: JsonValue) -> Decimal | None:
    """Return USD, None for what is no sum of money (negative, not finite, beyond a million)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        cost = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and 0 <= cost <= MAX_COST else None


def _cost(said: dict[str, JsonValue]) -> Decimal | None:
    for name in _COST:
        value = said.get(name)
        cost = None if value is None else read_cost(value)
        if cost is not None:
            return cost
    ticks = said.get(_TICKS)
    if isinstance(ticks, int) and not isinstance(ticks, bool):
        return read_cost(str(ticks * USD_PER_TICK))
    return None


def _detail(said: dict[str, JsonValue], places: Iterable[str], names: Iterable[str]) -> int | None:
    """A count inside one of the objects at ``places``, else beside them."""
    for place in places:
        details = said.get(place)
        count = _tokens(details, names) if isinstance(details, dict) else None
        if count is not None:
            return count
    return _tokens(said, names)


def _tokens(said: dict[str, JsonValue], names: Iterable[str]) -> int | None:
    """The first of ``names`` that holds a count."""
    for name in names:
        value = said.get(name)
        count = None if value is None else _count(value)
        if count is not None:
            return count
    return None


def _count(value: JsonValue) -> int | None:
    """A whole number from 0, also written as 12.0 or "12"; 1.5 is none, and never becomes 1."""
    if isinstance(value, str):
        value = int(value) if _DIGITS.fullmatch(value) else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value
