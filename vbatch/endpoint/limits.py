"""The gate every request passes: requests and tokens per minute, in flight, waits and outages.

::

    async with await limiter.acquire(tokens) as permit:    # waits its turn
        try:
            answer = await client.ask(body)
            permit.answered(answer.completion.usage.total_tokens)
        except TransientError as error:
            if error.throttled:
                permit.throttled(item.id, error.message, error.retry_after_s)
            else:
                counts = permit.trouble(item.id, error.message)

Every permit is ended once: ``answered``, ``refused`` (the row's own fault), ``throttled`` or
``trouble``. One that is left without a word (cancelled) returns what it had reserved.
"""

from __future__ import annotations

import math
from operator import itemgetter
from typing import TYPE_CHECKING

from vbatch.endpoint import standing
from vbatch.endpoint.brake import Brake
from vbatch.endpoint.line import Line
from vbatch.endpoint.minute import PerMinute
from vbatch.endpoint.outage import Outage
from vbatch.endpoint.permit import Permit
from vbatch.endpoint.sharing import Sharing
from vbatch.endpoint.silence import Silence
from vbatch.endpoint.spoken import asked_too_long, silent_too_long
from vbatch.endpoint.waiting import LONGEST_PAUSE_S, Pause
from vbatch.endpoint.window import Window
from vbatch.errors import VbatchError

if TYPE_CHECKING:
    from vbatch.clock import Clock
    from vbatch.endpoint.ledger import Ledger
    from vbatch.endpoint.limit_headers import LimitHeaders
    from vbatch.endpoint.standing import LimiterState
    from vbatch.records import Stop

OUT_OF_FILES_EPISODE_S = 5.0
"""Requests that run out of files within so short a time do so together."""

_CATCH_UP_S = 0.1
"""Of lost time that requests catch up with at once: timers are late, and the endpoint is not to
see more than its due within a second, but for one or two."""
_CATCH_UP_TOKENS_S = 3.0

_NO_FILES = (
    "this process can open no more files or connections; raise `ulimit -n`, or lower "
    "limits.max_in_flight"
)


