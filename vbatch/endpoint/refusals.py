"""What a refusal means, and what it may have cost. Pure.

Decided on status, code, type and known phrases, never by looking for a number in a message. The
first rule that applies is taken, so their order is part of what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vbatch.endpoint import phrases
from vbatch.endpoint.complaints import Complaint, read_complaint
from vbatch.endpoint.reply import NotJsonError, Reply
from vbatch.endpoint.strings import OutsizedJsonError, clear_start, whole
from vbatch.endpoint.usage import read_usage
from vbatch.endpoint.waits import is_shut, limit_headers, waiting_time
from vbatch.errors import (
    AmbiguousError,
    EndpointError,
    FatalError,
    PermanentError,
    Remedy,
    TransientError,
)

if TYPE_CHECKING:
    import re

    from vbatch.records import JsonValue

MAX_BODY_BYTES = 64 * 1024
"""Of a reply's body, as kept with an error."""

_MAX_REQUEST_ID = 200
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")
_THROTTLED = (425, 429)
_IMPLIED = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "insufficient_quota": 402,
    "permission_error": 403,
    "content_filter": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
}
"""The status that an error inside a 200 stands for when it gives a name instead of a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A reply that is no answer, and what is known of it.

    ``status`` decides: the reply's own, or that of the error inside a 200 (None: unknown).
    """

    reply: Reply
    status: int | None
    complaint: Complaint
    document: JsonValue = None
    model: str = ""
    secrets: Sequence[str] = ()

    def error(
        self, kind: type[EndpointError], code: str, message: str = "", **more: Any
    ) -> EndpointError:
        """Return the error with all that the reply tells about itself, without secrets."""
        return kind(
            code,
            self._clear(message or self.said, MAX_BODY_BYTES),
            status=self.reply.status,
            provider_code=self.complaint.code or self.complaint.type or None,
            request_id=self._request_id() or None,
            retry_after_s=self.wait_s,
            body=_cut(self._clear(self.reply.text(), MAX_BODY_BYTES)),
            usage=read_usage(self._field("usage")),
            **more,
        )

    @property
    def said(self) -> str:
        """The endpoint's words after its status."""
        inside = "" if self.status in {None, self.reply.status} else f", error {self.status} inside"
        return f"HTTP {self.reply.status}{inside}: {self.complaint.message or 'no explanation'}"

    @property
    def wait_s(self) -> float | None:
        """Seconds the endpoint asks to be left alone."""
        reply, throttled = self.reply, self.status in _THROTTLED
        return waiting_time(reply.headers, self.document, reply.received_at, throttled=throttled)

    def has(self, known: re.Pattern[str]) -> bool:
        """Whether the endpoint uses one of the ``known`` phrases."""
        return known.search(self.complaint.words) is not None

    def _clear(self, text: str, most: int) -> str:
        return whole(clear_start(text, self.secrets, most))

    def _request_id(self) -> str:
        named = (self.reply.headers.get(name) for name in _REQUEST_IDS)
        said = str(next(filter(None, named), None) or self._field("request_id") or "")
        return self._clear(said, _MAX_REQUEST_ID)

    def _field(self, name: str) -> JsonValue:
        return self.document.get(name) if isinstance(self.document, dict) else None


def classify(reply: Reply, *, model: str = "", secrets: Sequence[str] = ()) -> EndpointError:
    """Return the error that a reply with a status other than 2xx stands for.

    ``model`` is what was asked for; ``secrets`` appear nowhere in the error.
    """
    try:
        document = reply.json()
    except (NotJsonError, OutsizedJsonError):
        document = None
    return _judged(
        Case(
            reply=reply,
            status=reply.status,
            complaint=read_complaint(document, reply.text(), secrets=secrets),
            document=document,
            model=model,
            secrets=secrets,
        )
    )


def classify_inside(
    reply: Reply, document: JsonValue, *, model: str = "", secrets: Sequence[str] = ()
) -> EndpointError:
    """Return the error that lies inside a reply with status 2xx, as if its code were the status."""
    complaint = read_complaint(document, secrets=secrets)
    names = (complaint.code, complaint.type)
    implied = next((_IMPLIED[name] for name in names if name in _IMPLIED), None)
    return _judged(
        Case(
            reply=reply,
            status=complaint.status or implied,
            complaint=complaint,
            document=document,
            model=model,
            secrets=secrets,
        )
    )


def _judged(case: Case) -> EndpointError:
    error = next(judge(case) for applies, judge in _RULES if applies(case))
    if case.status in _THROTTLED or isinstance(error, PermanentError) or not _is_final(case):
        return error
    final = case.error(PermanentError, error.code, error.message)
    if isinstance(error, AmbiguousError):
        final.fault = error.fault  # no second time, and yet it may have been billed
    return final


def _is_final(case: Case) -> bool:
    return case.reply.headers.get("x-should-retry", "").strip().lower() == "false"


_Test = Callable[[Case], bool]
_Judge = Callable[[Case], EndpointError]


def _on(statuses: Collection[int], *known: re.Pattern[str]) -> _Test:
    """Applies to ``statuses`` where every pattern of ``known`` is found."""
    return lambda case: case.status in statuses and all(map(case.has, known))


