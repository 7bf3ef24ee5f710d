"""Every error vbatch raises on purpose, as a tree whose branches say what happens next.

::

    VbatchError
    ├ JobError                  the job file or command line is wrong: nothing is sent, exit 2
    ├ ManifestError             the manifest cannot be used: nothing is sent, exit 2
    ├ ImageError                this row fails
    ├ EndpointError
    │ ├ TransientError          certainly not executed, or refused: try again
    │ ├ AmbiguousError          may have been executed and billed: try again seldom
    │ └ PermanentError          this row fails (or is mended once, see ``Remedy``)
    │   └ FatalError            the run stops: a person is needed, or later
    └ JournalError              the run stops: storage
      ├ Locked                  another process holds the run, exit 7
      ├ Mismatch                the run was made for another question, or by a newer vbatch, exit 2
      ├ Corrupt                 what is on disk cannot be trusted, exit 6
      └ StorageFull             nothing more can be written, exit 6

Foreign exceptions become these at one seam each: ``endpoint.client``, ``source.images``,
``source.fetch``, ``source.manifest`` and ``sink.journal``.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from enum import IntEnum, StrEnum
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from vbatch.records import Usage

Suspect = Literal["wrong_url"]
"""What an error may be a sign of while nothing has been answered yet."""

REDACTED = "[redacted]"


class Exit(IntEnum):
    """Exit codes of every verb."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    ROWS_FAILED = 3
    NEEDS_A_PERSON = 4
    TRY_LATER = 5
    STORAGE = 6
    LOCKED = 7
    SIGINT = 130
    SIGTERM = 143


class Fault(StrEnum):
    """What a failed attempt may have cost, and so what becomes of its row."""

    FREE = "free"
    """Certainly not executed. Try again."""
    REFUSED = "refused"
    """The endpoint said no before working. Wait, try again."""
    MAYBE = "maybe"
    """The endpoint may have done the work, and billed it. Try again seldom."""
    ROW = "row"
    """This row fails, the run goes on."""
    STOP = "stop"
    """The run stops; the row stays to do."""


class Remedy(StrEnum):
    """What the client may change before it sends a refused request once more."""

    INLINE = "inline"
    """The endpoint could not fetch the URL: send the bytes."""
    SHRINK = "shrink"
    """Too large: send smaller images."""
    TOKEN_FIELD = "token_field"  # noqa: S105 - no secret
    """``max_tokens`` and ``max_completion_tokens`` must be switched."""
    ASK_AGAIN = "ask_again"
    """The answer does not follow the schema: say so, and ask again."""


RETRYABLE_CODES = frozenset(
    {
        "connection",
        "timeout",
        "server_error",
        "bad_response",
        "rate_limited",
        "image_not_found",
        "image_unreadable",
        "image_unreachable",
        "bad_row",
    }
)
"""Codes of failures that a later run asks again by itself."""

FAILURE_CODES = RETRYABLE_CODES | frozenset(
    {
        "content_filtered",
        "empty_answer",
        "image_forbidden",
        "image_too_large",
        "image_unsupported",
        "invalid_request",
        "request_too_large",
        "response_too_large",
        "schema_mismatch",
        "too_many_images",
    }
)
"""Every code that can stand in the failures table."""


class VbatchError(Exception):
    """Base of all errors that vbatch raises on purpose.

    ``exit_code`` is what the command line exits with when this error ends a verb.
    """

    exit_code: Exit = Exit.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class JobError(VbatchError):
    """The job file or the command line is wrong; the message lists every one of ``problems``."""

    exit_code = Exit.USAGE

    def __init__(self, *problems: str) -> None:
        count = [f"{len(problems)} problems:"] if len(problems) > 1 else []
        super().__init__("\n  ".join([*count, *problems]))
        self.problems = problems


class ManifestError(VbatchError):
    """The manifest cannot be used. ``path`` and ``line`` (from 1) say where, when known."""

    exit_code = Exit.USAGE

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None
    ) -> None:
        where = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        super().__init__(where + message)
        self.path = path
        self.line = line


