"""One row: prepare its images, ask, try again, and say how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from vbatch.endpoint import lines, tokens, wire
from vbatch.endpoint.limits import Stopped
from vbatch.engine.answers import Answers, UnfitError
from vbatch.engine.asking import Asking, Ready, asked, has, told, tried
from vbatch.engine.backoff import backoff_s, let_go, waits_as_a_whole, without_frames
from vbatch.engine.budgets import Budgets
from vbatch.engine.outcomes import attempt_of, failure_of, result_of, stage_of
from vbatch.engine.tries import Step, Tries
from vbatch.errors import (
    EndpointError,
    ImageError,
    PermanentError,
    Remedy,
    TransientError,
    redact,
)
from vbatch.records import (
    BadRow,
    Completed,
    Completion,
    Event,
    Failed,
    Item,
    Outcome,
    PreparedImage,
    RemoteImage,
    Result,
    SentImage,
    Stop,
    Usage,
)

if TYPE_CHECKING:
    from vbatch.clock import Clock
    from vbatch.endpoint.client import Client
    from vbatch.endpoint.limits import Limiter
    from vbatch.engine.breakers import Breakers
    from vbatch.engine.feed import Row
    from vbatch.engine.outcomes import Origin, Stage
    from vbatch.engine.preparing import Preparing
    from vbatch.engine.same import Same
    from vbatch.job import Job
    from vbatch.state import Past

Record = Callable[[Event], Awaitable[None]]

_OTHER_TOKEN_FIELD: dict[wire.TokenField, wire.TokenField] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


@dataclass(frozen=True, slots=True)
class Again:
    """A row that is worth another try. It holds no image meanwhile."""

    item: Item
    tries: Tries
    error: EndpointError


@dataclass(slots=True, kw_only=True)
class Worker:
    """Answers rows one by one; safe to use from many tasks at once.

    Every event is recorded before ``answer`` or ``again`` returns. Both return None where the run
    stops first: the row stays to do. ``stop_run`` is called with a reason to stop when one shows.
    """

    job: Job
    origin: Origin
    preparing: Preparing
    client: Client
    limiter: Limiter
    breakers: Breakers
    budgets: Budgets = field(default_factory=Budgets)
    record: Record
    past: Callable[[str, str], Past]
    clock: Clock
    stop_run: Callable[[Stop], None]
    same: Same | None = None
    """Where questions that were asked before find their answers."""
    found_again: int = 0
    """Rows that were answered without asking."""
    detail_merged: bool = False
    """Whether a gateway that takes one detail per request was asked for several."""
    under_way: dict[str, Tries] = field(default_factory=dict)
    """The rows being worked on, by id: what each is at."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _token_field: wire.TokenField | None = None
    _writer: wire.Writer = field(init=False)
    _answers: Answers = field(init=False)

    def __post_init__(self) -> None:
        self._writer = wire.Writer(self.job)
        self._answers = Answers(self.job)

    async def answer(self, row: Row) -> Outcome | Again | None:
        """The row's first attempt, without the machinery of retries."""
        tries = Tries(first_at=self.clock.time())
        if isinstance(row, BadRow):
            return await self._fail(row, tries, "bad_row", "manifest", row.message)
        self.under_way[row.id] = tries
        try:
            return await self._attempt(row, tries)
        except EndpointError as error:
            return Again(row, tries, without_frames(error))
        except Stopped as stopped:
            self.stop_run(stopped.stop)
            return None
        finally:
            del self.under_way[row.id]

    async def again(self, row: Again) -> Outcome | None:
        """The row's further attempts, until it is answered, fails, or the run stops."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, EndpointError)),
            wait=self._wait_after,
            sleep=self._nap,
            before_sleep=let_go,
            reraise=True,
        )
        self.under_way[row.item.id] = row.tries
        try:
            row.tries.enter(Step.NAP, self.clock.monotonic())
            await self._nap(self._wait_s(row.error, row.tries))
            return await retrying(self._attempt, row.item, row.tries)
        except Stopped as stopped:
            self.stop_run(stopped.stop)
            return None
        finally:
            del self.under_way[row.item.id]

    def stop(self, stop: Stop) -> None:
        """Send nothing more; what waits, or prepares its images, gives up its turn."""
        self._stopping.set()
        self.budgets.stop(stop)
        self.limiter.stop(stop)
        self.preparing.stop(stop)

    async def _attempt(self, item: Item, tries: Tries) -> Outcome:
        """One attempt. Raises the EndpointError when the row is to be tried again."""
        tries.enter(Step.PREPARING, self.clock.monotonic())
        urls = self.preparing.urls(item, tries)
        if urls is not None:
            return await self._send(item, tries, urls)
        try:
            async with self.preparing.images(item, tries) as images:
                return await self._send(item, tries, images)
        except ImageError as error:
            code = "image_unreachable" if Remedy.INLINE in tries.mended else error.code
            return await self._fail(item, tries, code, "image", error.message)

    async def _send(self, item: Item, tries: Tries, images: tuple[SentImage, ...]) -> Outcome:
        try:
            question = self._writer.question(item)
            body = self._body(question, item, images, tries)
        except PermanentError as error:
            return await self._fail(item, tries, error.code, "request", error.message)
        self.detail_merged |= body.detail_merged
        ready = Ready(item, tries, images, question, body)
        if self.same is None or tries.unfit is not None:
            return await self._in_turn(ready)
        async with self.same.turn(self.same.key(body, images), self._fit) as turn:
            if turn.known is not None:
                return await self._known(ready, turn.known)
            outcome = await self._in_turn(ready)
            if isinstance(outcome, Result):
                turn.answer = outcome.completion
            return outcome

    async def _in_turn(self, ready: Ready) -> Outcome:
        item, tries, images, question, body = ready
        read, shown = lines.looked_into(question, item, images)
        estimate = tokens.estimate(read, shown)
        tries.enter(Step.TURN, self.clock.monotonic())
        prompt, cap = estimate - tokens.of_answer(read), tokens.cap_of(read)
        with await self.budgets.reserve(body.model, prompt, cap, row=item.id) as hold:
            async with await self.limiter.acquire(estimate) as permit:
                if self._token_field not in {None, body.token_field}:  # refused meanwhile
                    body = self._body(question, item, images, tries)
                return await self._exchange(Asking(item, tries, images, body, permit, hold))

    def _fit(self, kept: Completion) -> Completion | None:
        """An answer from elsewhere as this job wants it; None where it breaks the schema."""
        try:
            return self._answers.checked(kept)
        except UnfitError:
            return None

    async def _known(self, ready: Ready, completion: Completion) -> Outcome:
        """The answer that the same question had before."""
        item, tries = ready.item, ready.tries
        tries.enter(Step.RECORDING, self.clock.monotonic())
        result = result_of(
            item,
            ready.images,
            completion,
            origin=self.origin,
            tries=tries,
            past=self.past(item.id, item.row_digest),
            finished_at=self.clock.time(),
            latency_s=0.0,
        )
        await self.record(Completed(result=result, model=ready.body.model))
        self.found_again += 1
        return result

    def _body(
        self, question: wire.Question, item: Item, images: tuple[SentImage, ...], tries: Tries
    ) -> wire.Body:
        unfit = tries.unfit
        said = None if unfit is None else (unfit.text, unfit.complaint)
        return self._writer.body(question, item, images, self._token_field, unfit=said)

    async def _exchange(self, asking: Asking) -> Outcome:
        """Send, and record how it ended before anyone hears of it."""
        asking.tries.sent += 1
        asking.tries.enter(Step.RECORDING, self.clock.monotonic())
        await self.record(asked(asking, self.origin, self.clock.time()))
        started = self.clock.monotonic()
        asking.tries.enter(Step.SENT, started)
        try:
            answer = await self.client.ask(asking.body, tag=asking.item.id)
            completion = self._answers.checked(answer.completion)
        except EndpointError as error:
            return await self._refused(asking, error, self.clock.monotonic() - started)
        asking.tries.enter(Step.RECORDING, self.clock.monotonic())
        result = result_of(
            asking.item,
            asking.images,
            self._with_price(completion, asking),
            origin=self.origin,
            tries=asking.tries,
            past=self.past(asking.item.id, asking.item.row_digest),
            finished_at=self.clock.time(),
            latency_s=answer.latency_s,
            first_token_s=answer.first_token_s,
        )
        await self.record(Completed(result=result, model=asking.body.model))
        asking.hold.answered(result.completion.usage)
        self.limiter.learn(answer.limits)
        asking.permit.answered(result.completion.usage.total_tokens)
        self._watch(self.breakers.row_ended(result))
        return result

    async def _refused(self, asking: Asking, error: EndpointError, elapsed_s: float) -> Outcome:
        """Record a failed attempt. Raises ``error`` where the row goes on, else the row fails."""
        item, tries = asking.item, asking.tries
        tries.enter(Step.RECORDING, tries.since + elapsed_s)
        if error.usage is not None:
            error.usage = self._priced(error.usage, asking)
        asking.hold.failed(error)
        stop = self.breakers.attempt_failed(error, elapsed_s)
        self._watch(stop)  # before the permit is given back, which nobody shall take
        tries.note(error, counts=self._tell_limiter(asking, error))
        if stop is not None:
            await self.record(tried(asking, error, self.origin, self.clock.time()))
            raise Stopped(stop) from error
        if self._goes_on(asking, error):
            await self.record(tried(asking, error, self.origin, self.clock.time()))
            raise error
        return await self._fail(
            item,
            tries,
            error.code,
            stage_of(error),
            told(error, asking.body),
            model=asking.body.model,
            error=error,
        )

    async def _fail(
        self,
        row: Row,
        tries: Tries,
        code: str,
        stage: Stage,
        message: str,
        *,
        model: str | None = None,
        error: EndpointError | None = None,
    ) -> Outcome:
        failure = failure_of(
            row,
            code=code,
            stage=stage,
            message=redact(message, self.job.secrets),
            error=error,
            origin=self.origin,
            tries=tries,
            past=self.past(row.id, row.row_digest),
            at=self.clock.time(),
        )
        await self.record(
            Failed(
                failure=failure,
                model=model or self.origin.model,
                endpoint=self.origin.endpoint,
                attempt=attempt_of(error) if error else None,
            )
        )
        self._watch(self.breakers.row_ended(failure))
        return failure

    def _goes_on(self, asking: Asking, error: EndpointError) -> bool:
        if isinstance(error, UnfitError) and error.remedy is not None:
            return asking.tries.may_ask_again(error.unfit, self.job.retry)
        if isinstance(error, PermanentError) and error.remedy is not None:
            return self._mend(asking, error.remedy)
        return asking.tries.may_go_on(error, self.job.retry)

    def _mend(self, asking: Asking, remedy: Remedy) -> bool:
        """Change what the endpoint refused, once per row, and remember it for the run."""
        if remedy in asking.tries.mended:
            return False
        match remedy:
            case Remedy.INLINE:
                if self.job.images.send != "auto" or not has(asking.images, RemoteImage):
                    return False
            case Remedy.SHRINK:
                if not has(asking.images, PreparedImage):
                    return False
                self.preparing.too_large(asking.images)
            case Remedy.TOKEN_FIELD:
                self._token_field = _OTHER_TOKEN_FIELD[asking.body.token_field]
        asking.tries.mend(remedy)
        return True

    def _tell_limiter(self, asking: Asking, error: EndpointError) -> bool:
        """Pass on what an attempt says of the whole endpoint; whether it counts for the row."""
        match error:
            case TransientError(code="too_many_open_files"):
                self.limiter.out_of_files()
                asking.permit.close()
                return False
            case PermanentError():
                asking.permit.refused(error.usage.total_tokens if error.usage else None)
                return True
            case _ if waits_as_a_whole(error):
                asking.permit.throttled(asking.item.id, error.message, error.retry_after_s)
                return False
        return asking.permit.trouble(asking.item.id, error.message)

    def _watch(self, stop: Stop | None) -> None:
        if stop is not None:
            self.stop_run(stop)

    def _with_price(self, completion: Completion, asking: Asking) -> Completion:
        usage = self._priced(completion.usage, asking)
        return completion if usage is completion.usage else replace(completion, usage=usage)

    def _priced(self, usage: Usage, asking: Asking) -> Usage:
        cost = self.origin.price.cost(usage, asking.body.model)
        return usage if cost is usage.cost else replace(usage, cost=cost)

    def _wait_after(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        tries: Tries = state.args[1]
        return self._wait_s(error, tries) if isinstance(error, EndpointError) else 0.0

    def _wait_s(self, error: EndpointError, tries: Tries) -> float:
        return backoff_s(
            error,
            sent=tries.sent,
            max_wait_s=self.job.retry.max_wait,
            luck=self.clock.random(),
        )

    async def _nap(self, seconds: float) -> None:
        """Sleep, unless the run stops first."""
        if seconds > 0 and not self._stopping.is_set():
            naps = [
                asyncio.ensure_future(self.clock.sleep(seconds)),
                asyncio.ensure_future(self._stopping.wait()),
            ]
            try:
                await asyncio.wait(naps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for nap in naps:
                    nap.cancel()
        if self._stopping.is_set():
            await self.limiter.acquire()  # raises Stopped
