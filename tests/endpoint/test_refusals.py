import json

import pytest

from vbatch.endpoint import refusals
from vbatch.endpoint.reply import Reply
from vbatch.errors import (
    FAILURE_CODES,
    AmbiguousError,
    Exit,
    FatalError,
    Fault,
    PermanentError,
    TransientError,
)


def reply(status, body=None, **headers):
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=text.encode(), received_at=1_700_000_000)


def openai(message="", code=None, kind="invalid_request_error", param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


BY_STATUS = [
    (300, FatalError, "redirect"),
    (301, FatalError, "redirect"),
    (302, FatalError, "redirect"),
    (303, FatalError, "redirect"),
    (307, FatalError, "redirect"),
    (308, FatalError, "redirect"),
    (400, PermanentError, "invalid_request"),
    (401, FatalError, "authentication"),
    (402, FatalError, "quota"),
    (403, FatalError, "authentication"),
    (404, PermanentError, "invalid_request"),
    (405, PermanentError, "invalid_request"),
    (406, PermanentError, "invalid_request"),
    (407, FatalError, "authentication"),
    (408, AmbiguousError, "timeout"),
    (409, TransientError, "server_error"),
    (410, PermanentError, "invalid_request"),
    (413, PermanentError, "request_too_large"),
    (415, PermanentError, "invalid_request"),
    (418, PermanentError, "invalid_request"),
    (422, PermanentError, "invalid_request"),
    (425, TransientError, "rate_limited"),
    (429, TransientError, "rate_limited"),
    (451, PermanentError, "invalid_request"),
    (499, AmbiguousError, "server_error"),
    (500, TransientError, "server_error"),
    (501, AmbiguousError, "server_error"),
    (502, AmbiguousError, "server_error"),
    (503, TransientError, "server_error"),
    (504, AmbiguousError, "timeout"),
    (520, AmbiguousError, "server_error"),
    (521, TransientError, "connection"),
    (522, TransientError, "connection"),
    (523, TransientError, "connection"),
    (524, AmbiguousError, "timeout"),
    (529, TransientError, "server_error"),
    (599, AmbiguousError, "server_error"),
    (999, AmbiguousError, "server_error"),
]


@pytest.mark.parametrize(("status", "kind", "code"), BY_STATUS)
@pytest.mark.parametrize("body", [None, {"error": {"message": "no"}}, "<h1>no</h1>", [], "null"])
def test_a_status_alone_decides_where_the_body_says_nothing(status, kind, code, body):
    error = refusals.classify(reply(status, body))
    assert (type(error), error.code, error.status) == (kind, code, status)


KEY = "FatalError authentication"
QUOTA = "FatalError quota"
MODEL = "FatalError model_not_found"
FILTERED = "PermanentError content_filtered"
PACE = "TransientError rate_limited"
ROW = "PermanentError invalid_request"
LARGE = "PermanentError request_too_large"
INLINE = "PermanentError image_unreachable inline"
SHRINK = "PermanentError request_too_large shrink"
FEWER = "PermanentError too_many_images shrink"
SWITCH = "PermanentError invalid_request token_field"

BY_WORDS = [
    # keys
    (400, openai("API key not valid. Please pass a valid API key."), KEY),
    (
        400,
        [{"error": {"code": 400, "message": "x", "details": [{"reason": "API_KEY_INVALID"}]}}],
        KEY,
    ),
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key"}, KEY),
    (422, {"detail": "invalid_api_key"}, KEY),
    (403, openai("You may not use this project", kind="permission_error"), KEY),
    (403, "<html><title>Forbidden</title></html>", KEY),
    # money
    (400, openai("Your credit balance is too low to access the API"), QUOTA),
    (400, openai("You have reached your specified API usage limits"), QUOTA),
    (429, openai("You exceeded your current quota", "insufficient_quota"), QUOTA),
    (429, openai("You exceeded your current quota, check your plan and billing details"), QUOTA),
    (429, {"detail": "Monthly spend limit reached"}, QUOTA),
    (429, openai("billing hard limit has been reached"), QUOTA),
    (400, openai("Budget has been exceeded! Current cost: 1.2", kind="budget_exceeded"), QUOTA),
    (402, {"detail": "Insufficient credits"}, QUOTA),
    # models
    (404, openai("The model `gpt-9` does not exist or you do not have access to it"), MODEL),
    (404, openai("no", "model_not_found"), MODEL),
    (404, {"error": {"message": 'model "llava" not found, try pulling it first'}}, MODEL),
    (404, {"object": "error", "message": "The model `x/y:z` does not exist.", "code": 404}, MODEL),
    (404, [{"error": {"message": "models/gemini-9 is not found for API version v1beta"}}], MODEL),
    (400, openai("gpt-9 is not a valid model ID"), MODEL),
    (400, openai("Invalid model: gpt-9"), MODEL),
    (403, openai("Project has no access to model `gpt-9`", "model_not_found"), MODEL),
    (404, {"error": {"message": "No endpoints found that support image input"}}, MODEL),
    (404, openai("no", "DeploymentNotFound"), MODEL),
    (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: x-9"}}, MODEL),
    (404, openai("Model not found, inaccessible, and/or not deployed", "NOT_FOUND"), MODEL),
    # moderation
    (403, {"error": {"message": "Input was flagged", "metadata": {"reasons": ["x"]}}}, FILTERED),
    (403, openai("no", "moderation_blocked"), FILTERED),
    (400, openai("The response was filtered", "content_filter"), FILTERED),
    (400, openai("no", "content_policy_violation"), FILTERED),
    (403, {"error": "Content violates usage guidelines."}, FILTERED),
    # images
    (400, openai("no", "invalid_image_url"), INLINE),
    (400, openai("Could not fetch the image"), INLINE),
    (400, openai("Error while downloading https://x/y.jpg"), INLINE),
    (400, {"detail": "Unable to download image from URL"}, INLINE),
    (422, {"message": "failed to load image from url"}, INLINE),
    (400, openai("At most 1 image(s) may be provided in one prompt."), FEWER),
    (400, openai("Too many images"), FEWER),
    (400, openai("This model supports up to 5 images"), FEWER),
    (400, openai("number of images exceeds the maximum of 16"), FEWER),
    (400, openai("messages.0.image.source.base64: image exceeds 5 MB maximum: 6 > 5"), SHRINK),
    (400, openai("image dimensions exceed max allowed size: 8000 pixels"), SHRINK),
    (400, openai("The image resolution is too high"), SHRINK),
    (400, openai("Image too large"), SHRINK),
    (400, {"detail": "The request is too large: 9 bytes of text and images"}, SHRINK),
    (400, {"detail": "Image resolution 9x9 is too high, at most 8 pixels"}, SHRINK),
    (400, openai("request exceeds the cap of 20000000 bytes"), SHRINK),
    (422, {"detail": [{"loc": ["body"], "msg": "payload too large", "type": "value"}]}, SHRINK),
    (413, "<h1>Request Entity Too Large</h1>", SHRINK),
    # length
    (400, openai("This model's maximum context length is 8192", "context_length_exceeded"), LARGE),
    (429, openai("Request too large: Limit 30000, Requested 31538."), LARGE),
    (429, openai("on tokens per min (TPM): Limit: 30,000, Requested: 31,538"), LARGE),
    (413, openai("Request too large: Limit 6000, Requested 7000"), LARGE),
    # fields
    (
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "unsupported_parameter",
            param="max_tokens",
        ),
        SWITCH,
    ),
    (
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "max_completion_tokens"],
                    "msg": "Extra inputs are not permitted",
                    "input": 5,
                }
            ]
        },
        SWITCH,
    ),
    # pace
    (429, openai("Limit 30000, Used 29000, Requested 1500"), PACE),
    (429, openai("Rate limit reached", "rate_limit_exceeded"), PACE),
    (
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota, please check your plan.",
                    "details": [{"@type": "RetryInfo", "retryDelay": "36s"}],
                }
            }
        ],
        PACE,
    ),
    # none of these
    (400, openai("max_tokens is too large: 100000"), ROW),
    (400, openai("temperature: 429 is not in 0 to 2"), ROW),
    (400, openai("'temperature' is not supported", "unsupported_parameter", param="top_k"), ROW),
    (400, openai("Invalid base64 in the image"), ROW),
    (400, {"detail": [{"msg": "bad", "input": "credit balance, model x not found"}]}, ROW),
    (400, openai("error 401 402 404 500 in row 503"), ROW),
    (404, {"detail": "Not Found"}, ROW),
]


