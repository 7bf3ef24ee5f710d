"""The table's rows about answers with status 200 or 201 that are not plainly an answer."""

from __future__ import annotations

from typing import Any

from tests.faults.expected import Fault, failed, kept, maybe, refused, row, stop, throttled
from tests.faults.network import PATIENT, WRONG_URL
from tests.faults.wire import USAGE, chat, says

SAW = "saw $PROMPT, asked with $KEY"
PAGE = "<!doctype html><html><title>Login</title><body>Sign in, $KEY</body></html>"
FEW_TOKENS = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}
DEEP = b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
LONG = b'{"choices": [], "created": ' + b"9" * 5_000 + b"}"
HALF = '"half a character: \\ud800, for $PROMPT, asked with $ESCAPED"'


def unreadable(name: str, shows: str, body: Any, status: int = 200) -> Fault:
    """Not JSON, or JSON that is no answer: asked again, and five in a row mean a wrong address."""
    return maybe(
        name,
        shows,
        says(body, status),
        "bad_response",
        status,
        everywhere=WRONG_URL,
        job_everywhere=PATIENT,
    )


UNREADABLE = (
    unreadable("HTML page", "A web page", PAGE),
    unreadable("HTML page, 201", "A web page, with status 201", PAGE, 201),
    unreadable("empty body", "No body at all", b""),
    unreadable("blank body", "Blanks and line ends", b" \r\n\r\n "),
    unreadable("plain text", "Text that is no JSON", b"All is well with $KEY."),
    maybe(
        "JSON cut short", "Half of a JSON text", says(b'{"choices": [{"mess'), "bad_response", 200
    ),
    maybe(
        "a JSON string", "A JSON string instead of an object", says(b'"$KEY"'), "bad_response", 200
    ),
    maybe("a JSON number", "A JSON number instead of an object", says(b"200"), "bad_response", 200),
    maybe("JSON null", "`null` instead of an object", says(b"null"), "bad_response", 200),
    maybe("an empty JSON list", "An empty JSON list", says(b"[]"), "bad_response", 200),
    maybe("not UTF-8", "JSON in UTF-16", says('{"a": 1}'.encode("utf-16")), "bad_response", 200),
    row(
        "deep nesting",
        "JSON nested 100,000 deep",
        says(DEEP),
        "bad_response",
        says="cannot be held: nested too deeply",
    ),
    row(
        "a number of 5,000 digits",
        "JSON with a number of 5,000 digits",
        says(LONG),
        "bad_response",
        says="cannot be held: an integer of thousands of digits",
    ),
)


def shaped(name: str, shows: str, body: Any, status: int = 200, **columns: Any) -> Fault:
    """Another shape of the same answer."""
    given = {"text": SAW, "finish_reason": "stop", "total_tokens": 12} | columns
    return kept(name, shows, says(body, status), **given)


_TEXT_PART = [
    {"type": "text", "text": "saw $PROMPT, "},
    {"type": "text", "text": "asked with $KEY"},
]
_OUTPUT = [
    {"type": "reasoning", "summary": [{"text": "hm"}]},
    {"type": "message", "content": [{"type": "output_text", "text": SAW}]},
]
_ENVELOPE = {"request_id": "r-$KEY", "success": True, "message": "", "finish_reason": "stop"}
_SPENT = {"tokens_prompt": 9, "tokens_completion": 3, "tokens_total": 12, "cost": 0.01}

