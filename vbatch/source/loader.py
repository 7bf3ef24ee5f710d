"""All images of a row, from wherever they are, ready to be sent."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

from vbatch.errors import ImageError
from vbatch.records import PreparedImage, RemoteImage
from vbatch.source import data_uris, images
from vbatch.source.addresses import is_literally_private, is_public
from vbatch.source.allowance import Allowance, NoRoomError, Usual
from vbatch.source.disk import Disk, OutOfFilesError
from vbatch.source.fetch import UrlFetcher
from vbatch.source.once import Once
from vbatch.source.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vbatch.clock import Clock
    from vbatch.records import ImageLimits, ImageSource, SentImage
    from vbatch.source.allowance import Room

T = TypeVar("T")

CAP_BYTES = 256_000_000
"""Of one image as it is read, before anything is made smaller."""
URL_HINT_BYTES = 2_000_000
"""Reserved for a URL, whose size nobody knows before it is fetched. More must find room."""
DECODED_BYTES = 128_000_000
"""Of pixels held at one time, over all threads; one larger picture goes alone.

Ten photographs of 12 megapixels, halved as they are decoded, or two of them as PNG.
"""

_WEB = re.compile(r"https?://", re.IGNORECASE)
_PLAIN_HTTPS = re.compile(r"https://([A-Za-z0-9.-]+)/")
"""What nearly all URLs begin like; a whole parse of each takes four times as long."""
_is_private_host = lru_cache(4096)(is_literally_private)

_OUT_OF_FILES_WAIT_S = 0.5
_OUT_OF_FILES_TRIES = 120


class ImageLoader:
    """Loads the images of many rows at once: URLs on the event loop, everything else in threads.

    A file that several rows use is read and prepared once as long as one of them holds it.

    ``send`` and ``urls`` (whether the endpoint takes any) decide what goes as a URL. ``max_count``
    images and ``max_request_bytes`` (before base64, of all images together) are the endpoint's caps
    on one request; None: no cap.
    """

    def __init__(
        self,
        *,
        limits: ImageLimits,
        send: Literal["auto", "inline", "url"],
        urls: bool,
        roots: Sequence[Path],
        allow_private_urls: bool,
        max_count: int | None,
        max_request_bytes: int | None,
        clock: Clock,
        threads: int | None = None,
    ) -> None:
        self._limits = limits
        self._send = send
        self._urls = urls
        self._max_count = max_count
        self._max_request_bytes = max_request_bytes
        self._clock = clock
        self._disk = Disk(roots, cap_bytes=CAP_BYTES)
        self._fetcher = UrlFetcher(
            clock=clock,
            cap_bytes=CAP_BYTES,
            may_reach=_anywhere if allow_private_urls else is_public,
        )
        self._threads = Threads(threads or _cores(), "images")
        self._once: Once[PreparedImage] = Once()
        self._usual = Usual()
        self._room = _Room(DECODED_BYTES)

    def as_urls(self, images: Sequence[ImageSource]) -> tuple[SentImage, ...] | None:
        """``images`` if all of them go as URLs, so that nothing has to be read; else None."""
        too_many = self._max_count is not None and len(images) > self._max_count
        if too_many or not all(map(self._goes_as_url, images)):
            return None
        return tuple(map(_remote, images))

    async def load(
        self,
        images: Sequence[ImageSource],
        *,
        inline: bool = False,
        shrink: float = 1.0,
        room: Room | None = None,
        granted: int = 0,
    ) -> tuple[SentImage, ...]:
        """``images`` in their order, each a URL or bytes within the limits.

        ``inline``: URLs are fetched too. ``shrink`` below 1: longer side and bytes times that.
        ``room``: where what exceeds ``granted`` is held, the ``size_hint`` that was asked for.
        Raises ImageError. After a cancellation a thread may finish its work; nobody waits for it.
        """
        if self._max_count is not None and len(images) > self._max_count:
            raise ImageError(
                "too_many_images",
                f"{len(images)} images in one request; the endpoint takes {self._max_count}",
            )
        remote = [not inline and self._goes_as_url(image) for image in images]
        if all(remote):
            return tuple(_remote(image) for image in images)
        ours = [image for image, is_remote in zip(images, remote, strict=True) if not is_remote]
        rest = [image for image in images if image.kind != "path"]
        of_files = granted - self.size_hint(rest, inline=inline)
        fetched = await self._fetched(ours, room)
        prepared = iter(await self._prepared(fetched, shrink, room, of_files))
        return tuple(
            _remote(image) if is_remote else next(prepared)
            for image, is_remote in zip(images, remote, strict=True)
        )

    def size_hint(self, images: Sequence[ImageSource], *, inline: bool = False) -> int:
        """Bytes to reserve before ``load``; a file is as large as they usually are."""
        return sum(self._size_hint(image, inline=inline) for image in images)

    def changed_at(self, images: Sequence[ImageSource]) -> float:
        """When the newest of the files among ``images`` changed, by a glance. Never raises."""
        paths = [image.ref or "" for image in images if image.kind == "path"]
        return max(map(self._disk.changed_at, paths), default=0.0)

    def digests(self, images: Sequence[ImageSource]) -> list[str | None]:
        """sha256 of the bytes ``load`` would make of each image, None for URLs. Blocks.

        Raises ImageError and OutOfFilesError.
        """
        ours = [image for image in images if image.kind != "url"]
        made = iter(self._fitted(ours, self._each(ours, 1.0, Allowance(None))))
        return [None if image.kind == "url" else next(made).sha256 for image in images]

    async def close(self) -> None:
        """Close connections and threads.

        Nobody waits for an image that is just being prepared: reading it may hang, as on a network
        disk whose server is gone.
        """
        await self._fetcher.close()
        self._threads.close()

    def _goes_as_url(self, image: ImageSource) -> bool:
        if self._send == "inline" or not _is_web(image):
            return False
        return self._send == "url" or (self._urls and _is_public_https(image.ref or ""))

    def _size_hint(self, image: ImageSource, *, inline: bool) -> int:
        if image.data is not None:
            return len(image.data)
        ref = image.ref or ""
        if _is_web(image):
            return 0 if not inline and self._goes_as_url(image) else URL_HINT_BYTES
        if image.kind == "data_uri":
            return len(ref) + data_uris.size(ref)
        return self._usual.guess

    async def _fetched(self, images: Sequence[ImageSource], room: Room | None) -> list[ImageSource]:
        """``images`` with the bytes of those that are URLs, fetched side by side."""
        urls = [image for image in images if _is_web(image)]
        if not urls:
            return list(images)
        tasks = [asyncio.ensure_future(self._fetch(image.ref or "", room)) for image in urls]
        try:
            bodies = iter(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
        return [replace(image, data=next(bodies)) if _is_web(image) else image for image in images]

    async def _fetch(self, url: str, room: Room | None) -> bytes:
        """The bytes behind ``url``, asked for once more where there was no room for them."""
        held = URL_HINT_BYTES
        while True:
            try:
                return await self._fetcher.get(url, held=held, room=room)
            except NoRoomError as error:
                held = await _grown(room, error)

    async def _prepared(
        self, images: Sequence[ImageSource], shrink: float, room: Room | None, granted: int
    ) -> list[PreparedImage]:
        """One hop to a thread for all that no other row makes; one more if they are too large."""
        keys = [_key(image, shrink) for image in images]
        allowance = Allowance(None if room is None else granted)

        def make(places: list[int]) -> Awaitable[list[PreparedImage]]:
            wanted = [images[at] for at in places]
            return self._hop(partial(self._each, wanted, shrink, allowance))

        while True:
            try:
                made = await self._once.get(keys, make)
                break
            except NoRoomError as error:
                short = error.with_traceback(None)  # its frames hold images
            allowance.grant(await _grown(room, short))  # by now nobody waits for what we make
        if _share([len(image.data) for image in made], self._max_request_bytes) is None:
            return made
        return await self._hop(lambda: self._fitted(images, made))

    async def _hop(self, work: Callable[[], T]) -> T:
        """``work`` in a thread, again while no file can be opened."""
        for _ in range(_OUT_OF_FILES_TRIES):
            try:
                return await self._threads.run(work)
            except OutOfFilesError:
                await self._clock.sleep(_OUT_OF_FILES_WAIT_S * (0.5 + self._clock.random()))
        raise ImageError("image_unreadable", "too many open files; raise the limit (ulimit -n)")

    def _each(
        self, sources: Sequence[ImageSource], shrink: float, allowance: Allowance
    ) -> list[PreparedImage]:
        """Each as it goes alone. Raises NoRoomError for files beyond the ``allowance``."""
        made = []
        for place, source in enumerate(sources):
            if source.kind == "path" and source.data is None:
                others = (source for source in sources[place + 1 :] if source.kind == "path")
                new = (other for other in others if _key(other, shrink) not in allowance.kept)
                further = (self._disk.size(other.ref or "") for other in new)
                made.append(self._of_file(source, shrink, allowance, further))
            else:
                made.append(self._alone(self._bytes_of(source), source, shrink))
        return made

    def _of_file(
        self, source: ImageSource, shrink: float, allowance: Allowance, further: Iterable[int]
    ) -> PreparedImage:
        """The file as it goes alone; not read again where a row holds it as it is now."""
        with self._disk.open(source.ref or "") as file:
            name = (_key(source, shrink), file.identity)
            held = self._once.recall(name)
            if held is not None:
                return held
            self._usual.note(file.size)
            allowance.use(file.size, further=further)
            data = file.read()
        made = self._alone(data, source, shrink)
        self._once.remember(name, made)
        allowance.kept[_key(source, shrink)] = made
        return made

    def _alone(self, file: bytes, source: ImageSource, shrink: float) -> PreparedImage:
        made = self._prepare(file, self._limits, source)
        if shrink < 1:
            made = self._prepare(file, _shrunk(self._limits, made, shrink), source)
        return made

    def _fitted(
        self, sources: Sequence[ImageSource], made: list[PreparedImage]
    ) -> list[PreparedImage]:
        """``made``, or where they are too much for one request, smaller ones of the largest."""
        share = _share([len(image.data) for image in made], self._max_request_bytes)
        return [
            image
            if share is None or len(image.data) <= share
            else self._prepare(self._bytes_of(source), self._at_most(image, share), source)
            for source, image in zip(sources, made, strict=True)
        ]

    def _at_most(self, image: PreparedImage, max_bytes: int) -> ImageLimits:
        side = max(image.width, image.height)
        return replace(self._limits, max_side=side, max_bytes=max_bytes)

    def _prepare(self, file: bytes, limits: ImageLimits, source: ImageSource) -> PreparedImage:
        try:
            return images.prepare(file, limits, detail=source.detail, room=self._room.hold)
        except ImageError as error:
            raise ImageError(error.code, f"{_name(source)}: {error.message}") from error

    def _bytes_of(self, source: ImageSource) -> bytes:
        if source.data is not None:
            return source.data
        if source.kind == "data_uri":
            return data_uris.decode(source.ref or "", cap_bytes=CAP_BYTES)
        return self._disk.read(source.ref or "")


class _Room:
    """Memory for decoded pixels, shared by all threads. More than there is goes alone.

    Who waits is the next to go: else small ones would never leave a large one all of it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._next = threading.Lock()

    @contextmanager
    def hold(self, decoded_bytes: int) -> Iterator[None]:
        wanted = min(decoded_bytes, self._limit_bytes)
        with self._next, self._changed:
            self._changed.wait_for(lambda: self._held_bytes + wanted <= self._limit_bytes)
            self._held_bytes += wanted
        try:
            yield
        finally:
            with self._changed:
                self._held_bytes -= wanted
                self._changed.notify_all()


