"""How the endpoint says no: one exception, told in the words of the dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from vbatch.errors import VbatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vbatch.records import JsonValue
    from vbatch.server.dialect import Dialect, ErrorForm, Kind

_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error"}
_SERVER_ERRORS = 500
_TOO_MANY = 429
_GOOGLES = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_GOOGLES |= {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


class Refusal(VbatchError):  # noqa: N818 - reads as what it is: an answer that says no
    """A request that gets ``status`` and an error body instead of an answer.

    ``kind`` is what it is refused for, and ``facts`` what a dialect's own words may name. ``after``
    is the wait it asks for where that stands in the body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        kind: Kind | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.kind = kind
        self.facts = dict(facts or {})
        self.type = _type(status)
        self.after: str | None = None


def worded(refusal: Refusal, dialect: Dialect) -> Refusal:
    """Return the refusal as ``dialect`` puts it: status, words, and where the wait stands."""
    own = None if refusal.kind is None else dialect.says.get(refusal.kind)
    if own is None:
        said = Refusal(refusal.status, refusal.message, code=refusal.code, param=refusal.param)
    else:
        message = own.message.format(**refusal.facts)
        said = Refusal(own.status, message, code=own.code, param=refusal.param)
        said.type = own.type or said.type
    said.headers, said.kind = dict(refusal.headers), refusal.kind
    after = said.headers.pop("Retry-After", None)
    if after is not None and dialect.wait == "body":
        said.after = after
    elif after is not None:
        said.headers |= _waiting(after, dialect)
    return said


def _waiting(after: str, dialect: Dialect) -> dict[str, str]:
    if dialect.wait == "milliseconds" and after.isdecimal():
        return {"retry-after-ms": f"{after}000"}
    return {"llm_provider-retry-after" if dialect.wait == "provider" else "Retry-After": after}


def told(refusal: Refusal, form: ErrorForm) -> JsonValue:
    """Return the error body in the dialect's form (see ``_FORMS``)."""
    return _FORMS[form](refusal)


def _plain(refusal: Refusal, code: JsonValue) -> dict[str, JsonValue]:
    return {
        "message": refusal.message,
        "type": refusal.type,
        "param": refusal.param,
        "code": code,
    }


def _brief(refusal: Refusal) -> dict[str, JsonValue]:
    return {"code": refusal.code or str(refusal.status), "message": refusal.message}


def _flat(refusal: Refusal) -> dict[str, JsonValue]:
    said: dict[str, JsonValue] = {
        "object": "error",
        **_plain(refusal, refusal.code or refusal.status),
    }
    if refusal.kind == "field":
        loc: list[JsonValue] = ["body", refusal.param]
        found = {"type": "extra_forbidden", "loc": loc, "msg": refusal.message, "input": 1}
        said |= {"message": {"detail": [found]}, "param": None}
    return said


def _typed(refusal: Refusal) -> dict[str, JsonValue]:
    return {"type": "error", "error": {"type": refusal.type, "message": refusal.message}}


def _googles(refusal: Refusal) -> dict[str, JsonValue]:
    kind = "type.googleapis.com/google.rpc."
    details: list[JsonValue] = []
    if refusal.after is not None:
        details.append({"@type": f"{kind}RetryInfo", "retryDelay": f"{refusal.after}s"})
    if refusal.code is not None:
        details.append({"@type": f"{kind}ErrorInfo", "reason": refusal.code})
    return {
        "code": refusal.status,
        "message": refusal.message,
        "status": _GOOGLES.get(refusal.status, "INTERNAL"),
        "details": details,
    }


def _routed(refusal: Refusal) -> dict[str, JsonValue]:
    if refusal.kind is not None or refusal.status < _TOO_MANY:
        return {"code": refusal.status, "message": refusal.message}
    raw = orjson.dumps({"error": {"message": refusal.message, "code": refusal.status}}).decode()
    metadata = {"raw": raw, "provider_name": "Stand-in"}
    return {"code": refusal.status, "message": "Provider returned error", "metadata": metadata}


_FORMS: dict[ErrorForm, Callable[[Refusal], JsonValue]] = {
    "openai": lambda refusal: {"error": _plain(refusal, refusal.code)},
    "number": lambda refusal: {"error": _plain(refusal, refusal.status)},
    "text": lambda refusal: {"error": _plain(refusal, str(refusal.status))},
    "brief": lambda refusal: {"error": _brief(refusal)},
    "detail": lambda refusal: {"detail": refusal.message},
    "flat": _flat,
    "typed": _typed,
    "list": lambda refusal: [{"error": _googles(refusal)}],
    "pair": lambda refusal: {"code": refusal.code or refusal.type, "error": refusal.message},
    "routed": lambda refusal: {"error": _routed(refusal), "user_id": "user_1"},
}
"""OpenAI's object, with a word, a number or a text as its code; code and message alone; a text
under ``detail``; everything at the top; Anthropic's, with a type at the top; Google's list of one;
xAI's two texts; OpenRouter's, with the error of who answers for it as a text inside."""


def _type(status: int) -> str:
    if status >= _SERVER_ERRORS:
        return "server_error"
    if status == _TOO_MANY:
        return "rate_limit_error"
    return _TYPES.get(status, "invalid_request_error")
