"""JSON with all digits of its integers: orjson makes floats of those beyond 64 bits."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import orjson

if TYPE_CHECKING:
    from vbatch.records import JsonValue

_LONG = re.compile(r"[0-9]{20}|-[0-9]{19}")
_LONG_BYTES = re.compile(_LONG.pattern.encode())
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_TOO_LONG = "Integer exceeds 64-bit range"
"""What orjson says of an integer that it cannot write."""


def loads(data: bytes | str) -> JsonValue:
    """The value that JSON text stands for.

    Raises:
        orjson.JSONDecodeError: it is none, or no UTF-8, or holds a number that is not finite.
    """
    if _LONG.search(data) if isinstance(data, str) else _may_be_long(data):
        with suppress(ValueError, RecursionError):
            return _patiently(data)
    return orjson.loads(data)


def _may_be_long(data: bytes) -> bool:
    """Whether the expression matches; it is ten times as slow as to see that it cannot."""
    return b"0" * 19 in data.translate(_ZEROS) and _LONG_BYTES.search(data) is not None


def _patiently(data: bytes | str) -> JsonValue:
    text = data if isinstance(data, str) else data.decode()
    value = json.loads(text, parse_float=_finite, parse_constant=_refused)
    json.dumps(value, ensure_ascii=False).encode()  # refuses lone surrogates, as orjson does
    return value


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refused(text)


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def dumps(value: JsonValue, *, sort: bool = False) -> bytes:
    """Compact JSON in UTF-8, its keys sorted if wanted.

    Raises:
        TypeError: a value is nested too deeply.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort else None)
    except TypeError as e:
        if str(e) != _TOO_LONG:
            raise
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort)
    except RecursionError as e:
        raise TypeError("Recursion limit reached") from e
    return text.encode()