@pytest.mark.parametrize(("status", "body", "meaning"), BY_WORDS)
def test_known_phrases_decide_where_a_status_has_several_meanings(status, body, meaning):
    error = refusals.classify(reply(status, body), model="gpt-9")
    remedy = getattr(error, "remedy", None)
    assert " ".join(filter(None, [type(error).__name__, error.code, remedy])) == meaning


def test_every_failing_row_bears_a_known_code():
    rows = [refusals.classify(reply(status, body)) for status, body, _ in BY_WORDS]
    rows += [refusals.classify(reply(status)) for status, _, _ in BY_STATUS]
    codes = {error.code for error in rows if not isinstance(error, FatalError)}
    assert codes <= FAILURE_CODES


@pytest.mark.parametrize("status", [404, 405, 406, 410, 415])
def test_some_refusals_look_like_a_wrong_address(status):
    error = refusals.classify(reply(status))
    assert error.suspect == "wrong_url"
    assert "base_url" in error.message
    assert refusals.classify(reply(400)).suspect is None


def test_a_redirect_names_its_target():
    error = refusals.classify(reply(308, location="https://new.example/v1"))
    assert "https://new.example/v1" in error.message
    assert error.exit_code == Exit.NEEDS_A_PERSON


def test_an_unknown_model_is_named_with_the_way_to_list_them():
    error = refusals.classify(reply(404, openai("no", "model_not_found")), model="gpt-{9}")
    assert "gpt-{9}" in error.message
    assert "vbatch models" in error.message


