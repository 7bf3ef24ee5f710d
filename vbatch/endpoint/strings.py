"""Text as UTF-8 can hold it, and JSON written so that nothing in a row can crash it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from vbatch.records import JsonValue


class OutsizedJsonError(ValueError):
    """JSON that Python cannot hold: nested too deeply, or an integer of thousands of digits."""


def whole(text: str) -> str:
    """Return ``text`` with its surrogates paired, and U+FFFD for each that has no partner."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def dump(value: JsonValue) -> bytes:
    """Return ``value`` as JSON in UTF-8; lone surrogates become U+FFFD.

    Raises OutsizedJsonError for what is nested too deeply to be written.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return _dump_oddity(value)


def _dump_oddity(value: JsonValue) -> bytes:
    """Write what orjson refuses: lone surrogates, integers over 64 bits, 254 levels and more."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise OutsizedJsonError("nested too deeply") from None
    return whole(text).encode()
