"""What an endpoint's rate-limit headers say, whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHeaders:
    """Figures of one reply's headers; None: not said.

    Limits count per minute (the reader converts by the profile's window), resets are seconds from
    the moment the reply came.
    """

    limit_requests: float | None = None
    remaining_requests: float | None = None
    reset_requests_s: float | None = None
    limit_tokens: float | None = None
    remaining_tokens: float | None = None
    reset_tokens_s: float | None = None
    over_limit: bool = False
    """Whether the reply, though it is an answer, asks us to slow down."""