def test_402_with_a_waiting_time_pauses():
    error = refusals.classify(reply(402, {"detail": "later"}, retry_after="30"))
    assert isinstance(error, TransientError)
    assert (error.throttled, error.retry_after_s) == (True, 30)


@pytest.mark.parametrize("name", ["x_ratelimit_limit_tokens", "x_ratelimit_limit_req_minute"])
def test_a_limit_of_0_is_final(name):
    error = refusals.classify(reply(429, **{name: "0"}, retry_after="5"))
    assert (type(error), error.code) == (FatalError, "quota")


@pytest.mark.parametrize("status", [429, 503, 500, 502, 408, 409])
def test_the_waiting_time_is_passed_on(status):
    assert refusals.classify(reply(status, retry_after="7")).retry_after_s == 7


def test_limits_that_reset_are_waited_for_only_when_they_refused():
    headers = {"x_ratelimit_reset_requests": "3s"}
    assert refusals.classify(reply(429, **headers)).retry_after_s == 3
    assert refusals.classify(reply(500, **headers)).retry_after_s is None


@pytest.mark.parametrize(
    ("status", "kind", "fault"),
    [
        (500, PermanentError, Fault.ROW),
        (503, PermanentError, Fault.ROW),
        (429, TransientError, Fault.REFUSED),
        (502, PermanentError, Fault.MAYBE),
        (504, PermanentError, Fault.MAYBE),
    ],
)
def test_an_endpoint_may_ask_not_to_try_again_which_unbills_nothing(status, kind, fault):
    error = refusals.classify(reply(status, x_should_retry="false"))
    assert (type(error), error.fault) == (kind, fault)
    assert error.code == refusals.classify(reply(status)).code


def test_an_error_carries_what_support_will_ask_for():
    body = openai("Bad image", "invalid_image") | {
        "usage": {"prompt_tokens": 3, "completion_tokens": 0}
    }
    error = refusals.classify(reply(400, body, x_request_id="req-1"))
    assert error.message == "HTTP 400: Bad image"
    assert error.provider_code == "invalid_image"
    assert error.request_id == "req-1"
    assert error.usage.total_tokens == 3
    assert json.loads(error.body) == body


def test_a_request_id_in_the_body_is_found():
    assert refusals.classify(reply(500, {"request_id": 17})).request_id == "17"
    assert refusals.classify(reply(500)).request_id is None


def test_the_type_stands_in_where_there_is_no_code():
    assert refusals.classify(reply(500, openai(kind="overloaded"))).provider_code == "overloaded"
    assert refusals.classify(reply(500)).provider_code is None


def test_a_body_is_kept_up_to_64_kib_in_whole_characters():
    error = refusals.classify(reply(500, "é" * 100_000))
    assert error.body == "é" * (32 * 1024)


