"""One question, one HTTP exchange. The only place where vbatch speaks to an endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from vbatch.endpoint import refusals, replies, seam
from vbatch.endpoint.connection import GuardedConnector
from vbatch.endpoint.deadlines import Deadlines
from vbatch.endpoint.events import BrokenStreamError
from vbatch.endpoint.exchange import Exchanges, Response, Upload
from vbatch.endpoint.models import ModelInfo, read_models
from vbatch.endpoint.reply import NotJsonError, Reply
from vbatch.endpoint.streamed import LongStreamError, Streamed
from vbatch.endpoint.strings import OutsizedJsonError, whole
from vbatch.endpoint.waits import limit_headers
from vbatch.errors import AmbiguousError, EndpointError, PermanentError, redact
from vbatch.version import __version__

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from vbatch.clock import Clock
    from vbatch.endpoint.body import Body
    from vbatch.endpoint.deadlines import Attempt
    from vbatch.endpoint.limit_headers import LimitHeaders
    from vbatch.endpoint.settings import ClientSettings
    from vbatch.records import Completion

MAX_ERROR_BYTES = 256 * 1024
"""Of an error's body, as read; the rest is left on the wire."""
LONGEST_GAP_S = 30.0
"""After a longer sleep of the machine idle connections are taken for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A parsed answer. ``latency_s``: from sending to having read it; ``limits``: its headers'.

    ``first_token_s``: from sending to the first word of an answer that was streamed.
    """

    completion: Completion
    latency_s: float
    limits: LimitHeaders
    first_token_s: float | None = None


