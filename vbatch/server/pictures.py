"""From what stands in ``image_url`` to bytes, and what a dialect says of those bytes."""

from __future__ import annotations

import binascii
import re
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pybase64

from vbatch.errors import ImageError
from vbatch.server.eyes import Sight, look
from vbatch.server.refusals import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from vbatch.server.dialects import Dialect
    from vbatch.server.settings import ServerSettings

PICTURE_HOST = "https://pictures.test/"
"""Where files under ``url_root`` are; ``.test`` is a top-level domain that no one can own."""

_DATA_URI = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,")
_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture as received: ``url`` is None when it came inline, ``media_type`` when by URL."""

    data: bytes = field(repr=False)
    sha256: str
    media_type: str | None = None
    url: str | None = None
    detail: str | None = None

    @property
    def reckoned_bytes(self) -> int:
        """What it adds to a request: ``len(base64) * 3 / 4``, padding and all; nothing by URL."""
        return ceil(len(self.data) / 3) * 3 if self.url is None else 0

    @property
    def encoded_bytes(self) -> int:
        """Characters of its base64; nothing by URL."""
        return self.reckoned_bytes // 3 * 4


class Pictures:
    """The pictures this endpoint can get at."""

    def __init__(self, settings: ServerSettings, dialect: Dialect) -> None:
        self._known = settings.url_images
        self._root = None if settings.url_root is None else settings.url_root.resolve()
        self._dialect = dialect

    def get(self, url: str, detail: str | None) -> Picture:
        """Return what ``url`` (https, or a base64 data URI) stands for; raises Refusal (400)."""
        if url.startswith("data:"):
            media_type, data = self._inline(url)
            picture = Picture(
                data=data, sha256=sha256(data).hexdigest(), media_type=media_type, detail=detail
            )
            self._check_bytes(picture.encoded_bytes)
            return picture
        if not self._dialect.urls:
            message = "Image URLs are not supported, only base64."
            raise Refusal(400, message, param="messages", kind="url")
        data = self._fetched(url)
        return Picture(data=data, sha256=sha256(data).hexdigest(), url=url, detail=detail)

    def see(self, picture: Picture) -> Sight:
        """Measure a picture; raises Refusal (400) where the dialect does not take it."""
        try:
            sight = look(picture.data)
        except ImageError as error:
            raise _bad(f"An image was refused: {error}.", "invalid_image") from error
        self._check(picture, sight)
        return sight

    def _inline(self, url: str) -> tuple[str, bytes]:
        match = _DATA_URI.match(url)
        if match is None:
            raise _bad("A data URI must begin data:image/TYPE;base64, in lower case.")
        try:
            return match[1], pybase64.b64decode(url[match.end() :], validate=True)
        except (binascii.Error, ValueError) as error:
            raise _bad(f"Invalid base64 in a data URI: {error}.", "invalid_base64") from error

    def _check_bytes(self, size: int) -> None:
        cap = self._dialect.max_image_bytes
        if cap is not None and size > cap:
            message = f"Image too large: {size} bytes of base64, at most {cap}."
            facts = {"size": size, "limit": cap}
            raise Refusal(400, message, param="messages", kind="bytes", facts=facts)

    def _fetched(self, url: str) -> bytes:
        allowed = ("https://", "http://") if self._dialect.plain_http else ("https://",)
        if not url.startswith(allowed):
            raise _bad("An image URL must be a public https URL or a base64 data URI.")
        for name in (url, url.partition("?")[0]):
            if name in self._known:
                return self._known[name]
        if self._root is not None and url.startswith(PICTURE_HOST):
            with suppress(OSError, ValueError):
                return _within(self._root, unquote(url[len(PICTURE_HOST) :].partition("?")[0]))
        raise _bad(f"The endpoint could not fetch the image at {url}.")

    def _check(self, picture: Picture, sight: Sight) -> None:
        found = _MEDIA_TYPES[sight.format]
        if picture.media_type not in (None, found):
            said = f"An image was said to be {picture.media_type} but is {found}."
            raise _unfit(said, said=picture.media_type, found=found)
        if sight.format not in self._dialect.formats:
            raise _unfit(f"{found} is not supported.", said=picture.media_type, found=found)
        if sight.animated and sight.format == "GIF" and not self._dialect.animated_gif:
            raise _bad("Animated GIF is not supported.", "invalid_image_format")
        longer, cap = max(sight.width, sight.height), self._dialect.max_side
        if cap is not None and longer > cap:
            told = f"Image resolution {sight.width}x{sight.height} is too high, at most {cap}"
            raise _bad(f"{told} pixels on the longer side.", "image_too_large")


def _within(root: Path, name: str) -> bytes:
    """The bytes of a file under ``root``; raises OSError or ValueError for anything else."""
    path = (root / name).resolve()
    path.relative_to(root)
    return path.read_bytes()


def _unfit(message: str, **facts: object) -> Refusal:
    code = "invalid_image_format"
    return Refusal(400, message, code=code, param="messages", kind="format", facts=facts)


def _bad(message: str, code: str = "invalid_image_url") -> Refusal:
    return Refusal(400, message, code=code, param="messages")
