"""How long a row waits before its next attempt, and what it may not hold meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from vbatch.engine.tries import Step
from vbatch.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from vbatch.engine.tries import Tries
    from vbatch.errors import EndpointError

E = TypeVar("E", bound=BaseException)

FIRST_BACKOFF_S = 1.0
LONGEST_ROW_WAIT_S = 120.0
"""An endpoint that asks for more than this waits as a whole, not row by row."""


def backoff_s(error: EndpointError, *, sent: int, max_wait_s: float, luck: float) -> float:
    """Seconds until a row's next attempt after ``sent`` of them; ``luck`` in [0, 1) spreads rows.

    0 where the endpoint waits as a whole: that is the limiter's.
    """
    if isinstance(error, PermanentError) or waits_as_a_whole(error):
        return 0.0
    if error.retry_after_s is not None:
        return error.retry_after_s * (1 + 0.1 * luck)
    longest = min(max_wait_s, FIRST_BACKOFF_S * 2.0 ** max(sent - 1, 0))
    return longest * (0.5 + 0.5 * luck)


def waits_as_a_whole(error: EndpointError) -> bool:
    """Whether the endpoint, not this row, has to wait."""
    if isinstance(error, PermanentError):
        return False
    throttled = isinstance(error, TransientError) and error.throttled
    return throttled or (error.retry_after_s or 0) > LONGEST_ROW_WAIT_S


def let_go(state: RetryCallState) -> None:
    """A row that waits must not hold its images, nor through the frames of its last error."""
    tries: Tries = state.args[1]
    tries.step = Step.NAP
    error = state.outcome.exception() if state.outcome else None
    if error is not None:
        without_frames(error)


def without_frames(error: E) -> E:
    """``error`` without what it came through: frames hold images."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)
