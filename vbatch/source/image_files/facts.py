"""What can be known of an image file without decoding a pixel."""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from typing import Literal

Format = Literal["jpeg", "png", "webp", "gif"]
Span = tuple[int, int]
"""First byte and the one after the last, within the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """A file's own account of itself.

    ``width`` and ``height`` in pixels as stored, before any rotation. ``whole``: every part was
    walked to the end marker and nothing is odd; otherwise only a decoder can tell what it is worth.
    ``cut``: the end marker is missing, which the format's decoder lets pass. ``animated``: more
    than one frame. ``metadata``: spans that no pixel needs. ``animation``: spans without which the
    first frame stands alone. ``exif``: the first EXIF block, its TIFF header on.
    """

    format: Format
    width: int
    height: int
    whole: bool
    cut: bool = False
    animated: bool = False
    metadata: tuple[Span, ...] = ()
    animation: tuple[Span, ...] = ()
    exif: bytes | None = field(default=None, repr=False)


def without(data: bytes, spans: Iterable[Span]) -> bytes:
    """``data`` less the bytes in ``spans``, which do not overlap. The same object if none."""
    kept, position = [], 0
    for start, end in sorted(spans):
        kept.append(data[position:start])
        position = end
    return b"".join([*kept, data[position:]]) if position else data
