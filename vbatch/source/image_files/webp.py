"""WebP (RFC 9649): a RIFF container of padded chunks."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from vbatch.source.image_files.exif import PREFIX
from vbatch.source.image_files.facts import ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.source.image_files.facts import Span

_CHUNK = Struct("<4sI")
_FIRST_CHUNK_AT = 12
_ALPHA = b"ALPH"  # codespell:ignore
_NEEDED = frozenset({b"VP8X", b"VP8 ", b"VP8L", _ALPHA, b"ANIM", b"ANMF", b"ICCP"})
_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ANMF"})
_FLAGS_AT = 20
_SAYS_FRAMES = 0x02
"""VP8X flag: the picture is an animation."""
_SAYS_METADATA = 0x0C
"""VP8X flags: EXIF and XMP are there."""


def is_webp(data: bytes) -> bool:
    """Whether the first bytes are those of a WebP file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read(data: bytes) -> ImageFile | None:
    """What the file says of itself; None when no chunk tells its size."""
    metadata: list[Span] = []
    exif, size, frames, pixels, end_of_chunks = None, None, 0, False, _FIRST_CHUNK_AT
    first = b""
    end_of_image = 8 + int.from_bytes(data[4:8], "little")
    for kind, start, end in _chunks(data, end_of_image):
        end_of_chunks = end
        size = size or _size(data, kind, start + 8)
        frames += kind == b"ANMF"
        pixels = pixels or kind in _PIXELS
        first = first or kind
        if kind not in _NEEDED:
            metadata.append((start, end))
        if kind == b"EXIF" and exif is None:
            exif = data[start + 8 : end].removeprefix(PREFIX)
    if size is None:
        return None
    if end_of_chunks == end_of_image < len(data):
        metadata.append((end_of_image, len(data)))
    return ImageFile(
        format="webp",
        width=size[0],
        height=size[1],
        whole=end_of_chunks == end_of_image
        and pixels
        and size[0] * size[1] > 0
        and _is_usual(data, first, frames),
        animated=frames > 1,
        metadata=tuple(metadata),
        exif=exif,
    )


def mended(data: bytes) -> bytes:
    """The container once chunks are gone: padded, its length right, no metadata announced."""
    file = bytearray(data + b"\0" * (len(data) % 2))
    file[4:8] = (len(file) - 8).to_bytes(4, "little")
    if file[12:16] == b"VP8X":
        file[_FLAGS_AT] &= ~_SAYS_METADATA & 0xFF
    return bytes(file)


def _chunks(data: bytes, end_of_image: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end (with padding) of each chunk. Ends early where the file is cut."""
    position = _FIRST_CHUNK_AT
    while position + _CHUNK.size <= min(end_of_image, len(data)):
        kind, length = _CHUNK.unpack_from(data, position)
        end = position + _CHUNK.size + length
        if end > min(end_of_image, len(data)):
            return
        position_after = min(end + length % 2, end_of_image)
        yield kind, position, position_after
        position = position_after


def _is_usual(data: bytes, first: bytes, frames: int) -> bool:
    """Whether the first chunk announces what follows: one picture, or an animation's frames."""
    if first == b"VP8X":
        return bool(data[_FLAGS_AT] & _SAYS_FRAMES) == (frames > 0)
    return first in _PIXELS and frames == 0


def _size(data: bytes, kind: bytes, at: int) -> tuple[int, int] | None:
    """Width and height, from whichever chunk comes first that knows them."""
    head = data[at : at + 10]
    if kind == b"VP8X" and len(head) == 10:  # noqa: PLR2004 - the length of its header
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and head[:1] == b"\x2f":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
