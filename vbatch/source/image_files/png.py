"""PNG (ISO 15948): chunks of length, type, content and checksum, from IHDR to IEND."""

from __future__ import annotations

import zlib
from struct import Struct
from typing import TYPE_CHECKING

from vbatch.source.image_files.exif import PREFIX
from vbatch.source.image_files.facts import ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.source.image_files.facts import Span

MAGIC = b"\x89PNG\r\n\x1a\n"

_HEADER = Struct(">I4s")
_SIZE = Struct(">II")
_CHECKSUM = Struct(">I")
_FRAMING_BYTES = 12
_IHDR_BYTES = 13
_FIRST_CHUNK_AT = 8
_NEEDED = frozenset(
    {
        b"tRNS",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"iCCP",
        b"sBIT",
        b"cICP",
        b"mDCV",
        b"cLLI",
        b"bKGD",
        b"pHYs",
    }
)
"""Ancillary chunks that say what the pixels look like."""
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_LEAST_BYTES = {b"acTL": 8, b"tRNS": 1, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits per sample that each colour type may have."""
_METHODS = (b"\0\0\0", b"\0\0\1")
"""Compression, filter and interlacing: there is one of the first two and a choice of the last."""


def read(data: bytes) -> ImageFile | None:
    """What the file says of itself; None when it does not begin with a header."""
    if data[_FIRST_CHUNK_AT : _FIRST_CHUNK_AT + 8] != _HEADER.pack(_IHDR_BYTES, b"IHDR"):
        return None
    metadata: list[Span] = []
    animation: list[Span] = []
    exif, end_of_image, frames, pixels = None, None, 1, False
    sound = _is_usual_header(data)
    for kind, start, end in _chunks(data):
        sound = sound and (kind != b"IHDR" or start == _FIRST_CHUNK_AT)  # the last one would hold
        if kind in _ANIMATION:
            sound = sound and _is_sound(data, start, end, kind)
            animation.append((start, end))
            if kind == b"acTL" and not pixels:
                frames = int.from_bytes(data[start + 8 : start + 12])
        elif kind in _NEEDED or not kind[0] & 0x20:
            sound = sound and _is_sound(data, start, end, kind)
        else:
            metadata.append((start, end))
            if kind == b"eXIf" and exif is None:
                exif = data[start + 8 : end - 4].removeprefix(PREFIX)
        pixels = pixels or kind == b"IDAT"
        if kind == b"IEND":
            end_of_image = end
    if end_of_image is not None and end_of_image < len(data):
        metadata.append((end_of_image, len(data)))
    width, height = _SIZE.unpack(data[16:24].ljust(8, b"\0"))
    return ImageFile(
        format="png",
        width=width,
        height=height,
        whole=end_of_image is not None and pixels and sound and width * height > 0,
        cut=end_of_image is None,
        animated=frames > 1,
        metadata=tuple(metadata),
        animation=tuple(animation),
        exif=exif,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk. Ends early, without IEND, where the file is cut."""
    position, kind = _FIRST_CHUNK_AT, b""
    while kind != b"IEND" and position + _FRAMING_BYTES <= len(data):
        length, kind = _HEADER.unpack_from(data, position)
        end = position + _FRAMING_BYTES + length
        if end > len(data):
            return
        yield kind, position, end
        position = end


def _is_usual_header(data: bytes) -> bool:
    header = data[24:29]
    return len(header) == 5 and header[0] in _DEPTHS.get(header[1], ()) and header[2:] in _METHODS  # noqa: PLR2004


def _is_sound(data: bytes, start: int, end: int, kind: bytes) -> bool:
    if end - start - _FRAMING_BYTES < _LEAST_BYTES.get(kind, 0):
        return False
    if not kind[0] & 0x20 and kind not in _CRITICAL:
        return False
    (checksum,) = _CHECKSUM.unpack_from(data, end - 4)
    return bool(zlib.crc32(memoryview(data)[start + 4 : end - 4]) == checksum)
