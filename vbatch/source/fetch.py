"""Images behind http(s) URLs, fetched by us: only from public addresses, and never for ever."""

from __future__ import annotations

import asyncio
import errno
import io
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from vbatch.errors import ImageError
from vbatch.source.addresses import is_public, literal_address
from vbatch.source.allowance import NoRoomError
from vbatch.source.image_files import is_ours, looks_like_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.abc import ResolveResult

    from vbatch.clock import Clock
    from vbatch.source.allowance import Room

MAX_REDIRECTS = 5
BACKOFFS_S = (0.5, 1.0, 2.0)
"""Before the second, third and fourth try of what may pass."""
OUT_OF_FILES_WAIT_S = 1.0

_CONNECTIONS = 64
_CONNECT_S = 10.0
_SILENCE_S = 20.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_MAY_PASS = frozenset({408, 425, 429})
_OK = 200
_SHOWN = 200
_SERVER_TROUBLE = 500
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "vbatch"}


class _PassingError(Exception):
    """What a later try may not meet again."""


class _OutOfFilesError(Exception):
    """No file descriptor is free just now; not counted as a try."""


class UrlFetcher:
    """Fetches images of at most ``cap_bytes``, each within ``deadline_s`` seconds, tries included.

    Those seconds begin when it may connect: before that it waits for its turn, as long as need be.
    Connects to no address that ``may_reach`` refuses; every redirect is looked at again. Sends no
    cookie, key or password, asks no proxy and no netrc.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        cap_bytes: int,
        may_reach: Callable[[str], bool] = is_public,
        resolver: AbstractResolver | None = None,
        deadline_s: float = 60.0,
    ) -> None:
        self._clock = clock
        self._cap_bytes = cap_bytes
        self._may_reach = may_reach
        self._resolver = resolver
        self._deadline_s = deadline_s
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, held: int = 0, room: Room | None = None) -> bytes:
        """The bytes behind ``url``. What exceeds the ``held`` ones must find ``room``.

        Raises NoRoomError where it does not, rather than wait with a server on the line; and
        ImageError: ``image_forbidden`` (a private address), ``image_not_found`` (404, 410),
        ``image_unreadable`` (anything else, once tries or time are used up).
        """
        parsed = _parsed(url)
        body = _Body(self._cap_bytes, held, room)
        async with self._turns:
            fetching = asyncio.ensure_future(self._try_often(parsed, body))
            alarm = asyncio.ensure_future(self._clock.sleep(self._deadline_s))
            try:
                await asyncio.wait((fetching, alarm), return_when=asyncio.FIRST_COMPLETED)
                if fetching.done():
                    return fetching.result()
            finally:
                await _end(fetching, alarm)
        raise _unreadable(url, f"not there after {self._deadline_s:g} s")

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _try_often(self, url: URL, body: _Body) -> bytes:
        backoffs = iter(BACKOFFS_S)
        while True:
            try:
                return await self._follow(url, body)
            except _OutOfFilesError:
                wait_s = OUT_OF_FILES_WAIT_S
            except _PassingError as error:
                wait_s = next(backoffs, 0.0)
                if not wait_s:
                    raise _unreadable(url, str(error)) from error
            await self._clock.sleep(wait_s * (0.5 + self._clock.random()))

    async def _follow(self, url: URL, body: _Body) -> bytes:
        """One try, over at most ``MAX_REDIRECTS`` redirects."""
        try:
            for _ in range(MAX_REDIRECTS + 1):
                self._check_spelling(url)
                async with self._open_session().get(url, allow_redirects=False) as reply:
                    if reply.status not in _REDIRECTS:
                        return await _read(url, reply, body)
                    url = _target(url, reply.headers.get("Location"))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _ours(error, url) from error
        raise _unreadable(url, f"more than {MAX_REDIRECTS} redirects")

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = self._resolver or aiohttp.ThreadedResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_CONNECTIONS,
                    resolver=_GuardedResolver(resolver, self._may_reach),
                    socket_factory=self._socket,
                    happy_eyeballs_delay=None,
                ),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                trust_env=False,
            )
        return self._session

    def _check_spelling(self, url: URL) -> None:
        """Name odd spellings for what they are; the client would refuse some, as bad URLs."""
        address = literal_address(url.host or "")
        if address is not None and not self._may_reach(address):
            raise _forbidden(address if address == url.host else f"{url.host} ({address})")

    def _socket(self, address: Any) -> socket.socket:
        """Asked for every connection, with the very address it goes to; literals come here only."""
        family, kind, protocol, _, where = address
        if not self._may_reach(where[0]):
            raise _forbidden(where[0])
        return socket.socket(family, kind, protocol)


class _Body:
    """What is being fetched, and the bytes held for it; those outlast a try that failed."""

    def __init__(self, cap_bytes: int, held: int, room: Room | None) -> None:
        self._cap_bytes = cap_bytes
        self._held = held
        self._room = room

    def reaches(self, size: int, url: URL, *, known: bool = False) -> None:
        """It has ``size`` bytes by now, or in all if that is ``known``.

        Raises ImageError above the cap, and NoRoomError.
        """
        if size > self._cap_bytes:
            raise _unreadable(url, f"more than {self._cap_bytes} bytes")
        if self._room is None or size <= self._held:
            return
        needed = size if known else min(max(size, 2 * self._held), self._cap_bytes)
        if not self._room.grow(needed - self._held):
            raise NoRoomError(held=self._held, missing=needed - self._held)
        self._held = needed


class _GuardedResolver(AbstractResolver):
    """Refuses a name as soon as any of its addresses may not be reached."""

    def __init__(self, resolver: AbstractResolver, may_reach: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._may_reach = may_reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if not self._may_reach(result["host"]):
                raise _forbidden(f"{host} ({result['host']})")
        return found

    async def close(self) -> None:  # pragma: no cover - the base class asks for it, nobody calls it
        await self._resolver.close()


def _parsed(text: str) -> URL:
    """``text`` as a URL, its escapes as they are (it may be signed), without user and password."""
    try:
        url = _as_url(text)
        if url.scheme in ("http", "https") and url.host:
            return url.with_user(None)
    except ValueError as error:
        raise _unreadable(text, f"no valid URL: {error}") from error
    raise _unreadable(text, "only http and https URLs with a host can be fetched")


def _as_url(text: str) -> URL:
    return URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)


def _target(url: URL, location: str | None) -> URL:
    if not location:
        raise _unreadable(url, "a redirect without a target")
    target = url.join(_as_url(location))
    if target.scheme not in (url.scheme, "https"):
        raise ImageError(
            "image_forbidden", f"{_shown(url)} redirects to {_shown(target)}, which is not followed"
        )
    return target.with_user(None)


async def _read(url: URL, reply: aiohttp.ClientResponse, body: _Body) -> bytes:
    if reply.status in _GONE:
        raise ImageError("image_not_found", f"{_shown(url)} answers {reply.status}: not there")
    if reply.status in _MAY_PASS or reply.status >= _SERVER_TROUBLE:
        raise _PassingError(f"it answers {reply.status}")
    if reply.status != _OK:
        raise _unreadable(url, f"it answers {reply.status}")
    body.reaches(reply.content_length or 0, url, known=True)
    held = io.BytesIO()  # gives its bytes away without a copy
    async for chunk in reply.content.iter_any():
        held.write(chunk)
        body.reaches(held.tell(), url)
    data = held.getvalue()
    if _is_page(data, reply.content_type):
        raise _unreadable(url, "it answers with a web page, not with an image")
    return data


def _is_page(data: bytes, content_type: str) -> bool:
    head = data[:2048]
    return not is_ours(head) and (content_type == "text/html" or looks_like_html(head))


def _ours(error: Exception, url: URL) -> Exception:
    """What a foreign error means for the image: for ever, for now, or not the image's fault."""
    number = getattr(error, "errno", None)
    if number in (errno.EMFILE, errno.ENFILE):
        return _OutOfFilesError(str(error))
    final = (aiohttp.InvalidURL, aiohttp.ClientSSLError, ValueError)
    if isinstance(error, final):
        return _unreadable(url, _said(error))
    return _PassingError(_said(error))


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _forbidden(where: str) -> ImageError:
    return ImageError(
        "image_forbidden",
        f"{where} is not a public address; [images] allow_private_urls = true permits it",
    )


def _unreadable(url: URL | str, reason: str) -> ImageError:
    return ImageError("image_unreadable", f"{_shown(url)} cannot be fetched: {reason}")


def _shown(url: URL | str) -> str:
    """``url`` without query, fragment and password: they can hold signatures."""
    return str(url).partition("?")[0].partition("#")[0][:_SHOWN]


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
