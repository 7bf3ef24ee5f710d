"""``data:`` URIs (RFC 2397) to bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import pybase64

from vbatch.errors import ImageError

if TYPE_CHECKING:
    from typing import NoReturn

_PREFIX = re.compile(r"data:[^,]*,", re.IGNORECASE)
_BLANKS = re.compile(rb"\s+")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SHOWN = 40


def decode(uri: str, *, cap_bytes: int) -> bytes:
    """The bytes that ``uri`` stands for; its media type is not asked, the bytes decide.

    Base64 may be wrapped, percent-encoded, URL-safe or without padding. Raises ImageError:
    ``image_unreadable`` when malformed, ``image_too_large`` above ``cap_bytes``.
    """
    head = _PREFIX.match(uri)
    if head is None:
        _refuse(uri, "a data URI needs a comma between its type and its data")
    if len(uri) // 4 * 3 > cap_bytes:
        raise ImageError(
            "image_too_large",
            f"a data URI of {len(uri)} characters; at most {cap_bytes} bytes are read",
        )
    payload = uri[head.end() :]
    if not head[0].lower().rstrip(", ").endswith(";base64"):
        return unquote_to_bytes(payload)
    try:
        return _from_base64(payload)
    except ValueError as error:
        _refuse(uri, str(error))


def size(uri: str) -> int:
    """About how many bytes ``decode`` would return."""
    return len(uri) * 3 // 4


def _from_base64(payload: str) -> bytes:
    try:
        return pybase64.b64decode(payload, validate=True)
    except ValueError:
        plain = _BLANKS.sub(b"", unquote_to_bytes(payload)).translate(_URL_SAFE).rstrip(b"=")
        return pybase64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)


def _refuse(uri: str, reason: str) -> NoReturn:
    raise ImageError("image_unreadable", f"bad data URI {uri[:_SHOWN]!r}…: {reason}")
