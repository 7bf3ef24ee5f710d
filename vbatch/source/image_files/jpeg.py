"""JPEG (ITU T.81): segments up to a scan, the scan's entropy-coded bytes, and so on to EOI."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vbatch.source.image_files.exif import PREFIX
from vbatch.source.image_files.facts import ImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.source.image_files.facts import Span

MAGIC = b"\xff\xd8\xff"

_EOI, _SOS, _COM = 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_FILL = 0xFF
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Within entropy-coded bytes 0xFF is followed by 0 (a byte of data), or is a restart or a fill."""
_STRETCH_BYTES = 4_000_000
"""Searched at once, for a few milliseconds, as the event loop stands still meanwhile."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_USUAL_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive; lossless and arithmetic ones are read by few."""
_USUAL_COMPONENTS = (1, 3, 4)
_NEEDED = {_APP0: b"JFIF\0", _APP2: b"ICC_PROFILE\0", _APP14: b"Adobe"}
"""Application segments without which colours or proportions would be another."""


def read(data: bytes) -> ImageFile | None:
    """What the file says of itself; None without a frame header."""
    frames: list[tuple[int, int]] = []
    scans, end_of_image, exif = 0, None, None
    metadata: list[Span] = []
    for marker, start, end in _segments(data):
        if marker == _EOI:
            end_of_image = end
        elif marker == _SOS:
            scans += 1
        elif marker in _FRAMES:
            frames.append((marker, start))
        elif marker == _COM or _APP0 <= marker <= _APP15:
            if marker == _APP1 and exif is None and data.startswith(PREFIX, start + 4):
                exif = data[start + 4 + len(PREFIX) : end]
            if not _is_needed(data, marker, start):
                metadata.append((start, end))
    if not frames:
        return None
    if end_of_image is not None and end_of_image < len(data):
        metadata.append((end_of_image, len(data)))
    marker, start = frames[0]
    usual = len(frames) == 1 and marker in _USUAL_FRAMES and _is_usual(data, start)
    width = int.from_bytes(data[start + 7 : start + 9])
    height = int.from_bytes(data[start + 5 : start + 7])
    return ImageFile(
        format="jpeg",
        width=width,
        height=height,
        whole=end_of_image is not None and scans > 0 and usual and width * height > 0,
        metadata=tuple(metadata),
        exif=exif,
    )


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment. Ends before EOI where the file is cut or odd."""
    position = 2
    try:
        while data[position] == 0xFF:  # noqa: PLR2004 - every marker begins so
            marker = data[position + 1]
            if marker == _FILL:
                position += 1
                continue
            if marker == _EOI:
                yield marker, position, position + 2
                return
            length = data[position + 2] << 8 | data[position + 3]
            end = position + 2 + length
            if length < 2 or end > len(data) or marker < 0xC0 or 0xD0 <= marker <= 0xD8:  # noqa: PLR2004
                return
            yield marker, position, end
            position = end
            if marker == _SOS:
                position = _after_scan(data, end)
    except (IndexError, ValueError):
        return


def _after_scan(data: bytes, position: int) -> int:
    """Where the next marker begins. Raises ValueError if there is none."""
    for start in range(position, len(data), _STRETCH_BYTES):
        found = _AFTER_SCAN.search(data, start, start + _STRETCH_BYTES + 1)
        if found is not None:
            return found.start()
    raise ValueError("no marker after the scan")


def _is_usual(data: bytes, start: int) -> bool:
    """Whether a frame header is as long as its components want, of 8 bits each."""
    header = data[start + 2 : start + 10]
    if len(header) < 8 or header[2] != 8 or header[7] not in _USUAL_COMPONENTS:  # noqa: PLR2004
        return False
    return int.from_bytes(header[:2]) == 8 + 3 * header[7]


def _is_needed(data: bytes, marker: int, start: int) -> bool:
    name = _NEEDED.get(marker)
    return name is not None and data.startswith(name, start + 4)