class ImageError(VbatchError):
    """An image of this row cannot be sent. ``code`` is one of ``FAILURE_CODES``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Details(TypedDict, total=False):
    """What else is known of an attempt that ended without a usable answer.

    ``status`` is the HTTP status, None when there was none; ``retry_after_s`` the wait the endpoint
    asked for, in seconds; ``body`` the reply's text (at most 64 KiB, already redacted); ``usage``
    what it says was spent; ``suspect`` what the error points to while nothing is answered yet.
    """

    status: int | None
    provider_code: str | None
    request_id: str | None
    retry_after_s: float | None
    body: str | None
    usage: Usage | None
    suspect: Suspect | None


class EndpointError(VbatchError):
    """One attempt ended without a usable answer.

    ``code`` is what stands in failures or in the closing line; the rest is as in ``Details``. The
    exit code is that of a verb which asks nothing else, like ``models``: nothing usable is there.
    """

    fault: Fault = Fault.ROW
    exit_code: Exit = Exit.USAGE

    def __init__(self, code: str, message: str, **details: Unpack[Details]) -> None:
        super().__init__(message)
        self.code = code
        self.status = details.get("status")
        self.provider_code = details.get("provider_code")
        self.request_id = details.get("request_id")
        self.retry_after_s = details.get("retry_after_s")
        self.body = details.get("body")
        self.usage = details.get("usage")
        self.suspect = details.get("suspect")


class TransientError(EndpointError):
    """Free or refused: the endpoint did no work, so sending again costs nothing twice."""

    fault = Fault.REFUSED
    exit_code = Exit.TRY_LATER

    @property
    def throttled(self) -> bool:
        """Whether the endpoint said "too many requests": then it waits, not only this row."""
        return self.code == "rate_limited"


class UnreachedError(TransientError):
    """Free: the request certainly never reached the endpoint."""

    fault = Fault.FREE


class AmbiguousError(EndpointError):
    """The endpoint may have done the work and billed it."""

    fault = Fault.MAYBE
    exit_code = Exit.TRY_LATER


class PermanentError(EndpointError):
    """This row fails, unless ``remedy`` names a change worth one more request."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        remedy: Remedy | None = None,
        **details: Unpack[Details],
    ) -> None:
        super().__init__(code, message, **details)
        self.remedy = remedy


class FatalError(PermanentError):
    """No row can be answered as things are: the run stops and its rows stay to do."""

    fault = Fault.STOP
    exit_code = Exit.NEEDS_A_PERSON


class JournalError(VbatchError):
    """The run's folder cannot be written or trusted."""

    exit_code = Exit.STORAGE


class Locked(JournalError):  # noqa: N818 - reads as the state it names
    """Another process holds the run; the message names it."""

    exit_code = Exit.LOCKED


class Mismatch(JournalError):  # noqa: N818
    """The run was made for another question, or by a newer vbatch."""

    exit_code = Exit.USAGE


class Corrupt(JournalError):  # noqa: N818
    """Something on disk is torn where no crash can have torn it."""


class StorageFull(JournalError):  # noqa: N818
    """Disk full, quota reached, I/O error or folder not writable."""


def printable(text: str) -> str:
    """Return ``text`` with everything that a terminal would obey, or hide, written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def sounds_secret(name: str) -> bool:
    """Whether a variable or header of this name may hold a secret."""
    return _SOUNDS_SECRET.search(name) is not None


def redact(text: str, secrets: Sequence[str]) -> str:
    """Return ``text`` without the values in ``secrets``, whatever their place in it.

    Values hidden by JSON or HTML escapes, by percent signs or in base64 are found too. Empty values
    are left out.
    """
    if any(mark in text for mark in _MARKS):
        for pattern in _disguises(tuple(secrets)):
            text = pattern.sub(REDACTED, text)
    needles = _needles(tuple(secrets))
    if any(needle in text for needle in needles):
        for needle in needles:
            text = text.replace(needle, REDACTED)
    return text


_SOUNDS_SECRET = re.compile(r"auth|cookie|cred|key|pass|pwd|secret|token", re.IGNORECASE)
_MARKS = ("\\", "%", "&")
_MIN_HIDDEN_CHARS = 6
"""Of shorter values base64 leaves so little that other words would look like it."""


def _longest_first(secrets: Iterable[str]) -> list[str]:
    return sorted(filter(None, secrets), key=len, reverse=True)


@lru_cache(maxsize=64)
def _needles(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """The values as they are, and what base64 makes of them at any place in a longer text."""
    hidden = {
        core
        for secret in secrets
        if len(secret) >= _MIN_HIDDEN_CHARS
        for shift in range(3)
        for encode in (b64encode, urlsafe_b64encode)
        for core in [_core(encode, secret.encode(errors="replace"), shift)]
    }
    return tuple(_longest_first({*secrets, *hidden}))


def _core(encode: Callable[[bytes], bytes], secret: bytes, shift: int) -> str:
    """The characters of base64 that ``secret`` alone decides, ``shift`` bytes standing before."""
    first, end = -(-shift * 8 // 6), (shift + len(secret)) * 8 // 6
    return encode(bytes(shift) + secret).decode()[first:end]


@lru_cache(maxsize=64)
def _disguises(secrets: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile("".join(map(_disguise, one))) for one in _longest_first(secrets))


def _disguise(char: str) -> str:
    """A pattern of ``char`` as it is, or escaped by JSON, by JSON within JSON, HTML or a URL."""
    units = char.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    in_json = "".join(rf"\\{{1,8}}u{pair}" for pair in pairs)
    in_url = "".join(f"%(?:25)*{byte:02x}" for byte in char.encode(errors="replace"))
    in_html = f"&#0*{ord(char)};|&#x0*{ord(char):x};"
    if escape(char) != char:
        in_html += f"|{escape(char)}"
    return rf"(?:(?i:{in_json})|\\{{0,8}}{re.escape(char)}|(?i:{in_url}|{in_html}))"