SHAPES = (
    shaped("201", "An answer with status 201", chat(), 201, profile="aimlapi"),
    shaped(
        "text in an envelope",
        "`data` is the text",
        {**_ENVELOPE, "data": SAW, "usage": _SPENT},
        profile="indoxhub",
        cost=0.01,
        response_id="r-[redacted]",
    ),
    shaped(
        "answer in an envelope",
        "`data` is the answer",
        {**_ENVELOPE, "data": chat()},
        profile="indoxhub",
    ),
    shaped(
        "output in an envelope",
        "`data.output` is a list of items",
        {**_ENVELOPE, "data": {"output": _OUTPUT}, "usage": _SPENT},
        profile="indoxhub",
    ),
    shaped(
        "list of output items",
        "`output` is a list of items",
        {"output": _OUTPUT, "status": "completed", "usage": USAGE},
        finish_reason="completed",
    ),
    shaped("list of parts", "`content` is a list of parts", chat(_TEXT_PART)),
    shaped(
        "legacy text",
        "`text` instead of a message",
        {"choices": [{"text": SAW, "finish_reason": "stop"}], "usage": USAGE},
    ),
    shaped("list of one", "A list with the answer in it", [chat()]),
    shaped("data of one", "`data` is a list with the answer in it", {"data": [chat()]}),
    shaped(
        "data of output items",
        "`data` is a list of items",
        {**_ENVELOPE, "data": _OUTPUT, "usage": _SPENT},
        profile="indoxhub",
    ),
    shaped(
        "an error that is none",
        '`error` is `{"code": 0, "message": "success"}`',
        chat() | {"error": {"code": 0, "message": "success"}},
    ),
)


def inside(error: Any, **more: Any) -> Any:
    """An error inside a 200."""
    return says({"error": error, **more})


INSIDE = (
    throttled("429 inside", "`error.code` 429", inside({"code": 429, "message": "slow, $KEY"})),
    refused(
        "503 inside",
        "`error.code` 503",
        inside({"code": "503", "message": "no, $KEY"}),
        "server_error",
        200,
    ),
    refused(
        "overloaded inside",
        "`error.type` overloaded_error",
        inside({"type": "overloaded_error", "message": "busy"}),
        "server_error",
        200,
    ),
    maybe(
        "502 inside",
        "`error.code` 502",
        inside({"code": 502, "message": "upstream, $KEY"}),
        "server_error",
        200,
    ),
    maybe("504 inside", "`status` 504", inside("no, $KEY", status=504), "timeout", 200),
    maybe(
        "an error without a number",
        "`error.message` only",
        inside({"message": "error 429 in row 401, $KEY"}),
        "server_error",
        200,
    ),
    maybe(
        "success: false",
        "`success` is false",
        says({**_ENVELOPE, "success": False, "message": "broken, $KEY"}),
        "server_error",
        200,
        profile="indoxhub",
    ),
    maybe(
        "an error in a choice",
        "`choices[0].error` without a number",
        says({"choices": [{"error": {"message": "gone"}, "message": None}], "usage": USAGE}),
        "server_error",
        200,
        for_good=failed(
            "server_error",
            attempts=3,
            billed=3,
            status=200,
            columns={"prompt_tokens": 27, "completion_tokens": 9},
        ),
    ),
    row(
        "400 inside",
        "`error.code` 400",
        inside({"code": 400, "message": "bad, $KEY"}),
        "invalid_request",
        says="error 400 inside: bad, [redacted]",
    ),
    row(
        "content_filter inside",
        "`error.code` content_filter",
        inside({"code": "content_filter", "message": "flagged"}),
        "content_filtered",
        columns={"provider_code": "content_filter"},
    ),
    stop(
        "401 inside",
        "`error.code` 401",
        inside({"code": 401, "message": "key $KEY is not ours"}),
        4,
        "authentication",
        "endpoint.api_key_env",
    ),
    stop("402 inside", "`error.code` 402", inside({"code": 402}), 4, "quota", "needs credit"),
    stop(
        "insufficient_quota inside",
        "`error.code` insufficient_quota",
        inside({"code": "insufficient_quota", "message": "empty"}),
        4,
        "quota",
        "needs credit",
    ),
    stop(
        "model_not_found inside",
        "`error.code` model_not_found",
        inside({"code": "model_not_found", "message": "no such model"}),
        4,
        "model_not_found",
        "`vbatch models`",
    ),
)


