"""The right to send one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from vbatch.endpoint.limits import Limiter
    from vbatch.endpoint.minute import Slot


class Permit:
    """The right to send one request. ``probe``: it is the one knock at a door that seems shut."""

    __slots__ = (
        "_limiter",
        "ended",
        "found_slot",
        "probe",
        "request_slot",
        "serial",
        "token_slot",
        "tokens",
    )

    def __init__(self, limiter: Limiter, serial: int, tokens: int, *, probe: bool) -> None:
        self._limiter = limiter
        self.serial = serial
        self.tokens = tokens
        self.probe = probe
        self.ended = False
        self.request_slot: Slot | None = None
        self.token_slot: Slot | None = None
        self.found_slot: Slot | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def answered(self, used_tokens: int | None = None) -> None:
        """A parsed 2xx came back; without ``used_tokens`` the estimate stands."""
        self._limiter.answered(self, used_tokens)

    def refused(self, used_tokens: int | None = None) -> None:
        """The endpoint refused this row for its own sake, and so is alive."""
        self._limiter.refused(self, used_tokens)

    def throttled(self, row_id: str, reason: str, retry_after_s: float | None = None) -> None:
        """429 or the like: the whole endpoint waits. Never counts against the row."""
        self._limiter.throttled(self, row_id, reason, retry_after_s)

    def trouble(self, row_id: str, reason: str) -> bool:
        """Network fault or 5xx. Returns whether it counts against the row's attempts.

        It does not while the endpoint is down (which this very fault may have shown) or in a long
        pause. What may have been billed is another matter and always counts.
        """
        return self._limiter.trouble(self, row_id, reason)

    def close(self) -> None:
        """Return the reservation if nothing was said of how the request ended."""
        if not self.ended:
            self._limiter.unsent(self)
