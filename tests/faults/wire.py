"""What a fault puts on the wire, as data: bytes, and what becomes of the connection.

``$KEY`` and ``$PROMPT`` in what is sent stand for the key that came with the request and for the
prompt it asked about, ``$ESCAPED`` for the key as it stands in JSON. Whatever has room for it says
the key back, as some gateways do.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

Then = Literal["keep", "close", "reset", "hang", "drip", "flood", "stray", "cut_together", "race"]
"""After sending: the connection goes on, ends with FIN or with RST, falls silent, drips a byte now
and then, is flooded, brings an answer that nobody asked for, is cut together with two others, or
ends with the next request unread."""

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as the server saw it."""

    prompt: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Wire:
    """What is sent as an answer to a request, and what follows."""

    send: Callable[[Asked], bytes]
    then: Then = "keep"

    def cut(self, share: float, then: Then = "close") -> Wire:
        """The head and so much of the body, then the end."""

        def send(asked: Asked) -> bytes:
            head, body = self.send(asked).split(b"\r\n\r\n", 1)
            return head + b"\r\n\r\n" + body[: int(len(body) * share)]

        return replace(self, send=send, then=then)


def chat(content: Any = "saw $PROMPT, asked with $KEY", finish_reason: Any = "stop", **message):
    """A chat completion; further words go into its message."""
    message = {"role": "assistant", "content": content, **message}
    return {
        "id": "chat-$KEY",
        "object": "chat.completion",
        "model": "gpt-4o-$KEY",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": USAGE,
    }


def says(body: Any, status: int = 200, **headers: str) -> Wire:
    """A whole answer; a dict or list is sent as JSON."""
    kind = "text/html" if isinstance(body, str) else "application/json"
    given = {"content-type": kind, "x-request-id": "req-$KEY", "x-echo": "Bearer $KEY"}
    named = {n if "-" in n else n.replace("_", "-"): value for n, value in headers.items()}
    return Wire(send=lambda asked: _http(status, given | named, _body(body, asked), asked))


def refuses(status: int, message: str = "No.", code: Any = None, **headers: str) -> Wire:
    """An error in OpenAI's form."""
    error = {"message": f"{message} ($KEY)", "type": "error", "param": None, "code": code}
    return says({"error": error}, status, **headers)


def raw(text: str | bytes, then: Then = "close") -> Wire:
    """These very bytes."""
    data = text if isinstance(text, bytes) else text.encode()
    return Wire(send=lambda asked: _filled(data, asked), then=then)


def nothing(then: Then) -> Wire:
    """Not a byte."""
    return raw(b"", then)


def chunked(body: bytes, then: Then = "close", head: str = "") -> Wire:
    """An answer in chunks of which the last never comes."""
    start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}"
    sized = b"%x\r\n%b\r\n" % (len(body), body)
    return raw(f"{start}transfer-encoding: chunked\r\n\r\n".encode() + sized, then)


def zipped(share: float = 1.0) -> Wire:
    """A good answer compressed, of which so much comes; its length is the honest one."""

    def send(asked: Asked) -> bytes:
        whole = gzip.compress(_body(chat(), asked))
        return _http(200, {"content-encoding": "gzip"}, whole[: int(len(whole) * share)], asked)

    return Wire(send=send)


def bomb(size: int) -> Wire:
    """``size`` bytes of blanks, compressed to a thousandth."""
    return Wire(send=lambda asked: _http(200, {"content-encoding": "gzip"}, _pressed(size), asked))


def old_style(share: float) -> Wire:
    """HTTP/1.0: no length, the end of the connection is the end of the answer."""

    def send(asked: Asked) -> bytes:
        body = _body(chat(), asked)
        return b"HTTP/1.0 200 OK\r\n\r\n" + body[: int(len(body) * share)]

    return Wire(send=send, then="close")


@cache
def _pressed(size: int) -> bytes:
    press = zlib.compressobj(9, wbits=31)
    return b"".join(press.compress(b" " * 2**20) for _ in range(size // 2**20)) + press.flush()


def _http(status: int, headers: dict[str, str], body: bytes, asked: Asked) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} Said", *lines, f"content-length: {len(body)}", "", ""])
    return _filled(head.encode(), asked) + body


def _body(body: Any, asked: Asked) -> bytes:
    if isinstance(body, bytes):
        return _filled(body, asked)
    if isinstance(body, str):
        return _filled(f"{body}<!-- {html.escape(asked.key)} -->".encode(), asked)
    if isinstance(body, dict):
        basic = base64.b64encode(f"vbatch:{asked.key}".encode()).decode()
        percent = f"https://pay.example/?key={quote(asked.key, safe='')}"
        seen = {"authorization": "Bearer $KEY", "basic": basic, "top_up": percent}
        body = body | {"you_sent": {**seen, "again": json.dumps(asked.key)}}
    return json.dumps(_deep(body, asked)).encode()


def _filled(data: bytes, asked: Asked) -> bytes:
    escaped = json.dumps(asked.key)[1:-1]
    for name, value in (("$KEY", asked.key), ("$ESCAPED", escaped), ("$PROMPT", asked.prompt)):
        data = data.replace(name.encode(), value.encode())
    return data


def _deep(value: Any, asked: Asked) -> Any:
    match value:
        case str():
            return value.replace("$KEY", asked.key).replace("$PROMPT", asked.prompt)
        case list():
            return [_deep(one, asked) for one in value]
        case dict():
            return {key: _deep(one, asked) for key, one in value.items()}
    return value


HEALTHY = says(chat())
