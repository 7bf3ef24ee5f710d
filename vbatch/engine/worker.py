"""One row: prepare its images, ask, try again, and say how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from vbatch.endpoint import tokens, wire
from vbatch.endpoint.limits import Stopped
from vbatch.engine.backoff import backoff_s, let_go, waits_as_a_whole, without_frames
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
    Asked,
    BadRow,
    Completed,
    Completion,
    Event,
    Failed,
    Item,
    Outcome,
    PreparedImage,
    RemoteImage,
    SentImage,
    Stop,
    Tried,
)

if TYPE_CHECKING:
    from vbatch.clock import Clock
    from vbatch.endpoint.client import Client
    from vbatch.endpoint.limits import Limiter
    from vbatch.endpoint.permit import Permit
    from vbatch.engine.breakers import Breakers
    from vbatch.engine.feed import Row
    from vbatch.engine.outcomes import Origin, Stage
    from vbatch.engine.preparing import Preparing
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


@dataclass(frozen=True, slots=True)
class _Asking:
    """One attempt on its way."""

    item: Item
    tries: Tries
    images: tuple[SentImage, ...]
    body: wire.Body
    permit: Permit


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
    record: Record
    past: Callable[[str, str], Past]
    clock: Clock
    stop_run: Callable[[Stop], None]
    detail_merged: bool = False
    """Whether a gateway that takes one detail per request was asked for several."""
    under_way: dict[str, Tries] = field(default_factory=dict)
    """The rows being worked on, by id: what each is at."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _token_field: wire.TokenField | None = None
    _reserved_tokens: int = 0
    _writer: wire.Writer = field(init=False)

    def __post_init__(self) -> None:
        self._writer = wire.Writer(self.job)

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
            body = self._writer.body(question, item, images, self._token_field)
        except PermanentError as error:
            return await self._fail(item, tries, error.code, "request", error.message)
        self.detail_merged |= body.detail_merged
        estimate = tokens.estimate(question, images)
        tries.enter(Step.TURN, self.clock.monotonic())
        async with await self.limiter.acquire(estimate) as permit:
            if self._token_field not in {None, body.token_field}:  # refused meanwhile
                body = self._writer.body(question, item, images, self._token_field)
            self._check_budget(estimate)
            self._reserved_tokens += estimate
            try:
                return await self._exchange(_Asking(item, tries, images, body, permit))
            finally:
                self._reserved_tokens -= estimate

    async def _exchange(self, asking: _Asking) -> Outcome:
        """Send, and record how it ended before anyone hears of it."""
        asking.tries.sent += 1
        asking.tries.enter(Step.RECORDING, self.clock.monotonic())
        await self.record(self._asked(asking))
        started = self.clock.monotonic()
        asking.tries.enter(Step.SENT, started)
        try:
            answer = await self.client.ask(asking.body, tag=asking.item.id)
        except EndpointError as error:
            return await self._refused(asking, error, self.clock.monotonic() - started)
        asking.tries.enter(Step.RECORDING, self.clock.monotonic())
        result = result_of(
            asking.item,
            asking.images,
            self._priced(answer.completion),
            origin=self.origin,
            tries=asking.tries,
            past=self.past(asking.item.id, asking.item.row_digest),
            finished_at=self.clock.time(),
            latency_s=answer.latency_s,
        )
        await self.record(Completed(result=result, model=asking.body.model))
        self.limiter.learn(answer.limits)
        asking.permit.answered(result.completion.usage.total_tokens)
        self._watch(self.breakers.row_ended(result))
        return result

    async def _refused(self, asking: _Asking, error: EndpointError, elapsed_s: float) -> Outcome:
        """Record a failed attempt. Raises ``error`` where the row goes on, else the row fails."""
        item, tries = asking.item, asking.tries
        tries.enter(Step.RECORDING, tries.since + elapsed_s)
        stop = self.breakers.attempt_failed(error, elapsed_s)
        self._watch(stop)  # before the permit is given back, which nobody shall take
        tries.note(error, counts=self._tell_limiter(asking, error))
        if stop is not None:
            await self.record(self._tried(asking, error))
            raise Stopped(stop) from error
        if self._goes_on(asking, error):
            await self.record(self._tried(asking, error))
            raise error
        return await self._fail(
            item,
            tries,
            error.code,
            stage_of(error),
            _told(error, asking.body),
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

    def _goes_on(self, asking: _Asking, error: EndpointError) -> bool:
        if isinstance(error, PermanentError) and error.remedy is not None:
            return self._mend(asking, error.remedy)
        return asking.tries.may_go_on(error, self.job.retry)

    def _mend(self, asking: _Asking, remedy: Remedy) -> bool:
        """Change what the endpoint refused, once per row, and remember it for the run."""
        if remedy in asking.tries.mended:
            return False
        match remedy:
            case Remedy.INLINE:
                if self.job.images.send != "auto" or not _has(asking.images, RemoteImage):
                    return False
            case Remedy.SHRINK:
                if not _has(asking.images, PreparedImage):
                    return False
                self.preparing.too_large(asking.images)
            case Remedy.TOKEN_FIELD:
                self._token_field = _OTHER_TOKEN_FIELD[asking.body.token_field]
        asking.tries.mend(remedy)
        return True

    def _tell_limiter(self, asking: _Asking, error: EndpointError) -> bool:
        """Pass on what an attempt says of the whole endpoint; whether it counts for the row."""
        match error:
            case TransientError(code="too_many_open_files"):
                self.limiter.out_of_files()
                asking.permit.close()
                return False
            case PermanentError():
                asking.permit.refused()
                return True
            case _ if waits_as_a_whole(error):
                asking.permit.throttled(asking.item.id, error.message, error.retry_after_s)
                return False
        return asking.permit.trouble(asking.item.id, error.message)

    def _check_budget(self, estimate: int) -> None:
        stop = self.breakers.may_spend(self._reserved_tokens + estimate)
        if stop is not None:
            self.stop_run(stop)
            raise Stopped(stop)

    def _watch(self, stop: Stop | None) -> None:
        if stop is not None:
            self.stop_run(stop)

    def _priced(self, completion: Completion) -> Completion:
        usage = completion.usage
        cost = self.origin.cost(usage)
        if cost == usage.cost:
            return completion
        return replace(completion, usage=replace(usage, cost=cost))

    def _asked(self, asking: _Asking) -> Asked:
        return Asked(
            id=asking.item.id,
            row_digest=asking.item.row_digest,
            invocation=self.origin.invocation,
            at=self.clock.time(),
            attempt=asking.tries.sent,
            model=asking.body.model,
            endpoint=self.origin.endpoint,
            images=len(asking.images),
            image_bytes=asking.body.image_bytes,
        )

    def _tried(self, asking: _Asking, error: EndpointError) -> Tried:
        return Tried(
            id=asking.item.id,
            invocation=self.origin.invocation,
            at=self.clock.time(),
            model=asking.body.model,
            endpoint=self.origin.endpoint,
            attempt=attempt_of(error),
        )

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


def _has(images: tuple[SentImage, ...], kind: type) -> bool:
    return any(isinstance(image, kind) for image in images)


def _told(error: EndpointError, body: wire.Body) -> str:
    """What the failures table says of ``error``."""
    if error.code != "request_too_large":
        return error.message
    return f"{error.message} ({body.length:,} bytes were sent)"
