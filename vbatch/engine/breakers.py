"""When single failures add up to a reason to stop the run. Counted per invocation."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from vbatch.errors import AmbiguousError, EndpointError, Exit, FatalError, UnreachedError
from vbatch.records import Failure, Outcome, Result, Stop

if TYPE_CHECKING:
    from vbatch.job import Limits

UNANSWERED_FAULTS = 5
"""Network faults or unreadable replies in a row, with no answer yet, that mean a wrong address."""
FIRST_OUTCOMES = 20
"""So many first outcomes that are all the same refusal mean that the job, not a row, is wrong."""
RATE_WINDOW = 200
SAME_CUT = 0.02
CUTS_THAT_AGREE = 3


class Breakers:
    """Watches attempts and outcomes of one invocation; each method returns a reason to stop."""

    def __init__(self, limits: Limits, *, address: str, timeout_s: float) -> None:
        self._limits = limits
        self._timeout_s = timeout_s
        self._address = address
        self._answered = False
        self._faults_in_a_row: list[str] = []
        self._first: list[tuple[str, str]] | None = []
        self._recent: deque[bool] = deque(maxlen=RATE_WINDOW)
        self._cuts: deque[float] = deque(maxlen=CUTS_THAT_AGREE)
        self.notice: str | None = None
        """A pattern the operator should know of, once seen."""

    def attempt_failed(self, error: EndpointError, elapsed_s: float) -> Stop | None:
        """An attempt ended in ``error`` after ``elapsed_s``."""
        if isinstance(error, FatalError):
            return Stop(exit_code=error.exit_code, code=error.code, message=error.message)
        if isinstance(error, AmbiguousError) and elapsed_s < self._timeout_s:
            self._note_cut(elapsed_s)
        return None if self._answered else self._unanswered(error)

    def row_ended(self, outcome: Outcome) -> Stop | None:
        """A row got its answer or failed."""
        if isinstance(outcome, Result):
            self._answered = True
            self._first = None
            self._recent.append(False)
            return None
        if outcome.stage in {"request", "answer"}:
            self._recent.append(True)
        return self._all_alike(outcome) or self._too_many_fail()

    def _unanswered(self, error: EndpointError) -> Stop | None:
        if error.suspect == "wrong_url":
            return self._wrong_url(error)
        if isinstance(error, UnreachedError):
            self._faults_in_a_row.append("unreached")
        elif error.code == "bad_response":
            self._faults_in_a_row.append("unreadable")
        else:
            self._faults_in_a_row.clear()
        last = self._faults_in_a_row[-UNANSWERED_FAULTS:]
        if len(last) < UNANSWERED_FAULTS or len(set(last)) > 1:
            return None
        return self._wrong_url(error) if last[0] == "unreadable" else self._unreached(error)

    def _wrong_url(self, error: EndpointError) -> Stop:
        return Stop(
            exit_code=Exit.USAGE,
            code="wrong_url",
            message=f"nothing usable at {self._address}: {error.message}",
            advice="is the URL right? endpoint.base_url ends before /chat/completions",
        )

    def _unreached(self, error: EndpointError) -> Stop:
        return Stop(
            exit_code=Exit.TRY_LATER,
            code="connection",
            message=f"{self._address} cannot be reached: {error.message}",
            advice="check endpoint.base_url, the network and the proxy",
        )

    def _all_alike(self, failure: Failure) -> Stop | None:
        if self._first is None:
            return None
        kind = _kind_of(failure)
        if kind is None:
            return None
        self._first.append(kind)
        if len(set(self._first)) > 1:
            self._first = None
            return None
        if len(self._first) < FIRST_OUTCOMES:
            return None
        return _forbidden(failure) if failure.code == "image_forbidden" else _refused(failure)

    def _too_many_fail(self) -> Stop | None:
        failed = sum(self._recent)
        rate = self._limits.max_failure_rate
        if len(self._recent) < RATE_WINDOW or failed <= rate * RATE_WINDOW:
            return None
        return Stop(
            exit_code=Exit.NEEDS_A_PERSON,
            code="failure_rate",
            message=f"{failed} of the last {RATE_WINDOW} rows failed, more than "
            f"limits.max_failure_rate = {rate:g} allows",
            advice="look at the failures table; raise the limit if these failures are expected",
        )

    def _note_cut(self, elapsed_s: float) -> None:
        self._cuts.append(elapsed_s)
        mean = sum(self._cuts) / len(self._cuts)
        agree = all(abs(cut - mean) <= SAME_CUT * mean for cut in self._cuts)
        if len(self._cuts) == CUTS_THAT_AGREE and mean >= 1 and agree:
            self.notice = (
                f"the gateway cuts at about {mean:.0f} s: ask for shorter answers "
                "(request.max_tokens) or for more time at the gateway"
            )


def _kind_of(failure: Failure) -> tuple[str, str] | None:
    if failure.code == "image_forbidden":
        return "image_forbidden", ""
    if failure.code == "invalid_request":
        return "invalid_request", re.sub(r"\d+", "#", failure.message)
    if failure.stage == "manifest" or failure.code == "image_unreachable":
        return None
    return failure.code, failure.id


def _refused(failure: Failure) -> Stop:
    return Stop(
        exit_code=Exit.NEEDS_A_PERSON,
        code="invalid_request",
        message=f"the first {FIRST_OUTCOMES} rows were all refused alike: {failure.message}",
        advice="mend the job (request, model or images) and run it again",
    )


def _forbidden(failure: Failure) -> Stop:
    return Stop(
        exit_code=Exit.USAGE,
        code="image_forbidden",
        message=f"the first {FIRST_OUTCOMES} images all lie outside the root: {failure.message}",
        advice="set images.root to the folder that holds them",
    )