class Stopped(VbatchError):  # noqa: N818 - reads as the state it names
    """Nothing more is sent in this run: ``stop`` says why."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.message)
        self.stop = stop
        self.exit_code = stop.exit_code


class Limiter:
    """First come, first served, as fast as all limits allow and never faster.

    ``requests_per_minute`` and ``tokens_per_minute`` are kept when given, otherwise found from
    headers and refusals, and shared with those who look into the same ``ledger``. At most
    ``max_in_flight`` requests are on their way, at the start 4; with ``seeks_width`` no more than
    bring answers sooner. Own waits grow to ``max_wait_s``; no answer for ``max_outage_s`` stops the
    run. Needs a running loop once something has to wait; uses the monotonic clock only.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        max_in_flight: int,
        max_outage_s: float,
        max_wait_s: float = 60.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        slow_start: bool = True,
        seeks_width: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        self._clock = clock
        self._requests = PerMinute()
        self._tokens = PerMinute()
        self._learns_requests = requests_per_minute is None
        self._learns_tokens = tokens_per_minute is None
        self._limit(requests_per_minute, tokens_per_minute)
        self._window = Window(max_in_flight, slow_start=slow_start, seeks=seeks_width)
        self._brake = Brake(self._window)
        self.sharing = Sharing(ledger, self._brake.found) if ledger else None
        """The same limits as other processes live by them."""
        self._pause = Pause(max_wait_s)
        self._outage = Outage(max_outage_s)
        self._silence = Silence()
        self._squeezed_at = -math.inf
        self._in_flight = 0
        self._serial = 0
        self._line = Line[Permit](clock, self)
        self.stopped: Stop | None = None
        """Why nothing is sent any more, once that is so."""

    async def acquire(self, tokens: int = 0) -> Permit:
        """Wait for the right to send one request of about ``tokens`` tokens, answer included.

        Raises ``Stopped`` when nothing will be sent any more. Cancelled at any point it leaves
        nothing behind.
        """
        if self.stopped is not None:
            raise Stopped(self.stopped)
        return await self._line.join(tokens)

    def stop(self, stop: Stop) -> None:
        """Send nothing more: all who wait, and all who come, get ``Stopped``. The first counts."""
        if self.stopped is None:
            self.stopped = stop
        why = self.stopped
        self._line.send_home(lambda: Stopped(why))

    def out_of_files(self) -> None:
        """This process has no file left to open: half as many in flight, until calm returns.

        Should that never help, it is an outage like any other.
        """
        now = self._clock.monotonic()
        if now - self._squeezed_at > OUT_OF_FILES_EPISODE_S:
            self._squeezed_at = now
            self._window.squeeze(now, self._in_flight // 2)
        self._outage.unanswered(now, _NO_FILES)
        self._give_up_or_go_on(now)

    def learn(self, headers: LimitHeaders) -> None:
        """Take limits and waits from a reply's headers, where the user gave no number.

        Best told before the permit is ended, so that the next one to go knows.
        """
        if self._learns_requests:
            self._limit(headers.limit_requests, None)
            self._heed(self._requests, headers.remaining_requests, headers.reset_requests_s)
        if self._learns_tokens:
            self._limit(None, headers.limit_tokens)
            self._heed(self._tokens, headers.remaining_tokens, headers.reset_tokens_s)
        if headers.over_limit and self._learns_requests:
            self._ease_off()

    def _ease_off(self) -> None:
        """Answers say that they went over a limit: fewer in flight, until calm returns."""
        now = self._clock.monotonic()
        if now - self._squeezed_at > OUT_OF_FILES_EPISODE_S:
            self._squeezed_at = now
            self._window.squeeze(now, self._in_flight * 3 // 4)

    def _limit(self, requests: float | None, tokens: float | None) -> None:
        """Keep what is a limit to live by. Tokens looser: it is requests that come one by one."""
        if requests is not None and 0 < requests < math.inf:
            burst_s = min(max(1 - 60 / requests, 0), _CATCH_UP_S)
            self._requests.limit_to(requests, burst_s=burst_s)
        if tokens is not None and 0 < tokens < math.inf:
            self._tokens.limit_to(tokens, burst_s=_CATCH_UP_TOKENS_S)

    @property
    def in_flight(self) -> int:
        """How many requests are on their way."""
        return self._in_flight

    @property
    def state(self) -> LimiterState:
        """What is going on right now."""
        first = self._line.first
        at, gate = self._gate(self._clock.monotonic(), first or 0)
        return standing.state(
            at,
            gate,
            in_flight=self._in_flight,
            window=self._window.size,
            waiting=len(self._line),
            outage=self._outage,
            pause=self._pause,
            clock=self._clock,
        )

    # How a request ended: called by its permit.

    def answered(self, permit: Permit, used_tokens: int | None) -> None:
        """See ``Permit.answered``."""
        self._end(permit, used_tokens)
        self._alive(permit)
        self._window.answered(self._clock.monotonic())
        self._line.move()

    def refused(self, permit: Permit, used_tokens: int | None) -> None:
        """See ``Permit.refused``."""
        self._end(permit, used_tokens)
        self._alive(permit)
        self._line.move()

    def throttled(
        self, permit: Permit, row_id: str, reason: str, retry_after_s: float | None
    ) -> None:
        """See ``Permit.throttled``."""
        self._end(permit, 0)
        self._brake.log.refused(permit.serial, retry_after_s or 0.0)
        now = self._clock.monotonic()
        if permit.found_slot is not None:
            self._silence.refused(now, permit.found_slot.opened)
        self._hear_silence(now)
        if retry_after_s is None or not 0 < retry_after_s < math.inf:
            self._backs_off(permit, now, row_id, reason)
        elif retry_after_s <= LONGEST_PAUSE_S:
            self._outage.unanswered(now, reason)
            self._reachable()
            self._pause.ask(now, retry_after_s, self._clock.random(), reason)
        else:
            self.stop(asked_too_long(self._clock.time(), retry_after_s, reason))
            return
        self._step_back(permit, now)
        if self.sharing is not None:
            self.sharing.quiet(now, self._pause.until)
        self._give_up_or_go_on(now)

    def trouble(self, permit: Permit, row_id: str, reason: str) -> bool:
        """See ``Permit.trouble``."""
        self._end(permit, None)
        self._brake.log.nothing(permit.serial)
        now = self._clock.monotonic()
        self._fault(permit, now, row_id, reason)
        self._give_up_or_go_on(now)
        return not (self._outage.down or self._pause.is_long(now))

    def unsent(self, permit: Permit) -> None:
        """See ``Permit.close``."""
        self._end(permit, 0)
        self._brake.log.nothing(permit.serial)
        if permit.request_slot is not None:
            self._requests.settle(permit.request_slot, taken=1, used=0)
        if permit.found_slot is not None:
            self._brake.found.not_taken(permit.found_slot)
        if self._outage.probe == permit.serial:
            self._outage.probe = None
        self._line.move()

    def _end(self, permit: Permit, used_tokens: int | None) -> None:
        if permit.ended:
            raise RuntimeError("a permit is ended once")
        permit.ended = True
        self._in_flight -= 1
        if used_tokens is not None and permit.token_slot is not None:
            self._tokens.settle(permit.token_slot, taken=permit.tokens, used=used_tokens)
            if self.sharing is not None:
                over = permit.tokens - used_tokens
                self.sharing.give_back(over * self._tokens.seconds_each)

    def _alive(self, permit: Permit) -> None:
        if self._outage.down and not self._outage.busy:
            self._window.restart()
        self._outage.answered()
        self._pause.answered(permit.serial)
        self._brake.log.answered(permit.serial)
        if permit.found_slot is not None:
            self._brake.answered(permit.serial, permit.found_slot)

    def _hear_silence(self, now: float) -> None:
        """Take for taken what would have been refused by now."""
        for permit in self._silence.taken(now):
            if self._outage.busy:
                self._outage.reachable()
            self._pause.answered(permit.serial)
            self._brake.log.taken(permit.serial)
            if permit.found_slot is not None:
                self._brake.answered(permit.serial, permit.found_slot)

    def _reachable(self) -> None:
        if self._outage.down:
            self._window.restart()
        self._outage.reachable()

    def _backs_off(self, permit: Permit, now: float, row_id: str, reason: str) -> None:
        self._fault(permit, now, row_id, reason, refused=True)
        if not self._outage.down:
            self._pause.back_off(
                now,
                self._clock.random(),
                reason,
                serial=permit.serial,
                next_serial=self._serial,
                lone=self._brake.log.is_lone(),
                silent_s=self._outage.silent_for(now),
            )

    def _fault(
        self, permit: Permit, now: float, row_id: str, reason: str, *, refused: bool = False
    ) -> None:
        self._outage.fault(now, row_id, reason, refused=refused)
        if self._outage.probe == permit.serial:
            self._outage.probe_failed(now)

    def _step_back(self, permit: Permit, now: float) -> None:
        if permit.found_slot is not None:
            let_go = self._brake.refused(
                now,
                max(self._pause.until - now, 0.0),
                asked=self._pause.asked,
                serial=permit.serial,
                slot=permit.found_slot,
                following=self._serial,
            )
            if let_go:
                self._window.unpaced(self._in_flight)

    def _give_up_or_go_on(self, now: float) -> None:
        if self._outage.too_long(now):
            self.stop(silent_too_long(self._outage.silent_for(now), self._outage.reason))
        else:
            self._line.move()

    # What the line asks its gate.

    def opens_at(self, now: float, want: int) -> float:
        """See ``line.Gate``."""
        at = self._gate(now, want)[0]
        if self.sharing is None or self.sharing.turn is not None or at > now:
            return at
        requests_s, tokens_s = self._requests.seconds_each, want * self._tokens.seconds_each
        if not (requests_s or tokens_s or self._brake.found.known):
            return at
        return self.sharing.ask(now, requests_s=requests_s, tokens_s=tokens_s)

    def let_through(self, now: float, want: int) -> Permit:
        """See ``line.Gate``."""
        self._hear_silence(now)
        permit = Permit(self, self._serial, want, probe=self._outage.down)
        self._serial += 1
        self._brake.log.sent()
        self._in_flight += 1
        self._window.sent(self._in_flight)
        if permit.probe:
            self._outage.probe = permit.serial
            self._outage.heard_at = now + self._silence.enough_s
        permit.request_slot = self._requests.take(now, 1)
        permit.token_slot = self._tokens.take(now, want)
        if self._learns_requests:
            permit.found_slot = self._brake.found.sent(now)
            self._silence.sent(now, permit)
        if self.sharing is not None:
            self.sharing.sent(now)
        return permit

    def turned_back(self, leave: Permit) -> None:
        """See ``line.Gate``."""
        leave.close()

    def _gate(self, now: float, tokens: int) -> tuple[float, str]:
        """The moment from which a request may go as things are, and what keeps it until then."""
        gates = [(self._pause.until, standing.PAUSED)]
        if self._outage.down:
            gates.append((self._outage.next_probe_at(), standing.DOWN))
        if self._in_flight >= (self._window.most if self._outage.down else self._window.size):
            gates.append((math.inf, standing.IN_FLIGHT))
        if self._requests.known:
            gates.append((self._requests.ready_at(now, 1), standing.REQUESTS))
        if self._brake.found.known:
            gates.append((self._brake.found.ready_at(), standing.REQUESTS))
        if self._tokens.known:
            gates.append((self._tokens.ready_at(now, tokens), standing.TOKENS))
        if self.sharing is not None and self.sharing.turn is not None:
            gates.append((self.sharing.turn, standing.REQUESTS))
        return max(gates, key=itemgetter(0)) if len(gates) > 1 else gates[0]

    def _heed(self, pace: PerMinute, left: float | None, reset_s: float | None) -> None:
        """Nothing is left until the reset: wait, unless the pace does that anyway."""
        if left is None or left > 0 or reset_s is None:
            return
        if (1 if pace.known else 0) <= reset_s <= LONGEST_PAUSE_S:
            why = "its headers say that a limit is used up"
            self._pause.ask(self._clock.monotonic(), reset_s, self._clock.random(), why)
