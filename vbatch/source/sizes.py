"""How large images will be when they are sent, from the first bytes of each file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from vbatch.errors import ImageError
from vbatch.source import data_uris, image_files
from vbatch.source.disk import Disk, OutOfFilesError
from vbatch.source.images_pillow import check_pixels
from vbatch.source.loader import CAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbatch.records import ImageLimits, ImageSource

HEADS_BYTES = (4096, 65_536, 1_048_576)
"""Read one after the other until the size is found: a photograph may begin with a large profile."""
_LYING = 5
"""From this EXIF orientation on width and height change places."""


class Size(NamedTuple):
    """Pixels as they will be sent, and bytes as they lie there."""

    width: int
    height: int
    stored_bytes: int


class Sizes:
    """Sizes of images under ``roots`` within ``limits``.

    No pixel is decoded, so damage goes unseen. An image that must be made smaller in bytes is taken
    to keep its pixels.
    """

    def __init__(self, limits: ImageLimits, roots: Sequence[Path]) -> None:
        self._limits = limits
        self._disk = Disk(roots, cap_bytes=CAP_BYTES)

    def of(self, source: ImageSource) -> Size:
        """The size of an image that is not on the web. Blocks. Raises ImageError."""
        if source.data is not None:
            return self._sent(source.data, len(source.data))
        if source.kind == "data_uri":
            data = data_uris.decode(source.ref or "", cap_bytes=CAP_BYTES)
            return self._sent(data, len(data))
        try:
            return self._of_file(source.ref or "")
        except OutOfFilesError as error:
            raise ImageError("image_unreadable", f"{source.ref!r}: {error}") from error

    def _of_file(self, ref: str) -> Size:
        with self._disk.open(ref) as file:
            for length in (*HEADS_BYTES, file.size):
                head = os.pread(file.fd, length, 0)
                try:
                    return self._sent(head, file.size)
                except ImageError as error:
                    if error.code != "image_unreadable" or len(head) >= file.size:
                        raise ImageError(error.code, f"{ref!r}: {error.message}") from error
        raise ImageError("image_unreadable", f"{ref!r}: the image changed while it was read")

    def _sent(self, head: bytes, stored_bytes: int) -> Size:
        file = image_files.read(head)
        width, height = file.width, file.height
        check_pixels((width, height), self._limits.max_pixels)
        if not width or not height:
            raise ImageError("image_unreadable", "the image says that it has no pixels")
        if self._limits.strip and image_files.orientation(file.exif) >= _LYING:
            width, height = height, width
        longest = self._limits.max_side
        if longest is not None and max(width, height) > longest:
            scale = longest / max(width, height)
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
        return Size(width, height, stored_bytes)
