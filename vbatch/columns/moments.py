"""Dates and times as text: ISO 8601, in UTC with a Z where the column has a zone.

Arrow keeps them as counts of units since 1970 or midnight. A count outside the years 1 to 9999, or
outside a day, has no such text and stays an integer; a duration always does.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.records import JsonValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_DAY_S = 86_400
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_MS_PER_DAY = _DAY_S * 1000


def count_type(t: pa.DataType) -> pa.DataType:
    """The integer type of the same width."""
    return pa.int32() if t.bit_width == 32 else pa.int64()  # noqa: PLR2004 - bits


def writer(t: pa.DataType) -> Callable[[int], JsonValue]:
    """What turns a count of ``t`` into its JSON value."""
    if pa.types.is_date(t):
        return partial(_write_date, unit=_MS_PER_DAY if pa.types.is_date64(t) else 1)
    if pa.types.is_time(t):
        return partial(_write_time, unit=t.unit)
    if pa.types.is_timestamp(t):
        return partial(_write_moment, unit=t.unit, zone="Z" if t.tz else "")
    return int


def reader(t: pa.DataType) -> Callable[[str], int]:
    """What turns text that ``writer(t)`` made into a count again; ValueError for other text."""
    if pa.types.is_date(t):
        return partial(_read_date, unit=_MS_PER_DAY if pa.types.is_date64(t) else 1)
    if pa.types.is_time(t):
        return partial(_read_time, unit=t.unit)
    if pa.types.is_timestamp(t):
        return partial(_read_moment, unit=t.unit)
    return int


def _write_date(count: int, *, unit: int) -> JsonValue:
    days, rest = divmod(count, unit)
    try:
        return count if rest else date.fromordinal(_EPOCH_DAY + days).isoformat()
    except (ValueError, OverflowError):
        return count


def _read_date(text: str, *, unit: int) -> int:
    return (date.fromisoformat(text).toordinal() - _EPOCH_DAY) * unit


def _write_time(count: int, *, unit: str) -> JsonValue:
    seconds, rest = divmod(count, _PER_SECOND[unit])
    if not 0 <= seconds < _DAY_S:
        return count
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return clock + _fraction(rest, unit)


def _read_time(text: str, *, unit: str) -> int:
    return _read_moment(f"1970-01-01T{text}", unit=unit)


def _write_moment(count: int, *, unit: str, zone: str) -> JsonValue:
    seconds, rest = divmod(count, _PER_SECOND[unit])
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return count
    return moment.replace(tzinfo=None).isoformat() + _fraction(rest, unit) + zone


def _read_moment(text: str, *, unit: str) -> int:
    whole, _, rest = text.removesuffix("Z").partition(".")
    past = datetime.fromisoformat(whole).replace(tzinfo=UTC) - _EPOCH
    seconds = past.days * _DAY_S + past.seconds
    digits = _DIGITS[unit]
    if len(rest) > digits:
        raise ValueError(f"{text!r} is finer than {unit}")
    return seconds * _PER_SECOND[unit] + int(rest.ljust(digits, "0") or 0)


def _fraction(rest: int, unit: str) -> str:
    return f".{rest:0{_DIGITS[unit]}d}" if rest else ""
