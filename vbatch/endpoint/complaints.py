"""The one tolerant reader of error bodies: object, string, list, ``detail``, ``message``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbatch.endpoint.reply import leaves
from vbatch.endpoint.strings import clear_start, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.records import JsonValue

MAX_MESSAGE = 600
"""Characters of an endpoint's words that are repeated in our own messages."""

_SPOKEN = (
    *("error", "errors", "detail", "details", "message", "messages", "msg", "error_message"),
    *("error_msg", "title", "description", "metadata", "raw"),
)
_CODED = ("code", "error_code", "type", "error_type", "status", "reason", "reasons", "innererror")
_PLACED = ("param", "loc")
_NUMBERED = ("status_code", "statusCode")
_KEYS = _SPOKEN + _CODED + _PLACED + _NUMBERED
_STATUS_KEYS = {"code", "error_code", "status", *_NUMBERED}

_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_MAX_PAGE = 8_192
_MAX_WORDS = 16_384
"""Characters that are searched, of one text and in all, so that no error body holds the loop up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What an error says. ``words`` is all of it in lower case, a line each, for known phrases.

    ``status`` is a number inside the error that reads as an HTTP status; ``param`` the field it is
    about.
    """

    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None
    words: str = ""


def read_complaint(
    document: JsonValue, text: str = "", *, secrets: Sequence[str] = ()
) -> Complaint:
    """Return what an error body says; ``text`` is used where there is no JSON (None).

    ``secrets`` appear nowhere in it.
    """
    if document is None:
        plain = _shorten(_TAGS.sub(" ", clear_start(text, secrets, _MAX_PAGE)))
        return Complaint(message=plain, words=plain.lower())
    found = [
        (key, clear_start(value, secrets, _MAX_PAGE) if isinstance(value, str) else value)
        for key, value in leaves(document, _KEYS)
        if not isinstance(value, bool)
    ]
    return Complaint(
        message=_shorten(": ".join(_distinct(found))),
        code=_first(found, "code", "error_code"),
        type=_first(found, "type", "error_type", "status"),
        param=_last(found, "param", "loc"),
        status=next((n for key, value in found if (n := _status(key, value))), None),
        words="\n".join(" ".join(str(value).split()) for _, value in found)[:_MAX_WORDS].lower(),
    )


def _distinct(found: list[tuple[str, JsonValue]]) -> list[str]:
    """The first three sentences, each once."""
    said = [value for key, value in found if key in {"", *_SPOKEN} and isinstance(value, str)]
    return [*dict.fromkeys(filter(None, said))][:3]


def _first(found: list[tuple[str, JsonValue]], *keys: str) -> str | None:
    return next((_shorten(str(value)) for key, value in found if key in keys), None)


def _last(found: list[tuple[str, JsonValue]], *keys: str) -> str | None:
    return _first(found[::-1], *keys)


def _status(key: str, value: JsonValue) -> int | None:
    if key not in _STATUS_KEYS or not re.fullmatch(r"[45][0-9][0-9]", str(value)):
        return None
    return int(value)


def _shorten(text: str) -> str:
    text = whole(" ".join(text.split()))
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "…"