async def _grown(room: Room | None, short: NoRoomError) -> int:
    """What is held once there is room for what was missing."""
    if room is not None:
        await room.wait_to_grow(short.missing)
    return short.held + short.missing


def _key(image: ImageSource, shrink: float) -> Hashable | None:
    """What rows may share, as long as the file stays the same; None for what is no file."""
    return (image.ref, image.detail, shrink) if image.kind == "path" else None


def _anywhere(_address: str) -> bool:
    return True


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _remote(image: ImageSource) -> RemoteImage:
    return RemoteImage(url=image.ref or "", detail=image.detail)


def _is_web(image: ImageSource) -> bool:
    """Whether it lies on the web; what has another scheme is refused where paths are read."""
    return image.kind == "url" and _WEB.match(image.ref or "") is not None


def _is_public_https(url: str) -> bool:
    host = _PLAIN_HTTPS.match(url)
    if host is not None:
        return not _is_private_host(host[1])
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and not is_literally_private(parts.hostname or "")
    except ValueError:
        return False


def _shrunk(limits: ImageLimits, image: PreparedImage, shrink: float) -> ImageLimits:
    """Limits under which ``image``, made with ``limits``, comes out ``shrink`` times as large."""
    side = max(image.width, image.height)
    return replace(
        limits,
        max_side=max(1, int(side * shrink)),
        max_bytes=max(1, int((limits.max_bytes or len(image.data)) * shrink)),
    )


def _share(sizes: list[int], cap: int | None) -> int | None:
    """The most bytes one image may have so that all fit ``cap``; None when they do already.

    Small images leave what they do not need to the larger ones.
    """
    if cap is None or sum(sizes) <= cap:
        return None
    left = cap
    for place, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - place)
        if size > share:
            return share
        left -= size
    return None  # pragma: no cover - the sizes exceed the cap, so one exceeds its share


def _name(source: ImageSource) -> str:
    if source.kind == "bytes":
        return "embedded image"
    return "image from a data URI" if source.kind == "data_uri" else f"{source.ref!r}"