def _is(kind: type[EndpointError], code: str, hint: str = "", **more: Any) -> _Judge:
    """Judge as ``code``; ``hint`` tells what to do about it, ``{model}`` in it who was asked."""

    def judge(case: Case) -> EndpointError:
        advice = hint.replace("{model}", case.model)
        return case.error(kind, code, f"{case.said} ({advice})" if advice else "", **more)

    return judge


def _redirected(case: Case) -> EndpointError:
    target = case.reply.headers.get("location", "an address it does not name")
    return case.error(
        FatalError,
        "redirect",
        f"HTTP {case.reply.status}: the endpoint sends us to {target}; redirects are never "
        "followed, as they would carry images and key elsewhere. If that is the right address, "
        "set endpoint.base_url to it",
    )


def _about_money(case: Case) -> bool:
    if case.status not in {400, 403, 422, 429}:
        return False
    if case.has(phrases.MONEY) or (case.status == 429 and _shut(case)):  # noqa: PLR2004 - HTTP
        return True
    return case.has(phrases.MONEY_OR_PACE) and case.wait_s is None


def _shut(case: Case) -> bool:
    return is_shut(limit_headers(case.reply.headers, case.reply.received_at))


def _comes_back(case: Case) -> bool:
    return case.status == 402 and case.wait_s is not None  # noqa: PLR2004 - HTTP


def _wrong_cap(case: Case) -> bool:
    if case.status not in _UNFIT or not case.has(phrases.REFUSED_FIELD):
        return False
    about = case.complaint.param or case.complaint.words
    return phrases.TOKEN_FIELDS.search(about) is not None


def _too_big_for_ever(case: Case) -> bool:
    return case.status in {400, 413, 429} and phrases.never_fits(case.complaint.words)


_UNFIT = frozenset({400, 422})
_NOT_THERE = frozenset({400, 403, 404, 410, 422})
_BLINDLY = frozenset({400, 404, 422, 500, 501})
_KEY = "check the key and the variable that endpoint.api_key_env names"
_QUOTA = "the account needs credit or a higher limit"
_MODEL = "asked for model '{model}'; `vbatch models` lists what is there"
_SIGHT = "'{model}' sees no images; `vbatch models` lists what does"
_URL = "is endpoint.base_url right?"

_RULES: tuple[tuple[_Test, _Judge], ...] = (
    (_on(range(300, 400)), _redirected),
    (_on({401}), _is(FatalError, "authentication", _KEY)),
    (_on({407}), _is(FatalError, "authentication", "the proxy asks for a login")),
    (_on({400, 403, 422}, phrases.BAD_KEY), _is(FatalError, "authentication", _KEY)),
    (_comes_back, _is(TransientError, "rate_limited")),
    (_on({402}), _is(FatalError, "quota", _QUOTA)),
    (_about_money, _is(FatalError, "quota", _QUOTA)),
    (_wrong_cap, _is(PermanentError, "invalid_request", remedy=Remedy.TOKEN_FIELD)),
    (_on(_NOT_THERE, phrases.NO_MODEL), _is(FatalError, "model_not_found", _MODEL)),
    (_on(_BLINDLY, phrases.BLIND), _is(FatalError, "model_not_found", _SIGHT)),
    (_on({400, 403, 422, 451}, phrases.MODERATED), _is(PermanentError, "content_filtered")),
    (_on({403}), _is(FatalError, "authentication", _KEY)),
    (
        _on({404, 405, 406, 410, 415}),
        _is(PermanentError, "invalid_request", _URL, suspect="wrong_url"),
    ),
    (_too_big_for_ever, _is(PermanentError, "request_too_large")),
    (_on({413}), _is(PermanentError, "request_too_large", remedy=Remedy.SHRINK)),
    (
        _on(_UNFIT, phrases.UNFETCHED),
        _is(PermanentError, "image_unreachable", remedy=Remedy.INLINE),
    ),
    (
        _on(_UNFIT, phrases.TOO_MANY_IMAGES),
        _is(PermanentError, "too_many_images", remedy=Remedy.SHRINK),
    ),
    (_on(_UNFIT, phrases.TOO_LONG), _is(PermanentError, "request_too_large")),
    (
        _on(_UNFIT, phrases.TOO_LARGE),
        _is(PermanentError, "request_too_large", remedy=Remedy.SHRINK),
    ),
    (_on(_THROTTLED), _is(TransientError, "rate_limited")),
    (_on({500}, phrases.BAD_IMAGE), _is(PermanentError, "invalid_request")),
    (_on({408, 504, 524}), _is(AmbiguousError, "timeout")),
    (_on({521, 522, 523}), _is(TransientError, "connection", "the gateway has no way to it")),
    (_on({409, 500, 503, 529}), _is(TransientError, "server_error")),
    (_on(range(400, 499)), _is(PermanentError, "invalid_request")),
    (lambda _: True, _is(AmbiguousError, "server_error")),
)
"""Everything else, 502 and 520 among it, may have been worked on: so it is asked again seldom."""


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:MAX_BODY_BYTES].decode(errors="ignore")
