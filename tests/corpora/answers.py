"""What endpoints may say, and every kind of wrong in it."""

from __future__ import annotations

import gzip
import json
from typing import NamedTuple

from tests.corpora.damage import damaged
from vbatch.endpoint.reply import Reply

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
    "cost": 0.001,
}
_CALL = {"id": "t", "type": "function", "function": {"name": "see", "arguments": '{"a":1}'}}

GOOD = {
    "chat": {
        "id": "c-1",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
        ],
        "usage": USAGE,
    },
    "parts": {"choices": [{"message": {"content": [{"type": "text", "text": {"value": "a"}}]}}]},
    "calls": {"choices": [{"message": {"content": None, "tool_calls": [_CALL]}}], "usage": USAGE},
    "refusal": {"choices": [{"message": {"content": "", "refusal": "no"}}]},
    "legacy": {"choices": [{"text": "a", "finish_reason": "length"}], "usage": None},
    "delta": {"choices": [{"delta": {"content": "a"}}]},
    "envelope": {
        "success": True,
        "message": "",
        "data": "a",
        "request_id": "r",
        "finish_reason": "stop",
        "usage": {"tokens_prompt": 1, "tokens_completion": 2, "tokens_total": 3, "cost": 0.1},
    },
    "wrapped": {"success": True, "data": {"choices": [{"message": {"content": "a"}}]}},
    "responses": {
        "output": [
            {"type": "reasoning", "summary": [{"text": "hmm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "a"}]},
            {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "name": "see", "arguments": "{}"},
        ],
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "usage": {"input_tokens": 1, "output_tokens": 2, "cost_in_usd_ticks": 7},
    },
    "error inside": {
        "error": {"message": "no", "type": "server_error", "code": 500, "param": "x"},
        "choices": [],
    },
    "no success": {"success": False, "error": "no credit", "code": "429", "data": None},
    "error in a choice": {"choices": [{"error": {"code": 502, "message": "gone"}}]},
}

COMPLAINTS = {
    "openai": {"error": {"message": "m", "type": "t", "code": "c", "param": "max_tokens"}},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
    "google": [{"error": {"code": 429, "status": "X", "details": [{"retryDelay": "3s"}]}}],
    "fastapi": {"detail": [{"loc": ["body", "model"], "msg": "m", "type": "missing"}]},
    "azure": {"error": {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    "openrouter": {"error": {"code": 402, "metadata": {"raw": '{"error":{"message":"m"}}'}}},
    "plain": {"message": "Rate limit", "retry_after": 3, "status": 429},
    "text": "too many images",
    "list": ["a", ["b", {"message": "c"}]],
}

ODD = {
    "null": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "a fraction": 1.5,
    "2**70": 2**70,
    "1e300": 1e300,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "empty": "",
    "text": "12",
    "a surrogate": "\ud800a",
    "control characters": "\0\x1b[2J\u202e",
    "an empty list": [],
    "a list": [None, 1, "a", {"text": 5}, [[]]],
    "an empty object": {},
    "an object": {"text": ["a"], "type": ["text"], "code": {}, "value": None, "": 1},
    "deep": json.loads("[" * 300 + "]" * 300),
}

STATUSES = (
    *(200, 201, 204, 301, 307, 400, 401, 402, 403, 404, 405, 407, 408, 409, 413, 415, 422, 425),
    *(429, 451, 499, 500, 501, 502, 503, 504, 520, 521, 524, 529, 599, 600, 999, 100, 0),
)

HEADERS = {
    "retry-after": ("", "-1", "0", "nan", "inf", "1e999", "9" * 400, "soon", "٣", "1_000", "5s",
                    "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 99999 99:99:99 GMT", "-" * 50),
    "retry-after-ms": ("", "-5", "1e400", "5,6", "0x10"),
    "x-ratelimit-reset-requests": ("1m30s", "101ms", "-1s", "9" * 300 + "d", "2026-13-45T99:00Z"),
    "x-ratelimit-remaining-requests": ("0", "-0", "many", "0, 0;w=60"),
    "x-ratelimit-limit-requests": ("0", "-1", "NaN", "1e308"),
    "date": ("", "yesterday", "Wed, 21 Oct 2015 07:28:00", "Mon, 01 Jan 0001 00:00:00 +2359"),
    "x-should-retry": ("FALSE", "true", "perhaps"),
    "x-litellm-response-cost": ("free", "-1", "1e999999", "NaN", "0.1"),
    "location": ("", "javascript:alert(1)", "http://[::1", "x" * 9000),
    "content-type": ("", "text/html; charset=\x00", "application/json; charset=utf-16"),
    "x-request-id": ("", "r" * 9000, "\ud800"),
}  # fmt: skip


class Heard(NamedTuple):
    """A reply that may be read in any way."""

    name: str
    reply: Reply


def heard(name, body, status=200, headers=None):
    """``body`` as it would come from an endpoint."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Heard(f"{name}, HTTP {status}", Reply(status=status, headers=headers or {}, body=raw))


def swapped():
    """Every value in every good answer and complaint, swapped for each odd one or left out."""
    for name, document in {**GOOD, **COMPLAINTS}.items():
        status = 200 if name in GOOD else 429
        for place in places(document):
            for what, value in ODD.items():
                changed = replaced(document, place, value)
                yield heard(f"{name} with {what} at {place}", changed, status)
            yield heard(f"{name} without {place}", replaced(document, place), status)


def places(value, before=()):
    """The way to each value below ``value``."""
    if not isinstance(value, (dict, list)):
        return
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*before, key)
        yield from places(one, (*before, key))


def replaced(document, place, *values):
    """A copy with another value at ``place``, or none there."""
    copy = json.loads(json.dumps(document))
    *way, last = place
    holder = copy
    for key in way:
        holder = holder[key]
    if values:
        holder[last] = values[0]
    else:
        del holder[last]
    return copy


def bodies():
    """Bytes that are no JSON, or hardly any, under statuses that say so or not."""
    for name, document in {**GOOD, **COMPLAINTS}.items():
        for case in damaged(name, json.dumps(document).encode(), cuts=6, flips=6, splices=6):
            yield heard(case.name, case.data, 200 if name in GOOD else 400)
    for name, body in _BODIES.items():
        for status in (200, 400, 429, 500):
            yield heard(name, body, status)


_CHAT = json.dumps(GOOD["chat"]).encode()
_BODIES = {
    "nothing": b"",
    "blanks": b" \r\n\t",
    "a page": b"<html><title>502</title><script>1</script><body>Bad gateway</body></html>",
    "a page without end": b"<" * 20_000,
    "scripts without end": b"<script>" * 5000,
    "a mark": b"\xef\xbb\xbf",
    "marked": b"\xef\xbb\xbf" + _CHAT,
    "UTF-16": _CHAT.decode().encode("utf-16"),
    "Latin-1": '{"choices":[{"message":{"content":"größe"}}]}'.encode("latin-1"),
    "packed": gzip.compress(_CHAT),
    "NULs": bytes(3000),
    "events": b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n',
    "two answers": _CHAT + b"\n" + _CHAT,
    "an answer and more": _CHAT + b"garbage",
    "a list": b"[" + _CHAT + b"," + _CHAT + b"]",
    "a list of lists": b"[[[" + _CHAT + b"]]]",
    "a number": b"5",
    "a long number": b"9" * 5000,
    "a long number inside": b'{"choices":[],"n":' + b"9" * 5000 + b"}",
    "a text": b'"answer"',
    "NaN": b"NaN",
    "nested": b"[" * 100_000,
    "nested objects": b'{"data":' * 3000 + b"1" + b"}" * 3000,
    "nested data": b'{"data":' * 1000 + b"1" + b"}" * 1000,
    "nested choices": b'{"choices":[' * 900 + b"]}" * 900,
    "errors inside errors": b'{"error":' * 900 + b'"x"' + b"}" * 900,
    "errors in texts": json.dumps({"error": {"metadata": {"raw": '{"raw":' * 400}}}).encode(),
    "a thousand choices": json.dumps({"choices": [{}] * 1000}).encode(),
    "many keys": json.dumps({f"k{n}": n for n in range(20_000)}).encode(),
    "many errors": json.dumps({"errors": [{"message": f"m{n}"} for n in range(20_000)]}).encode(),
    "keys twice": b'{"choices":[],"choices":[{"message":{"content":"a"}}]}',
    "surrogates as key": b'{"\\ud800":1,"error":{"\\udfff":"\\ud800"}}',
    "a long word": json.dumps({"error": "a" * 500_000}).encode(),
    "many numbers": json.dumps({"error": "1 2 3 " * 50_000}).encode(),
}


def statuses():
    """Every status with every complaint and good answer."""
    for status in STATUSES:
        for name, document in {**GOOD, **COMPLAINTS}.items():
            yield heard(name, document, status)


def headers():
    """Odd headers beside an answer and beside refusals."""
    for header, values in HEADERS.items():
        for value in values:
            for status, document in ((200, GOOD["chat"]), (429, COMPLAINTS["plain"]), (503, {})):
                yield heard(f"{header}: {value[:30]!r}", document, status, {header: value})
