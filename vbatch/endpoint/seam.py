"""Where the exceptions of HTTP, TLS and sockets become ours: this table, and nowhere else."""

from __future__ import annotations

import errno
import os
import ssl
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import client_exceptions, http_exceptions

from vbatch.endpoint.deadlines import DeadlinePassedError
from vbatch.errors import (
    AmbiguousError,
    EndpointError,
    Exit,
    FatalError,
    TransientError,
    UnreachedError,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_Verdict = tuple[type[EndpointError], str]

_UNREACHED: _Verdict = (UnreachedError, "connection")
_CUT: _Verdict = (AmbiguousError, "connection")
_LATE: _Verdict = (AmbiguousError, "timeout")
_GARBLED: _Verdict = (AmbiguousError, "bad_response")
_CERTIFICATE: _Verdict = (FatalError, "certificate")
_ADDRESS: _Verdict = (FatalError, "wrong_url")

VERDICTS: dict[type[Exception], _Verdict] = {
    # before anything was sent
    aiohttp.ClientConnectorError: _UNREACHED,
    aiohttp.ConnectionTimeoutError: _UNREACHED,
    aiohttp.ClientHttpProxyError: _UNREACHED,
    aiohttp.ClientSSLError: _UNREACHED,
    aiohttp.ClientConnectorCertificateError: _CERTIFICATE,
    aiohttp.ServerFingerprintMismatch: _CERTIFICATE,
    aiohttp.InvalidURL: _ADDRESS,
    client_exceptions.NonHttpUrlClientError: _ADDRESS,
    client_exceptions.RedirectClientError: _ADDRESS,
    UnicodeError: _ADDRESS,  # a host that DNS cannot be asked for
    # afterwards
    aiohttp.ClientConnectionError: _CUT,
    aiohttp.ClientPayloadError: _CUT,
    client_exceptions.UploadAbortedError: _CUT,
    ssl.SSLError: _CUT,
    OSError: _CUT,
    aiohttp.ServerTimeoutError: _LATE,
    TimeoutError: _LATE,
    DeadlinePassedError: _LATE,
    # a malformed status line or header bears the status 400, which the endpoint never said
    aiohttp.ClientResponseError: _GARBLED,
    http_exceptions.HttpProcessingError: _GARBLED,
}
"""What each exception means, by the nearest of its bases that is listed."""

FOREIGN: tuple[type[Exception], ...] = (*VERDICTS, RuntimeError)
"""What to catch around an exchange. aiohttp reports some lost connections as RuntimeError."""

_FEW_FILES = {errno.EMFILE, errno.ENFILE}
_LOGIN_WANTED = 407


def translate(
    error: BaseException, *, host: str, connected: bool, secrets: Sequence[str] = ()
) -> EndpointError:
    """Return our own error for what an exchange with ``host`` raised.

    ``connected``: a connection was there, so the request may have gone out.
    """
    verdict = _verdict(error, connected=connected)
    kind, code = verdict
    inner = error.__cause__  # aiohttp wraps what a body raises
    cause = inner.message if isinstance(inner, EndpointError) else _cause(error)
    ours = kind(code, redact(f"{host}: {cause}", secrets))
    if verdict is _ADDRESS:
        ours.exit_code = Exit.USAGE
    return ours


def _verdict(error: BaseException, *, connected: bool) -> _Verdict:
    if not connected and isinstance(error, OSError) and _errno(error) in _FEW_FILES:
        return TransientError, "too_many_open_files"
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == _LOGIN_WANTED:
        return FatalError, "authentication"
    if isinstance(error.__cause__, http_exceptions.ContentEncodingError):
        return _GARBLED
    named = (VERDICTS[base] for base in type(error).mro() if base in VERDICTS)
    verdict = next(named, _CUT)
    if verdict in (_CUT, _LATE) and not connected:
        return _UNREACHED
    if connected and isinstance(error, UnicodeError):
        return _GARBLED
    return verdict


def _errno(error: OSError) -> int | None:
    inner = getattr(error, "os_error", error)
    return inner.errno if isinstance(inner, OSError) else None


def _cause(error: BaseException) -> str:
    """The exception in words; its class where it has none."""
    if isinstance(error, DeadlinePassedError):
        return "no whole answer within the time an attempt may take (retry.timeout)"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy builds no tunnel (HTTP {error.status})"
    if isinstance(error, (aiohttp.ClientResponseError, http_exceptions.HttpProcessingError)):
        return f"a malformed HTTP answer: {' '.join(error.message.split())}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = error.certificate_error
        why = getattr(refused, "verify_message", None) or str(refused)
        return f"its certificate is not trusted: {why}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _cause_below(error.os_error)
    return " ".join(str(error).split()) or type(error).__name__


def _cause_below(error: OSError) -> str:
    """What the system says: some libraries only repeat the address."""
    if isinstance(error, ssl.SSLError):  # its errno is OpenSSL's, no number of the system's
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        return f"TLS fails: {reason.replace('_', ' ').lower()}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error.strerror or error)
