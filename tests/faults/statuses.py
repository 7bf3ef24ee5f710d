"""The table's rows about statuses: what each of them means, and the words that change it."""

from __future__ import annotations

from typing import Any

from tests.faults.expected import (
    Fault,
    failed,
    maybe,
    mended,
    refused,
    row,
    stop,
    stopped,
)
from tests.faults.network import OUTAGE, silent
from tests.faults.wire import refuses, says

ALL_ALIKE = stopped(
    4, "invalid_request", "the first 20 rows were all refused alike", requests=20, failed=20
)
SEND_URLS = {"images": {"send": "url"}}
CAPPED = {"request": {"max_tokens": 50}}


def error(message: str = "", code: Any = None, kind: str = "invalid_request_error", **more: Any):
    """OpenAI's error object."""
    return {"error": {"message": f"{message} $KEY", "type": kind, "code": code, **more}}


REFUSALS = (
    *(
        row(
            f"HTTP {status}",
            f"Refused with {status}, without a reason that we know",
            refuses(status, "Bad picture."),
            "invalid_request",
            status,
            says=f"HTTP {status}: Bad picture.",
            columns={"request_id": "req-[redacted]"},
            everywhere=ALL_ALIKE,
            rows=30,
        )
        for status in (400, 422)
    ),
    row("HTTP 418", "Any other 4xx", refuses(418), "invalid_request", 418),
    row(
        "failed to load image",
        "A 500 by which a server of one's own says that it cannot read an image",
        refuses(500, "Failed to load image or audio file"),
        "invalid_request",
        500,
    ),
    row(
        "a list of complaints",
        "FastAPI's list under `detail`",
        says({"detail": [{"loc": ["body", "n"], "msg": "bad n, $KEY", "type": "value"}]}, 422),
        "invalid_request",
        422,
        says="bad n, [redacted]",
    ),
    row(
        "numbers in the message",
        "A 400 that mentions 401, 429 and 503 in its words",
        refuses(400, "error 401 429 in row 503"),
        "invalid_request",
        400,
    ),
)

WRONG_ADDRESS = tuple(
    row(
        f"HTTP {status}",
        f"Refused with {status}",
        says({"detail": "Not Found, $KEY"}, status),
        "invalid_request",
        status,
        says="is endpoint.base_url right?",
        first=stopped(2, "wrong_url", "is the URL right?"),
    )
    for status in (404, 405, 406, 410, 415)
)


def _shown(status: int, name: str) -> str:
    return f"{status}, whatever the body" if name.startswith("HTTP") else f"{status}: {name}"


def money(name: str, status: int, body: Any, profile: str = "openai", **headers: str) -> Fault:
    """The account is empty: no row can be answered."""
    shows = _shown(status, name)
    wire = says(body, status, **headers)
    return stop(name, shows, wire, 4, "quota", "needs credit", profile=profile)


MONEY = (
    money("HTTP 402", 402, {"detail": "Pay first, $KEY"}),
    money("insufficient credits", 402, {"detail": "Insufficient credits"}, "indoxhub"),
    money("the key's budget is spent", 402, error("The key's budget is spent", "budget"), "flexai"),
    money("insufficient_quota", 429, error("You exceeded your quota", "insufficient_quota")),
    money("current quota", 429, error("You exceeded your current quota, check your plan")),
    money("credit balance", 400, error("Your credit balance is too low")),
    money("usage limits", 400, error("You have reached your specified API usage limits")),
    money("spend limit", 429, {"detail": "Monthly spend limit reached, $KEY"}),
    money("billing hard limit", 429, error("Billing hard limit has been reached")),
    money("budget exceeded", 400, error("Budget has been exceeded! Cost: 1.2", None, "budget")),
    money("out of credit", 403, {"code": "denied", "error": "You are out of credits, $KEY"}),
    money("a limit of 0", 429, {"message": "no"}, x_ratelimit_limit_tokens="0", retry_after="5"),
)


