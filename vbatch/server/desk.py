"""One request from its bytes to the reply, through key, checks, limits, faults and the ledger."""

from __future__ import annotations

import asyncio
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import orjson

from vbatch.server import faults
from vbatch.server.answers import Answer, answer, twisted
from vbatch.server.chance import chance
from vbatch.server.checks import Ask, check, parse
from vbatch.server.ledger import Entry, Ledger
from vbatch.server.limits import Limits
from vbatch.server.pictures import Picture, Pictures
from vbatch.server.refusals import Refusal, told, worded
from vbatch.server.shapes import Envelope, body_of, cost_headers, error_inside
from vbatch.server.streams import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.clock import Clock
    from vbatch.server.dialects import Dialect
    from vbatch.server.eyes import Sight
    from vbatch.server.settings import ServerSettings

T = TypeVar("T")

_WITH_RETRY_AFTER = (429, 503)
_PAGE = b"<!doctype html><title>Gateway</title><h1>The gateway is being looked after</h1>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it came: ``key`` is the header the key stands in, ``version`` the address's."""

    key: str
    content_type: str
    version: str | None = None
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is to be delivered, and how badly."""

    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delivery: Literal["whole", "cut", "reset", "close", "hang"] = "whole"
    events: list[bytes] = field(default_factory=list)
    """The body in the pieces in which it is streamed."""


class Desk:
    """Where requests are answered; heavy work is done in threads of its own."""

    def __init__(
        self, settings: ServerSettings, dialect: Dialect, *, clock: Clock, ledger: Ledger
    ) -> None:
        self._settings = settings
        self._dialect = dialect
        self._clock = clock
        self._ledger = ledger
        self._pictures = Pictures(settings, dialect)
        self._limits = Limits(
            clock,
            requests=settings.requests_per_minute,
            tokens=settings.tokens_per_minute,
            window_s=dialect.window_s,
            names=dialect.limit_headers,
        )
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "vbatch-server")

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def check_key(self, header: str, *, prefix: str | None = None) -> None:
        """Raise Refusal (401) unless the header is ``prefix`` and the key that is set."""
        key = self._settings.api_key
        if key is None:
            return
        prefix = self._dialect.key_prefix if prefix is None else prefix
        if not hmac.compare_digest(_raw(header), _raw(prefix + key)):
            message = "Missing or incorrect API key."
            raise Refusal(401, message, code="invalid_api_key", kind="key")

    def _check_version(self, version: str | None) -> None:
        if version is None and self._dialect.version == "must":
            raise Refusal(404, "Resource not found", code="404")
        if version is not None and self._dialect.version == "never":
            raise Refusal(400, "api-version query parameter is not allowed when using /v1 path")

    async def reply(self, number: int, call: Call) -> Reply:
        """Return the reply to request ``number``, once it stands in the ledger."""
        entry = Entry(n=number, at=self._clock.time())
        try:
            self._check_room()
            self._check_version(call.version)
            self.check_key(call.key)
            ask, pictures = await self._in_thread(lambda: self._read(call))
        except Refusal as refusal:
            return self._recorded(entry, self._refused(refusal))
        entry = _with_question(entry, ask, pictures)
        try:
            return await self._worked(entry, ask, pictures)
        except Refusal as refusal:
            return self._recorded(entry, self._refused(refusal))

    def _check_room(self) -> None:
        limit = self._settings.max_in_flight
        if limit is not None and self._ledger.in_flight > limit:
            raise Refusal(429, f"Too many requests at once, at most {limit}.", code="concurrency")

    def _read(self, call: Call) -> tuple[Ask, tuple[Picture, ...]]:
        ask = check(parse(call.raw, call.content_type), self._dialect)
        pictures = tuple(self._pictures.get(ref.url, ref.detail) for ref in ask.references)
        self._check_bytes(ask, pictures)
        return ask, pictures

    def _check_bytes(self, ask: Ask, pictures: tuple[Picture, ...]) -> None:
        cap, encoded = self._dialect.max_request_bytes, self._dialect.reckons == "encoded"
        each = (p.encoded_bytes if encoded else p.reckoned_bytes for p in pictures)
        size = len(ask.text.encode()) + sum(each)
        if cap is not None and size > cap:
            message = f"The request is too large: {size} bytes of text and images, at most {cap}."
            code = "request_too_large"
            raise Refusal(400, message, code=code, param="messages", kind="request")

    async def _worked(self, entry: Entry, ask: Ask, pictures: tuple[Picture, ...]) -> Reply:
        self._check_budget()
        self._limits.take("requests")
        fault = self._settings.faults.draw(entry.n, self._settings.fault_seed)
        if fault is not None and (fault in faults.INSTEAD or faults.status_of(fault)):
            return self._recorded(replace(entry, fault=fault), self._instead(fault))
        given = await self._in_thread(lambda: self._answered(ask, pictures))
        given = twisted(given, fault)
        self._limits.take("tokens", given.total_tokens)
        await self._take_time(entry.n, fault)
        reply = self._shaped(given, entry, fault, ask)
        return self._recorded(_with_answer(entry, given, fault), reply)

    def _check_budget(self) -> None:
        budget = self._settings.token_budget
        if budget is not None and self._ledger.total_tokens >= budget:
            message = f"The key's budget of {budget} tokens is spent."
            raise Refusal(402, message, code="insufficient_quota")

    def _answered(self, ask: Ask, pictures: tuple[Picture, ...]) -> Answer:
        sights: list[Sight] = [self._pictures.see(picture) for picture in pictures]
        return answer(ask, sights, at_most=self._dialect.max_answer_tokens)

    async def _take_time(self, number: int, fault: str | None) -> None:
        spread = 1 / 2 + chance(self._settings.fault_seed, number, "latency")
        seconds = self._settings.latency_s * spread
        if fault == "slow":
            seconds += self._settings.slow_s
        if seconds > 0:
            await self._clock.sleep(seconds)

    def _shaped(self, given: Answer, entry: Entry, fault: str | None, ask: Ask) -> Reply:
        if fault in ("reset-after", "close-after"):
            return Reply(delivery="reset" if fault == "reset-after" else "close")
        envelope = Envelope(
            number=entry.n,
            created=int(entry.at),
            dialect=self._dialect,
            shape=self._settings.shape,
            with_usage=fault != "nousage",
        )
        body = body_of(given, envelope)
        reply = Reply(
            status=self._dialect.answer_status,
            body=orjson.dumps(body),
            headers=self._limits.headers() | cost_headers(given, envelope),
            delivery="cut" if fault == "cut" else "whole",
        )
        if not ask.stream:
            return reply
        said = events(body, with_usage=ask.stream_usage)
        return replace(reply, body=b"".join(said), content_type="text/event-stream", events=said)

    def _instead(self, fault: str) -> Reply:
        if status := faults.status_of(fault):
            after = self._settings.retry_after if status in _WITH_RETRY_AFTER else None
            headers = {} if after is None else {"Retry-After": after}
            return self._refused(Refusal(status, "A scripted fault.", headers=headers))
        inside = orjson.dumps(error_inside("A scripted fault.", self._dialect))
        ok = self._dialect.answer_status
        return {
            "hang": Reply(delivery="hang"),
            "reset-before": Reply(delivery="reset"),
            "close-before": Reply(delivery="close"),
            "garbage": Reply(status=ok, body=b'{"id": "chatcmpl-'),
            "html": Reply(status=ok, body=_PAGE, content_type="text/html"),
            "empty": Reply(status=ok),
            "error200": Reply(status=ok, body=inside),
        }[fault]

    def _refused(self, refusal: Refusal) -> Reply:
        refusal = worded(refusal, self._dialect)
        return Reply(
            status=refusal.status,
            body=orjson.dumps(told(refusal, self._dialect.error_form)),
            headers=self._limits.headers() | refusal.headers,
        )

    def _recorded(self, entry: Entry, reply: Reply) -> Reply:
        self._ledger.record(replace(entry, status=reply.status))
        return reply

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _raw(header: str) -> bytes:
    return header.encode(errors="surrogateescape")


def _with_question(entry: Entry, ask: Ask, pictures: tuple[Picture, ...]) -> Entry:
    return replace(
        entry,
        model=ask.model,
        prompt=ask.prompt,
        image_sha256=tuple(picture.sha256 for picture in pictures),
        media_types=tuple(picture.media_type for picture in pictures),
        urls=tuple(picture.url for picture in pictures),
    )


def _with_answer(entry: Entry, given: Answer, fault: str | None) -> Entry:
    return replace(
        entry,
        fault=fault,
        answered=True,
        prompt_tokens=given.prompt_tokens,
        completion_tokens=given.completion_tokens,
    )
