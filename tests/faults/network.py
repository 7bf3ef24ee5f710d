"""The table's rows about the network: what goes wrong below an answer."""

from __future__ import annotations

from dataclasses import replace

from tests.faults.expected import Fault, Outcome, answered, maybe, row, stop, stopped
from tests.faults.wire import (
    HEALTHY,
    bomb,
    chat,
    chunked,
    nothing,
    old_style,
    raw,
    refuses,
    says,
    zipped,
)

WRONG_URL = stopped(2, "wrong_url", "is the URL right?", requests=5, billed=5)
OUTAGE = {"retry": {"max_wait": "500ms", "max_outage": "1s"}}
PATIENT = {"retry": {"max_wait": "30s"}}
SHORT = {"retry": {"timeout": "800ms"}}


def unreached(name: str, shows: str, place: str, says: str) -> Fault:
    """Certainly never sent: tried again as long as it takes, and counted against no row."""
    return Fault(
        name=name,
        shows=shows,
        costs="free",
        place=place,
        once=answered(2),
        everywhere=Outcome(
            ends="stopped",
            code="connection",
            exit_code=5,
            says="cannot be reached",
            line=says,
            requests=5,
        ),
    )


def silent(outcome_requests: int, code: str = "outage") -> Outcome:
    """Ten rows meet it, then one last look, then the run gives up."""
    return stopped(5, code, "the endpoint has given no answer for", requests=outcome_requests)


UNREACHED = (
    unreached("no such host", "The host's name is not known to DNS", "dns", "not known"),
    unreached("connection refused", "Nobody listens on that port", "port", "Connection refused"),
    unreached(
        "connect timeout",
        "The host never says yes to a connection",
        "backlog",
        "Connection timeout to host",
    ),
    unreached("no TLS", "An `https://` address that does not speak TLS", "greeting", "TLS fails"),
    unreached(
        "proxy builds no tunnel",
        "The proxy refuses to connect to an `https://` endpoint",
        "tunnel",
        "the proxy builds no tunnel (HTTP 502)",
    ),
    stop(
        "certificate refused",
        "The certificate is self-signed, or another host's",
        None,
        4,
        "certificate",
        "its certificate is not trusted",
        place="certificate",
    ),
)

BROKEN = (
    maybe(
        "closed before any byte",
        "Closed before a single byte of an answer",
        nothing("close"),
        "connection",
    ),
    Fault(
        name="keep-alive race",
        shows="A connection that was kept is closed just as the next request is sent over it",
        costs="maybe",
        place="race",
        wire=replace(HEALTHY, then="race"),
        once=answered(2, billed=1),
    ),
    maybe("reset before any byte", "The connection is reset", nothing("reset"), "connection"),
    maybe(
        "reset within the body",
        "Half an answer, then the connection is reset",
        HEALTHY.cut(0.5, "reset"),
        "connection",
    ),
    maybe(
        "body cut short",
        "Half of the announced bytes, then the end",
        HEALTHY.cut(0.5),
        "connection",
    ),
    maybe(
        "head cut short",
        "The end comes within the headers",
        raw("HTTP/1.1 200 OK\r\ncontent-type: appl"),
        "connection",
    ),
    maybe("chunks cut short", "The last chunk never comes", chunked(b'{"id":'), "connection"),
    maybe(
        "silence",
        "Not a byte within `retry.timeout`",
        nothing("hang"),
        "timeout",
        job=SHORT,
    ),
    maybe(
        "silence within the body",
        "Half an answer, then nothing within `retry.timeout`",
        HEALTHY.cut(0.5, "hang"),
        "timeout",
        job=SHORT,
        for_good=None,
    ),
    maybe(
        "drips",
        "A byte now and then, and no end within `retry.timeout`",
        chunked(b"{", "drip"),
        "timeout",
        job=SHORT,
        for_good=None,
    ),
    Fault(
        name="the same time each",
        shows="Three attempts are cut off after the same time",
        costs="maybe",
        place="cut",
        wire=nothing("cut_together"),
        once=answered(2, billed=3, line="the gateway cuts at about 1 s"),
    ),
)

