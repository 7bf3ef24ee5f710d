"""GIF (87a and 89a): a screen, then frames and extensions in sub-blocks, up to the trailer."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from vbatch.source.image_files.facts import ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.source.image_files.facts import Span

MAGICS = (b"GIF87a", b"GIF89a")

_SCREEN = Struct("<HHB")
_FRAME = Struct("<HHHHB")
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_COMMENT, _APPLICATION = 0xFE, 0xFF
_NEEDED = (b"NETSCAPE", b"ICCRGBG1")
"""Applications whose extensions say how often the frames repeat, and what their colours are."""


def read(data: bytes) -> ImageFile | None:
    """What the file says of itself; None when cut within its screen."""
    if len(data) < 13:  # noqa: PLR2004 - header and screen
        return None
    width, height, _ = _SCREEN.unpack_from(data, 6)
    frames, end_of_image = 0, None
    metadata: list[Span] = []
    for kind, start, end in _blocks(data):
        if kind == _TRAILER:
            end_of_image = end
        elif kind == _IMAGE:
            frames += 1
            left, top, w, h, _ = _FRAME.unpack_from(data, start + 1)
            width, height = max(width, left + w), max(height, top + h)
        elif _is_metadata(data, start):
            metadata.append((start, end))
    if end_of_image is not None and end_of_image < len(data):
        metadata.append((end_of_image, len(data)))
    return ImageFile(
        format="gif",
        width=width,
        height=height,
        whole=end_of_image is not None and frames > 0 and width * height > 0,
        cut=end_of_image is None,
        animated=frames > 1,
        metadata=tuple(metadata),
    )


def _blocks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of each block. Ends early where the file is cut or odd."""
    position = 13 + _table_bytes(data[10])
    try:
        while (kind := data[position]) in (_EXTENSION, _IMAGE, _TRAILER):
            end = position + 1
            if kind == _IMAGE:
                end = _after_sub_blocks(data, position + 11 + _table_bytes(data[position + 9]))
            elif kind == _EXTENSION:
                end = _after_sub_blocks(data, position + 2)
            yield kind, position, end
            if kind == _TRAILER:
                return
            position = end
    except IndexError:
        return


def _table_bytes(flags: int) -> int:
    """Size of a colour table: the top bit says that there is one, the last three how large."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, position: int) -> int:
    while length := data[position]:
        position += length + 1
    return position + 1


def _is_metadata(data: bytes, start: int) -> bool:
    kind = data[start + 1]
    needed = data.startswith(_NEEDED, start + 3)
    return kind == _COMMENT or (kind == _APPLICATION and not needed)
