"""How the endpoint says no: one exception, told in the words of the dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vbatch.errors import VbatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbatch.records import JsonValue

ErrorForm = Literal["openai", "detail"]

_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error"}
_SERVER_ERRORS = 500
_TOO_MANY = 429


class Refusal(VbatchError):  # noqa: N818 - reads as what it is: an answer that says no
    """A request that gets ``status`` and an error body instead of an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def told(refusal: Refusal, form: ErrorForm) -> dict[str, JsonValue]:
    """Return the error body: ``{"detail": text}``, or OpenAI's error object."""
    if form == "detail":
        return {"detail": refusal.message}
    return {
        "error": {
            "message": refusal.message,
            "type": _type(refusal.status),
            "param": refusal.param,
            "code": refusal.code,
        }
    }


def _type(status: int) -> str:
    if status >= _SERVER_ERRORS:
        return "server_error"
    if status == _TOO_MANY:
        return "rate_limit_error"
    return _TYPES.get(status, "invalid_request_error")