def test_secrets_are_nowhere_even_where_the_body_is_cut():
    secret = "sk-12345678"
    body = "x" * (64 * 1024 - 5) + secret
    error = refusals.classify(reply(401, body, location=secret), secrets=(secret,))
    assert "sk-" not in error.body
    error = refusals.classify(reply(302, location=f"https://x/?k={secret}"), secrets=(secret,))
    assert secret not in error.message


@pytest.mark.parametrize("before", range(15))
def test_no_part_of_a_secret_is_left_where_words_are_cut(before):
    secret = "sk-12345678"
    said = "x" * (600 - before) + secret
    page = "<i>" + " " * (8_192 - before - 3) + secret
    ids = {"x_request_id": "x" * (200 - before) + secret}
    for body in (openai(said), openai("no", said), {"detail": [{"msg": said}]}, said, page):
        error = refusals.classify(reply(400, body, **ids), secrets=(secret,))
        assert "sk" not in f"{error.message} {error.provider_code} {error.request_id} {error.body}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "text"}, "text"),
        ({"error": {"message": "text"}}, "text"),
        ([{"error": {"message": "text"}}], "text"),
        ({"detail": "text"}, "text"),
        ({"detail": [{"loc": ["body", "n"], "msg": "text"}]}, "text"),
        ({"detail": {"message": "text"}}, "text"),
        ({"message": "text", "object": "error"}, "text"),
        ({"errors": ["text", "more"]}, "text: more"),
        ({"error": "Bad Request", "message": "text"}, "Bad Request: text"),
        (
            {"error": {"message": "up", "metadata": {"raw": '{"error":{"message":"text"}}'}}},
            "up: text",
        ),
        ({"error": {"message": "up", "metadata": {"raw": "no json"}}}, "up: no json"),
        ("plain  text", "plain text"),
        ("<html><style>p {}</style><p>some</p> text</html>", "some text"),
        ('"text"', "text"),
        ({}, "no explanation"),
        ({"error": {"message": "x" * 5000}}, "x" * 600 + "…"),
        ({"error": {"message": "\ud800!"}}, "\ufffd!"),
    ],
)
def test_an_error_is_read_in_whatever_form_it_comes(body, message):
    assert refusals.classify(reply(500, body)).message == f"HTTP 500: {message}"


INSIDE = [
    ({"error": {"code": 429, "message": "slow"}}, TransientError, "rate_limited"),
    ({"error": {"code": "503", "message": "no"}}, TransientError, "server_error"),
    ({"error": {"code": 502, "message": "up"}}, AmbiguousError, "server_error"),
    ({"error": {"code": 401}}, FatalError, "authentication"),
    ({"error": {"code": 402, "message": "pay"}}, FatalError, "quota"),
    ({"error": {"code": 400, "message": "bad"}}, PermanentError, "invalid_request"),
    ({"error": "no", "status": 504}, AmbiguousError, "timeout"),
    ({"error": {"message": "no", "type": "rate_limit_error"}}, TransientError, "rate_limited"),
    ({"error": {"code": "insufficient_quota"}}, FatalError, "quota"),
    (
        {"error": {"message": "flagged", "code": "content_filter"}},
        PermanentError,
        "content_filtered",
    ),
    ({"error": {"message": "error 429"}}, AmbiguousError, "server_error"),
    ({"error": {"code": 7, "message": "?"}}, AmbiguousError, "server_error"),
    ({"success": False, "message": "broken"}, AmbiguousError, "server_error"),
    ({"success": False}, AmbiguousError, "server_error"),
]


@pytest.mark.parametrize(("body", "kind", "code"), INSIDE)
def test_an_error_inside_a_200_counts_as_its_code_says(body, kind, code):
    error = refusals.classify_inside(reply(200, body), body)
    assert (type(error), error.code, error.status) == (kind, code, 200)


def test_an_error_inside_a_200_says_so():
    body = {"error": {"code": 429, "message": "slow"}}
    error = refusals.classify_inside(reply(200, body), body)
    assert error.message == "HTTP 200, error 429 inside: slow"
    assert error.provider_code == "429"


def test_half_characters_of_headers_are_nowhere_in_an_error():
    half = "https://new.example/\udce9"
    error = refusals.classify(reply(308, location=half, x_request_id=half))
    assert "https://new.example/\ufffd" in error.message
    assert error.request_id == "https://new.example/\ufffd"