class Client:
    """Asks one endpoint; safe to use from many tasks at once, inside ``async with``.

    Raises JobError when made for a proxy that cannot be used.
    """

    def __init__(self, settings: ClientSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._headers = {
            "Accept": "application/json",
            "User-Agent": f"vbatch/{__version__}",
        }
        proxy = settings.proxy_url()
        self._proxy = None if proxy is None else URL(proxy)
        self._secrets = settings.all_secrets()
        self._credentials = settings.unlikely_credentials()
        self._host = URL(settings.url(settings.path)).authority
        self._deadlines = Deadlines(
            timeout_s=settings.timeout_s, sweep_s=settings.sweep_s, clock=clock
        )
        self._seen_at = clock.time()
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._connector = self._make_connector()
        self._open.push_async_callback(self._connector.close)
        self._chats = self._exchanges("POST", self._settings.path)
        self._lists = self._exchanges("GET", self._settings.models_path)
        for chore in (self._deadlines.sweep(), self._watch_for_gaps()):
            task = asyncio.create_task(chore)
            self._open.push_async_callback(_end, task)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    @property
    def strayed(self) -> bool:
        """Whether an answer came that nobody asked for: then no connection is used twice."""
        return self._connector.strayed

    @property
    def suspect_ids(self) -> tuple[str, ...]:
        """Tags of answers given on a connection that strayed: they may be another's."""
        return self._connector.suspects

    async def ask(self, body: Body, *, tag: str = "") -> Answer:
        """Send ``body`` and return the answer. ``tag`` names the row among ``suspect_ids``.

        Raises EndpointError, in one of its branches, for whatever goes wrong.
        """
        self._look_for_a_gap()
        started = self._clock.monotonic()
        upload = Upload(body)
        reply = await self._exchange(self._chats, upload)
        completion = replies.read(
            reply, model=body.model, secrets=self._secrets, credentials=self._credentials
        )
        if self._settings.keep_raw:
            raw = redact(whole(reply.text()), self._credentials)
            completion = replace(completion, raw=raw)
        upload.note_answer(tag)
        return Answer(
            completion=completion,
            latency_s=self._clock.monotonic() - started,
            limits=limit_headers(
                reply.headers, reply.received_at, window_s=self._settings.limit_window_s
            ),
            first_token_s=None if reply.begun_at is None else reply.begun_at - started,
        )

    async def models(self) -> list[ModelInfo]:
        """Return the models the endpoint lists. Raises EndpointError."""
        reply = await self._exchange(self._lists, Upload(None))
        if not _is_success(reply.status):
            raise refusals.classify(reply, secrets=self._secrets)
        try:
            return read_models(reply.json(), vision_field=self._settings.vision_field)
        except (NotJsonError, OutsizedJsonError) as error:
            message = f"{self._host}: the list of models is no JSON ({error})"
            raise PermanentError("bad_response", message, suspect="wrong_url") from None

    async def _exchange(self, exchanges: Exchanges, upload: Upload) -> Reply:
        """One request and its whole reply, within one deadline."""
        try:
            with self._deadlines.attempt() as attempt:
                exchange = await exchanges.begin(upload)
                try:
                    return await self._read(await exchange.response(), upload, attempt)
                finally:
                    exchange.end()
        except seam.FOREIGN as error:
            ours = seam.translate(
                error,
                host=self._host,
                connected=upload.handler is not None,
                secrets=self._secrets,
            )
            for foreign in (error, error.__cause__):  # their frames hold the images that were sent
                if foreign is not None:
                    foreign.with_traceback(None)
            raise ours from None

    async def _read(self, response: Response, upload: Upload, attempt: Attempt) -> Reply:
        """Read an answer to its end, or as far as it may be long."""
        success = _is_success(response.status)
        if success and not upload.sent:
            raise self._hasty(response)
        if success and _is_stream(response):
            return await self._read_stream(response, attempt)
        cap = self._settings.max_response_bytes if success else MAX_ERROR_BYTES
        body = await _read_up_to(cap, response.content)
        if success and len(body) > cap:
            raise self._too_large(response)
        return Reply(
            status=response.status,
            headers=response.headers,
            body=body[:cap],
            received_at=self._clock.time(),
        )

    async def _read_stream(self, response: Response, attempt: Attempt) -> Reply:
        """Read a streamed answer; silence, not its length, is what ends the patience with it."""
        settings = self._settings
        streamed = Streamed(
            response,
            cap=settings.max_response_bytes,
            patience_s=settings.timeout_s,
            clock=self._clock,
        )
        begun_at = None
        try:
            async for _ in streamed.events():
                self._deadlines.renew(attempt)
                if begun_at is None and streamed.begun:
                    begun_at = self._clock.monotonic()
            body = streamed.body()
        except LongStreamError:
            raise self._too_large(response) from None
        except BrokenStreamError as error:
            raise AmbiguousError(
                "bad_response", f"{self._host}: {error}", status=response.status
            ) from None
        return Reply(
            status=response.status,
            headers=response.headers,
            body=body,
            received_at=self._clock.time(),
            begun_at=begun_at,
        )

    def _hasty(self, response: Response) -> EndpointError:
        return AmbiguousError(
            "bad_response",
            f"{self._host}: answered with {response.status} before it had the whole request",
            status=response.status,
        )

    def _too_large(self, response: Response) -> EndpointError:
        cap = self._settings.max_response_bytes
        return PermanentError(
            "response_too_large",
            f"{self._host}: the answer is larger than {cap:,} bytes",
            status=response.status,
        )

    def _exchanges(self, method: str, path: str) -> Exchanges:
        post = {"Content-Type": "application/json"} if method == "POST" else {}
        return Exchanges(
            self._connector,
            method,
            URL(self._settings.url(path)),
            headers={**post, **self._headers, **self._settings.sent_headers(for_models=not post)},
            proxy=self._proxy,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=self._settings.connect_s,
                sock_connect=self._settings.sock_connect_s,
            ),
        )

    def _make_connector(self) -> GuardedConnector:
        settings = self._settings
        if not settings.keep_alive:
            return GuardedConnector(limit=settings.connections, force_close=True)
        return GuardedConnector(limit=settings.connections, keepalive_timeout=settings.keep_alive_s)

    async def _watch_for_gaps(self) -> None:
        """Drop idle connections when the machine has slept or its clock was set."""
        while True:
            await self._clock.sleep(self._settings.sweep_s)
            self._look_for_a_gap()

    def _look_for_a_gap(self) -> None:
        now = self._clock.time()
        if abs(now - self._seen_at) > LONGEST_GAP_S:
            self._connector.drop_idle()
        self._seen_at = now


async def _read_up_to(cap: int, content: aiohttp.StreamReader) -> bytes:
    """Return the whole stream, or what had come when it was more than ``cap`` bytes."""
    chunks = [await content.readany()]
    size = len(chunks[0])
    while size <= cap and not content.at_eof():
        chunks.append(await content.readany())
        size += len(chunks[-1])
    return b"".join(chunks)


def _is_stream(response: Response) -> bool:
    return response.headers.get("Content-Type", "").lower().startswith("text/event-stream")


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - HTTP


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
