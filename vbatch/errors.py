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
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence
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

    ``code`` is what stands in failures or in the closing line; the rest is as in ``Details``.
    """

    fault: Fault = Fault.ROW

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


def redact(text: str, secrets: Sequence[str]) -> str:
    """Return ``text`` without the values in ``secrets``, whatever their place in it.

    Values hidden by JSON escapes or by percent signs are found too. Empty values are left out.
    """
    if "\\" in text or "%" in text:
        for pattern in _disguises(tuple(secrets)):
            text = pattern.sub(REDACTED, text)
        return text
    if any(secret in text for secret in secrets):
        for secret in _longest_first(secrets):
            text = text.replace(secret, REDACTED)
    return text


def _longest_first(secrets: Sequence[str]) -> list[str]:
    return sorted(filter(None, secrets), key=len, reverse=True)


@lru_cache(maxsize=64)
def _disguises(secrets: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile("".join(map(_disguise, one))) for one in _longest_first(secrets))


def _disguise(char: str) -> str:
    escaped = rf"\\u(?i:{ord(char):04x})|\\?{re.escape(char)}"
    percent = quote(char, safe="", errors="replace")
    return f"(?:{escaped}|(?i:{percent}))" if percent != char else f"(?:{escaped})"
