"""One question, one HTTP exchange. The only place where vbatch speaks to an endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from vbatch.endpoint import refusals, replies, seam
from vbatch.endpoint.connection import GuardedConnector, Upload
from vbatch.endpoint.deadlines import Deadlines
from vbatch.endpoint.models import ModelInfo, read_models
from vbatch.endpoint.reply import NotJsonError, Reply
from vbatch.endpoint.strings import OutsizedJsonError
from vbatch.endpoint.waits import limit_headers
from vbatch.errors import AmbiguousError, EndpointError, PermanentError
from vbatch.version import __version__

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from vbatch.clock import Clock
    from vbatch.endpoint.body import Body
    from vbatch.endpoint.limit_headers import LimitHeaders
    from vbatch.endpoint.settings import ClientSettings
    from vbatch.records import Completion

MAX_ERROR_BYTES = 256 * 1024
"""Of an error's body, as read; the rest is left on the wire."""
LONGEST_GAP_S = 30.0
"""After a longer sleep of the machine idle connections are taken for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A parsed answer. ``latency_s``: from sending to having read it; ``limits``: its headers'."""

    completion: Completion
    latency_s: float
    limits: LimitHeaders


class Client:
    """Asks one endpoint; safe to use from many tasks at once, inside ``async with``.

    Raises JobError when made for a proxy that cannot be used.
    """

    def __init__(self, settings: ClientSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._url = URL(settings.url(settings.path))
        self._models_url = URL(settings.url(settings.models_path))
        self._headers = {
            "Accept": "application/json",
            "User-Agent": f"vbatch/{__version__}",
            **settings.sent_headers(),
        }
        self._proxy = settings.proxy_url()
        self._secrets = settings.all_secrets()
        self._credentials = settings.unlikely_credentials()
        self._host = self._url.authority
        self._deadlines = Deadlines(
            timeout_s=settings.timeout_s, sweep_s=settings.sweep_s, clock=clock
        )
        self._seen_at = clock.time()
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._connector = self._make_connector()
        self._session = await self._open.enter_async_context(
            aiohttp.ClientSession(
                connector=self._connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=self._settings.connect_s,
                    sock_connect=self._settings.sock_connect_s,
                ),
                proxy=self._proxy,
                trust_env=False,
            )
        )
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
        reply = await self._exchange("POST", self._url, upload)
        completion = replies.read(
            reply, model=body.model, secrets=self._secrets, credentials=self._credentials
        )
        upload.note_answer(tag)
        return Answer(
            completion=completion,
            latency_s=self._clock.monotonic() - started,
            limits=limit_headers(
                reply.headers, reply.received_at, window_s=self._settings.limit_window_s
            ),
        )

    async def models(self) -> list[ModelInfo]:
        """Return the models the endpoint lists. Raises EndpointError."""
        reply = await self._exchange("GET", self._models_url, None)
        if not _is_success(reply.status):
            raise refusals.classify(reply, secrets=self._secrets)
        try:
            return read_models(reply.json(), vision_field=self._settings.vision_field)
        except (NotJsonError, OutsizedJsonError) as error:
            message = f"{self._host}: the list of models is no JSON ({error})"
            raise PermanentError("bad_response", message, suspect="wrong_url") from None

    async def _exchange(self, method: str, url: URL, upload: Upload | None) -> Reply:
        """One request and its whole reply, within one deadline."""
        try:
            with self._deadlines.attempt():
                response = await self._session.request(
                    method, url, data=upload, allow_redirects=False
                )
                return await self._read(response, upload)
        except seam.FOREIGN as error:
            raise seam.translate(
                error,
                host=self._host,
                connected=upload is not None and upload.handler is not None,
                secrets=self._secrets,
            ) from None

    async def _read(self, response: aiohttp.ClientResponse, upload: Upload | None) -> Reply:
        """Read an answer to its end, which frees its connection; closed where we stop before."""
        success = _is_success(response.status)
        try:
            if success and upload is not None and not upload.sent:
                raise self._hasty(response)
            cap = self._settings.max_response_bytes if success else MAX_ERROR_BYTES
            body = await _read_up_to(cap, response.content)
            if success and len(body) > cap:
                raise self._too_large(response)
        finally:
            if not response.content.at_eof():
                response.close()
        return Reply(
            status=response.status,
            headers=response.headers,
            body=body[:cap],
            received_at=self._clock.time(),
        )

    def _hasty(self, response: aiohttp.ClientResponse) -> EndpointError:
        return AmbiguousError(
            "bad_response",
            f"{self._host}: answered with {response.status} before it had the whole request",
            status=response.status,
        )

    def _too_large(self, response: aiohttp.ClientResponse) -> EndpointError:
        cap = self._settings.max_response_bytes
        return PermanentError(
            "response_too_large",
            f"{self._host}: the answer is larger than {cap:,} bytes",
            status=response.status,
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


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - HTTP


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