def key(name: str, status: int, body: Any) -> Fault:
    """The key is wrong, or may not do this."""
    shows = _shown(status, name)
    return stop(name, shows, says(body, status), 4, "authentication", "endpoint.api_key_env")


KEYS = (
    key("HTTP 401", 401, error("Incorrect API key provided: $KEY.", "invalid_api_key")),
    key("not a word", 401, b""),
    key("anything else", 403, error("You may not use this project", kind="permission_error")),
    key("a web page", 403, "<html><title>Forbidden</title>$KEY</html>"),
    key("API key not valid", 400, [{"error": {"code": 400, "message": "API key not valid. $KEY"}}]),
    key("incorrect API key", 400, {"code": "invalid argument", "error": "Incorrect API key $KEY"}),
    key("invalid_api_key", 422, {"detail": "invalid_api_key $KEY"}),
)


def model(name: str, status: int, body: Any) -> Fault:
    """There is no such model."""
    shows = _shown(status, name)
    return stop(name, shows, says(body, status), 4, "model_not_found", "asked for model 'gpt-4o'")


def blind(name: str, status: int, body: Any) -> Fault:
    """There is such a model, and it sees no images."""
    shows = _shown(status, name)
    return stop(name, shows, says(body, status), 4, "model_not_found", "'gpt-4o' sees no images")


_ANTHROPICS = {"type": "not_found_error", "message": "model: gpt-4o"}

MODELS = (
    model("model_not_found", 404, error("no", "model_not_found")),
    model("does not exist", 404, error("The model `gpt-4o` does not exist")),
    model("not found, try pulling it", 404, error('model "gpt-4o" not found, try pulling it')),
    model("models/… is not found", 404, [{"error": {"message": "models/gpt-4o is not found"}}]),
    model("not a valid model ID", 400, error("gpt-4o is not a valid model ID")),
    model("no endpoints found", 404, error("No endpoints found that support image input")),
    model("no access to the model", 403, error("no access to it", "model_not_found")),
    model("not_found_error", 404, {"type": "error", "error": _ANTHROPICS}),
    model("inaccessible", 404, error("Model not found, inaccessible, and/or not deployed")),
    blind("is not a multimodal model", 400, error("gpt-4o is not a multimodal model", 400)),
    blind("does not support image input", 400, error("this model does not support image input")),
    blind("image input is not supported", 500, error("image input is not supported", 500)),
)


def moderated(name: str, status: int, body: Any) -> Fault:
    """This picture or prompt is not wanted there."""
    return row(name, f"{status}: {name}", says(body, status), "content_filtered", status)


MODERATION = (
    moderated(
        "input was flagged",
        403,
        error("Your input was flagged", 403, metadata={"reasons": ["violence"]}),
    ),
    moderated("moderation_blocked", 403, error("no", "moderation_blocked")),
    moderated("content_filter", 400, error("The response was filtered", "content_filter")),
    moderated("content policy", 400, error("no", "content_policy_violation")),
    moderated("usage guidelines", 403, {"code": "x", "error": "Content violates usage guidelines"}),
)

UNFETCHED = tuple(
    row(
        name,
        f"400: {name}",
        says(body, 400),
        "image_unreachable",
        400,
        job=SEND_URLS,
        everywhere=failed("image_unreachable", requests=25)
        if name == "invalid_image_url"
        else None,
        rows=25 if name == "invalid_image_url" else 12,
    )
    for name, body in (
        ("invalid_image_url", error("no", "invalid_image_url")),
        ("could not fetch", error("Could not fetch the image")),
        ("unable to download", {"detail": "Unable to download image from URL, $KEY"}),
    )
)


def oversized(
    name: str, status: int, body: Any, code: str = "request_too_large", profile: str = "openai"
) -> Fault:
    """Sent once more with smaller pictures, and so from then on."""
    told = {"says": "bytes were sent)"} if code == "request_too_large" else {}
    for_good = failed(code, attempts=2, status=status, **told)
    wire = says(body, status)
    shows = _shown(status, name)
    return mended(name, shows, wire, code, status, for_good=for_good, profile=profile)