GARBLED = (
    maybe(
        "HTTP/1.0 body cut",
        "Half an answer of HTTP/1.0, which has no length: it looks whole, and is no JSON",
        old_style(0.5),
        "bad_response",
        200,
        everywhere=WRONG_URL,
        job_everywhere=PATIENT,
    ),
    maybe(
        "gzip cut",
        "Half a compressed answer: it unpacks without an error, and is no JSON",
        zipped(0.5),
        "bad_response",
        200,
    ),
    maybe(
        "no gzip",
        "Said to be compressed, and is not",
        says("plain", content_encoding="gzip"),
        "bad_response",
    ),
    maybe(
        "malformed status line",
        "The first line is no status line",
        raw("HTTP/1.1 OK 200 $KEY\r\n\r\n"),
        "bad_response",
        everywhere=WRONG_URL,
        job_everywhere=PATIENT,
    ),
    maybe(
        "malformed header",
        "A header without a colon",
        raw("HTTP/1.1 200 OK\r\n$KEY\r\n\r\n"),
        "bad_response",
    ),
    maybe(
        "endless header",
        "A header of 64 KiB",
        raw("HTTP/1.1 200 OK\r\nx-long: " + "a" * 65_536 + "\r\n\r\n"),
        "bad_response",
    ),
    maybe(
        "malformed chunk",
        "A chunk whose size is no number",
        raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsome\r\n{}\r\n"),
        "bad_response",
    ),
    maybe(
        "another protocol",
        "What answers speaks no HTTP",
        raw("SSH-2.0-OpenSSH_9.9\r\n"),
        "bad_response",
    ),
)

OVERSIZED = (
    row(
        "gzip bomb",
        "Some kilobytes that unpack to 64 MB",
        bomb(64 * 2**20),
        "response_too_large",
        says="larger than 16,777,216 bytes",
    ),
    row(
        "endless body",
        "A body without end",
        chunked(b" ", "flood"),
        "response_too_large",
        says="larger than 16,777,216 bytes",
    ),
    row(
        "large body",
        "A body of 17 MB, honestly announced",
        says(b" " * 17 * 2**20),
        "response_too_large",
        says="larger than 16,777,216 bytes",
    ),
)

STRAYS = (
    Fault(
        name="an answer that nobody asked for",
        shows="A second answer comes over the same connection",
        costs="kept",
        wire=replace(HEALTHY, then="stray"),
        once=answered(line="came on a connection that brought answers nobody asked for"),
    ),
    Fault(
        name="closes after each answer",
        shows="The connection is closed after an answer, as announced",
        costs="kept",
        wire=replace(says(chat(), connection="close"), then="close"),
        once=answered(),
    ),
)

REDIRECTS = tuple(
    stop(
        f"HTTP {status}",
        f"A redirect ({status}) to another address",
        says(b"", status, location="https://new.example/v1?key=$KEY"),
        4,
        "redirect",
        "the endpoint sends us to https://new.example/v1",
    )
    for status in (300, 301, 302, 303, 304, 307, 308)
)

PROXY = (
    stop(
        "HTTP 407",
        "The proxy asks for a login",
        refuses(407, "Proxy authentication required."),
        4,
        "authentication",
        "the proxy asks for a login",
    ),
)

KEYS = tuple(
    stop(
        f"key {what}",
        f"The variable that holds the key is {shown}",
        None,
        2,
        "",
        says_what,
        place="key",
    )
    for what, shown, says_what in (
        ("not set", "not set", "is not set"),
        ("empty", "empty", "is empty"),
        ("of two lines", "of two lines", "holds no API key that can be sent"),
        (
            "with a control character",
            "text with a control character in it",
            "holds no API key that can be sent",
        ),
        ("with blanks", "text with blanks in it", "holds no API key that can be sent"),
        ("not ASCII", "not ASCII", "holds no API key that can be sent"),
    )
)
