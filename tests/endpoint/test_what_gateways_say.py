"""What the stand-in says in each gateway's words is understood: neither knows of the other."""

from __future__ import annotations

import orjson
import pytest

from vbatch.endpoint import refusals
from vbatch.endpoint.reply import Reply
from vbatch.endpoint.waits import limit_headers
from vbatch.profile import builtin_profiles
from vbatch.server.dialects import DIALECTS
from vbatch.server.limits import Limits
from vbatch.server.refusals import Refusal, told, worded

FACTS = {
    "model": "gpt-9",
    "count": 9,
    "limit": 8,
    "size": 9_000_000,
    "field": "seed",
    "said": "image/png",
    "found": "image/jpeg",
}
MEANINGS = {
    "key": {"authentication"},
    "model": {"model_not_found"},
    "blind": {"model_not_found"},
    "images": {"too_many_images"},
    "format": {"invalid_request"},
    "bytes": {"request_too_large"},
    "request": {"request_too_large"},
    "field": {"invalid_request"},
}


def said(dialect, refusal) -> Reply:
    """The refusal as it goes over the wire."""
    refusal = worded(refusal, dialect)
    return Reply(
        status=refusal.status,
        headers={name.lower(): value for name, value in refusal.headers.items()},
        body=orjson.dumps(told(refusal, dialect.error_form)),
        received_at=1_700_000_000,
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name, dialect in DIALECTS.items()
        for kind in dialect.says
        if kind in MEANINGS
    ],
)
def test_each_refusal_is_taken_for_what_it_is(name, kind):
    refusal = Refusal(400, "unused", kind=kind, facts=FACTS, param=FACTS["field"])

    error = refusals.classify(said(DIALECTS[name], refusal), model="gpt-9")

    assert error.code in MEANINGS[kind]
    assert DIALECTS[name].says[kind].message.split("{")[0].strip() in error.message


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_is_found_wherever_it_stands(name, status):
    refusal = Refusal(status, "Come again.", headers={"Retry-After": "36"})

    error = refusals.classify(said(DIALECTS[name], refusal))

    assert error.retry_after_s == 36
    assert error.code == {429: "rate_limited", 503: "server_error"}[status]


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_an_empty_account_is_known_in_each_form(name):
    refusal = Refusal(400, "Your credit balance is too low to access the API.")

    assert refusals.classify(said(DIALECTS[name], refusal)).code == "quota"


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_request_that_moderation_stops_fails_its_row_alone(name):
    refusal = Refusal(400, "The response was filtered by content policy.", code="content_filter")

    assert refusals.classify(said(DIALECTS[name], refusal)).code == "content_filtered"


PROFILES = {profile.name: profile for profile in builtin_profiles()}
TELL_LIMITS = [name for name in DIALECTS if DIALECTS[name].limit_headers != "none"]


class Noon:
    """A clock that stands still."""

    def time(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0


def heard(name, *, requests, tokens, taken):
    """What a client with the gateway's profile hears of its limits after ``taken`` requests."""
    dialect, profile = DIALECTS[name], PROFILES[name.removesuffix("-deployment")]
    limits = Limits(
        Noon(),
        requests=requests,
        tokens=tokens,
        window_s=dialect.window_s,
        names=dialect.limit_headers,
    )
    for _ in range(taken):
        limits.take("requests")
    return limit_headers(limits.headers(), Noon().time(), window_s=profile.limit_window_s)


@pytest.mark.parametrize("name", TELL_LIMITS)
def test_limits_are_heard_by_the_minute_whatever_they_count_over(name):
    found = heard(name, requests=600, tokens=60_000, taken=1)

    assert (found.limit_requests, found.limit_tokens) == (600, 60_000)
    window_s = DIALECTS[name].window_s
    assert found.remaining_requests == 600 * window_s / 60 - 1
    assert found.remaining_tokens == 60_000 * window_s / 60
    if DIALECTS[name].limit_headers != "mistral":  # which names no reset
        assert found.reset_requests_s == pytest.approx(window_s, abs=0.2)


@pytest.mark.parametrize(("taken", "over"), [(1, False), (5, True)])
def test_fireworks_word_on_answers_that_went_over_is_heard(taken, over):
    assert heard("fireworks", requests=5, tokens=None, taken=taken).over_limit is over
    assert heard("openai", requests=5, tokens=None, taken=taken).over_limit is False


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (500, "image input is not supported by this server", "model_not_found"),
        (400, "google/gemma-3-1b is not a multimodal model", "model_not_found"),
        (400, "image_url is only supported by certain models.", "model_not_found"),
        (400, "Image inputs are not supported.", "model_not_found"),
        (400, "this model does not support image input", "model_not_found"),
        (400, "this model doesn't support images", "model_not_found"),
        (400, "The endpoint does not support image/tiff", "invalid_request"),
        (400, "The endpoint does not support image URLs", "invalid_request"),
        (400, "Cannot accept image data: invalid base64 padding", "invalid_request"),
        (400, "This model does not support image inputs via URL", "invalid_request"),
        (400, "It does not support image inputs in GIF format", "invalid_request"),
        (400, "It does not support image detail 'original'", "invalid_request"),
        (400, "gpt-x does not support image inputs.", "model_not_found"),
        (400, "You exceeded the token budget of one request", "invalid_request"),
        (400, "The endpoint does not support images of this size", "invalid_request"),
        (500, "Failed to load image or audio file", "invalid_request"),
        (500, "image worker crashed", "server_error"),
    ],
)
def test_a_model_that_sees_nothing_is_no_mere_fault_of_an_image(status, words, code):
    body = orjson.dumps({"error": {"message": words}})

    assert refusals.classify(Reply(status=status, body=body)).code == code