OVERSIZED = (
    oversized("HTTP 413", 413, "<h1>Request Entity Too Large</h1>"),
    oversized("image too large", 400, error("Image too large")),
    oversized(
        "resolution is too high",
        400,
        error("The image resolution is too high, at most 8"),
        profile="infinityblue",
    ),
    oversized(
        "exceeds a byte cap",
        400,
        error("request exceeds the cap of 20000000 bytes"),
        profile="infinityblue",
    ),
    oversized("image exceeds 5 MB", 400, error("image exceeds 5 MB maximum: 6 bytes > 5 bytes")),
    oversized("too many images", 400, error("Too many images"), "too_many_images", "infinityblue"),
    oversized(
        "at most 1 image", 400, error("At most 1 image(s) may be provided"), "too_many_images"
    ),
    row(
        "can never fit",
        "429 whose limit is below this one request: Limit 30000, Requested 31538",
        refuses(429, "Request too large: Limit 30000, Requested 31538."),
        "request_too_large",
        429,
    ),
    row(
        "context length",
        "400: longer than the model's context",
        says(error("This model's maximum context length is 8192", "context_length_exceeded"), 400),
        "request_too_large",
        400,
    ),
)

FIELDS = (
    mended(
        "max_tokens is not supported",
        "400: the token cap has another name for this model",
        says(
            error(
                "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                "unsupported_parameter",
                param="max_tokens",
            ),
            400,
        ),
        "invalid_request",
        400,
        job=CAPPED,
    ),
)

MAYBE = (
    *(
        maybe(f"HTTP {status}", f"{status}, whatever the body", refuses(status), code, status)
        for status, code in (
            (408, "timeout"),
            (504, "timeout"),
            (524, "timeout"),
            (520, "server_error"),
            (501, "server_error"),
            (599, "server_error"),
        )
    ),
    maybe(
        "told to wait, maybe billed",
        "504 with `retry-after: 0.3`",
        refuses(504, retry_after="0.3"),
        "timeout",
        504,
        least_s=0.3,
    ),
    Fault(
        name="told to wait for long, maybe billed",
        shows="504 with `retry-after: 3600`",
        costs="maybe",
        wire=refuses(504, retry_after="3600"),
        once=stopped(5, "rate_limited", "the endpoint asked to wait 60 min", billed=1),
    ),
    maybe(
        "told not to retry, maybe billed",
        "502 with `x-should-retry: false`",
        refuses(502, x_should_retry="false"),
        "server_error",
        502,
        once=failed("server_error", billed=1, status=502),
        for_good=None,
    ),
    maybe(
        "HTTP 502",
        "502, mostly as a web page",
        says("<html><h1>502 Bad Gateway</h1>$KEY</html>", 502),
        "server_error",
        502,
        everywhere=stopped(
            5, "outage", "the endpoint has given no answer for", requests=11, billed=11
        ),
        job_everywhere=OUTAGE,
        rows=20,
    ),
)

REFUSED = (
    *(
        refused(f"HTTP {status}", f"{status}, whatever the body", refuses(status), code, status)
        for status, code in (
            (409, "server_error"),
            (500, "server_error"),
            (529, "server_error"),
            (521, "connection"),
            (522, "connection"),
            (523, "connection"),
        )
    ),
    refused(
        "HTTP 503",
        "503: overloaded, starting, or its queue is full",
        refuses(503, "server busy, please try again, maximum pending requests exceeded"),
        "server_error",
        503,
        everywhere=silent(11),
        job_everywhere=OUTAGE,
        rows=20,
    ),
    row(
        "told not to retry",
        "503 with `x-should-retry: false`",
        refuses(503, x_should_retry="false"),
        "server_error",
        503,
    ),
)