def empty(name: str, shows: str, body: Any) -> Fault:
    """Paid for, and nothing in it: its tokens are counted as wasted."""
    spent = {"prompt_tokens": 9, "completion_tokens": 3}
    return row(name, shows, says(body), "empty_answer", says="no text and no tool", columns=spent)


EMPTY = (
    empty("no choices", "`choices` is empty", chat() | {"choices": []}),
    empty("no content", "`content` is null, and no tool is called", chat(None)),
    empty("no parts", "`content` is an empty list", chat([])),
    empty(
        "only thoughts", "`content` is thoughts alone", chat([{"type": "thinking", "text": "hm"}])
    ),
)


def ended(reason: str | None, shows: str, content: Any = SAW, **message: Any) -> Fault:
    """An answer that ended in another way than by itself: kept, and counted in the closing line."""
    refusal = message.get("refusal")
    counted = "refusal" if refusal else reason or "no finish reason"
    return kept(
        f"ended: {counted}",
        shows,
        says(chat(content, reason, **message)),
        line=f"answers that ended early: 1 {counted}",
        text=content,
        finish_reason=reason,
        refusal=refusal,
        total_tokens=12,
    )


ENDINGS = (
    ended("length", "The token cap cut the answer"),
    ended("content_filter", "The gateway's filter cut the answer"),
    ended("stop", "The model refuses", None, refusal="I do not look at $PROMPT with $KEY."),
    ended("a_new_reason", "A finish reason nobody knows"),
    ended(None, "No finish reason"),
    kept(
        "a tool call",
        "No text, but a tool is called",
        says(chat(None, "tool_calls", tool_calls=[{"id": "t", "arguments": "$KEY"}])),
        text=None,
        tool_calls='[{"id":"t","arguments":"[redacted]"}]',
        finish_reason="tool_calls",
    ),
    kept("an empty text", "The text is there, and empty", says(chat("")), text=""),
)


def unreported(name: str, shows: str, usage: Any, **columns: Any) -> Fault:
    """Kept; what is not known is null, and the run's total is a lower bound."""
    fewer = FEW_TOKENS | columns
    return kept(name, shows, says(chat() | {"usage": usage}), line="≥ ", text=SAW, **fewer)


USAGES = (
    unreported("no usage", "`usage` is null", None),
    unreported("usage is a list", "`usage` is a list", [9, 3]),
    unreported(
        "odd counts",
        "Counts of 1.5, -1, true and 2**70",
        {
            "prompt_tokens": 1.5,
            "completion_tokens": -1,
            "total_tokens": 2**70,
            "reasoning_tokens": True,
        },
        reasoning_tokens=None,
    ),
    kept(
        "counts as text",
        'Counts as text, as in "12", or as 12.0',
        says(chat() | {"usage": {"prompt_tokens": "9", "completion_tokens": 3.0}}),
        prompt_tokens=9,
        completion_tokens=3,
        total_tokens=12,
    ),
)

ODDITIES = (
    kept(
        "half a character",
        "A lone surrogate in the text",
        says(
            b'{"id": 7, "choices": [{"message": {"content": '
            + HALF.encode()
            + b'}, "finish_reason": "stop"}]}'
        ),
        text="half a character: \ufffd, for $PROMPT, asked with $KEY",
        response_id="7",
    ),
    kept(
        "numbers where text belongs",
        "`id` is 2**64 - 1, `model` is 1.5, `finish_reason` is an object",
        says(chat(SAW, {"why": "$KEY"}) | {"id": 2**64 - 1, "model": 1.5}),
        text=SAW,
        response_id=str(2**64 - 1),
        model="1.5",
        finish_reason='{"why":"[redacted]"}',
    ),
    kept("a number as the text", "`content` is 12", says(chat(12)), text="12"),
    kept(
        "control characters",
        "Control characters in the text",
        says(chat("\x1b[31m$PROMPT\x00\x07 $KEY")),
        text="\x1b[31m$PROMPT\x00\x07 $KEY",
    ),
)
