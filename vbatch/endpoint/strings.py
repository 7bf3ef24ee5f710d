"""Text as UTF-8 can hold it, and JSON written so that nothing in a row can crash it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

from vbatch.errors import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.records import JsonValue

_WIDEST = 32
"""Characters of a text behind which one of a secret can hide."""


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


def clear_start(text: str, secrets: Sequence[str], most: int) -> str:
    """Return how ``text`` begins without ``secrets``, at most ``most`` characters of it.

    No more of a long text is searched than that takes, and a part of a secret is never left at the
    end.
    """
    spare = _WIDEST * max(map(len, secrets), default=0)
    clear = redact(text[: most + spare], secrets)
    if len(text) > most + spare:
        clear = clear[: max(len(clear) - spare, 0)]
    return clear[:most]


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
