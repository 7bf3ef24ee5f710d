import errno
import inspect
import ssl

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from vbatch.endpoint import seam
from vbatch.errors import (
    AmbiguousError,
    Exit,
    FatalError,
    TransientError,
    UnreachedError,
)

KEY = ConnectionKey("host.example", 443, True, True, None, None, None)
REQUEST = aiohttp.RequestInfo(URL("https://host.example"), "POST", {}, URL("https://host.example"))


def exceptions_of_aiohttp():
    """Every exception that an exchange can raise; websockets are never opened."""
    found = {
        value
        for module in (aiohttp, client_exceptions, http_exceptions)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, (aiohttp.ClientError, http_exceptions.HttpProcessingError))
    }
    return sorted(found - {aiohttp.ClientError}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", exceptions_of_aiohttp(), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_has_a_meaning(kind):
    assert any(base in seam.VERDICTS for base in kind.__mro__)


def test_the_walk_over_aiohttp_finds_its_exceptions():
    assert len(exceptions_of_aiohttp()) > 30


@pytest.mark.parametrize(
    "kind", [OSError, ssl.SSLError, TimeoutError, RuntimeError, UnicodeEncodeError]
)
def test_what_the_loop_itself_raises_is_caught_too(kind):
    assert issubclass(kind, seam.FOREIGN)


CONNECTING = [
    (aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "no")), UnreachedError),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name not known")), UnreachedError),
    (aiohttp.ClientProxyConnectionError(KEY, OSError(errno.ECONNREFUSED, "no")), UnreachedError),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version")), UnreachedError),
    (aiohttp.ConnectionTimeoutError("too slow"), UnreachedError),
    (aiohttp.ClientConnectionError("Connector is closed"), UnreachedError),
    (RuntimeError("several addresses failed"), UnreachedError),
    (TimeoutError(), UnreachedError),
]


@pytest.mark.parametrize(("error", "kind"), CONNECTING, ids=lambda case: type(case).__name__)
def test_what_happens_before_there_is_a_connection_is_free(error, kind):
    ours = seam.translate(error, host="host.example", connected=False)
    assert (type(ours), ours.code) == (kind, "connection")


EXCHANGING = [
    (aiohttp.ServerDisconnectedError(), "connection"),
    (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), "connection"),
    (aiohttp.ClientPayloadError("cut"), "connection"),
    (ConnectionResetError(errno.ECONNRESET, "reset"), "connection"),
    (ssl.SSLError(1, "bad record"), "connection"),
    (RuntimeError("Connection closed."), "connection"),
    (aiohttp.SocketTimeoutError(), "timeout"),
    (TimeoutError(), "timeout"),
    (aiohttp.ClientResponseError(REQUEST, (), status=400, message="bad line"), "bad_response"),
]


@pytest.mark.parametrize(("error", "code"), EXCHANGING, ids=lambda case: type(case).__name__)
def test_what_happens_later_may_have_been_billed(error, code):
    ours = seam.translate(error, host="host.example", connected=True)
    assert (type(ours), ours.code) == (AmbiguousError, code)
    assert ours.status is None


def test_what_a_body_raised_as_it_should_leave_is_told_in_its_own_words():
    wrapped = aiohttp.ClientConnectionError("Failed to send bytes")
    wrapped.__cause__ = UnreachedError("connection", "it hung up")
    ours = seam.translate(wrapped, host="host.example", connected=False)
    assert (type(ours), ours.message) == (UnreachedError, "host.example: it hung up")


def test_an_unreadable_encoding_is_a_bad_response():
    error = aiohttp.ClientPayloadError("cut")
    error.__cause__ = http_exceptions.ContentEncodingError("gzip")
    ours = seam.translate(error, host="host.example", connected=True)
    assert ours.code == "bad_response"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_are_our_own_trouble(number):
    for error in (
        aiohttp.ClientConnectorError(KEY, OSError(number, "Too many open files")),
        aiohttp.ClientConnectorDNSError(KEY, OSError(number, "Too many open files")),
        OSError(number, "Too many open files"),
    ):
        ours = seam.translate(error, host="host.example", connected=False)
        assert (type(ours), ours.code) == (TransientError, "too_many_open_files")


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "self")),
            "certificate",
            Exit.NEEDS_A_PERSON,
        ),
        (aiohttp.InvalidURL("http://"), "wrong_url", Exit.USAGE),
        (aiohttp.NonHttpUrlClientError("ftp://x"), "wrong_url", Exit.USAGE),
        (UnicodeError("label empty or too long"), "wrong_url", Exit.USAGE),
    ],
)
def test_some_faults_need_a_person(error, code, exit_code):
    ours = seam.translate(error, host="host.example", connected=False)
    assert (type(ours), ours.code, ours.exit_code) == (FatalError, code, exit_code)


def test_the_cause_is_named_as_the_system_does_and_without_secrets():
    error = aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "Connect call failed"))
    ours = seam.translate(error, host="s3cret.example", connected=False, secrets=("s3cret",))
    assert ours.message == "[redacted].example: Connection refused"


def test_a_failed_handshake_is_told_in_words_and_not_as_an_error_of_the_system():
    refused = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error = aiohttp.ClientConnectorSSLError(KEY, refused)
    message = seam.translate(error, host="h", connected=False).message
    assert message.startswith("h: TLS fails: ")
    assert "wrong version number" in message


def test_an_exception_without_words_is_named():
    assert "TimeoutError" in seam.translate(TimeoutError(), host="h", connected=True).message


def test_what_cannot_be_decoded_once_the_request_may_be_out_is_no_address():
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    ours = seam.translate(error, host="host.example", connected=True)
    assert (type(ours), ours.code) == (AmbiguousError, "bad_response")
