"""Image files walked by their own structure: what they are, and what in them is no picture.

No pixel is decoded here, so a file of 160 kB costs microseconds. Each format has a module with
``read(data)``; the bytes decide which, never a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbatch.errors import ImageError
from vbatch.source.image_files import gif, jpeg, png, webp
from vbatch.source.image_files.exif import UPRIGHT, orientation, upright
from vbatch.source.image_files.facts import Format, ImageFile, without
from vbatch.source.image_files.kinds import foreign_kind, looks_like_html

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "UPRIGHT",
    "Format",
    "ImageFile",
    "is_ours",
    "looks_like_html",
    "orientation",
    "read",
    "stripped",
    "upright",
]


def read(data: bytes) -> ImageFile:
    """What ``data`` says of itself.

    Raises ImageError: ``image_unsupported`` for another kind of file, ``image_unreadable`` for an
    empty file, for one whose header is cut, and for bytes that are no file we know.
    """
    if not data:
        raise ImageError("image_unreadable", "the image is empty (0 bytes)")
    reader = _reader(data)
    if reader is None:
        raise _no_image(data)
    file = reader(data)
    if file is None:
        raise ImageError(
            "image_unreadable", f"the image's header is cut or damaged ({len(data)} bytes)"
        )
    return file


def is_ours(data: bytes) -> bool:
    """Whether the first bytes are those of a JPEG, PNG, WebP or GIF."""
    return _reader(data) is not None


def stripped(data: bytes, file: ImageFile, *, still: bool) -> bytes:
    """``data`` without metadata, and if ``still`` without animation where it can be cut out.

    No pixel is touched. The same object when there is nothing to take away.
    """
    kept = without(data, file.metadata + file.animation if still else file.metadata)
    return webp.mended(kept) if file.format == "webp" and kept is not data else kept


def _reader(data: bytes) -> Callable[[bytes], ImageFile | None] | None:
    if data.startswith(jpeg.MAGIC):
        return jpeg.read
    if data.startswith(png.MAGIC):
        return png.read
    if data.startswith(gif.MAGICS):
        return gif.read
    return webp.read if webp.is_webp(data) else None


def _no_image(data: bytes) -> ImageError:
    kind = foreign_kind(data)
    if kind is None:
        return ImageError(
            "image_unreadable", f"these {len(data)} bytes are no image that can be recognised"
        )
    return ImageError("image_unsupported", f"this is {kind}; give a JPEG, PNG, WebP or GIF")
