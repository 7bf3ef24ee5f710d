"""The one EXIF entry that changes what a picture looks like: its orientation (TIFF tag 0x0112)."""

from __future__ import annotations

import struct
from typing import Literal

UPRIGHT = 1
PREFIX = b"Exif\0\0"

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_BYTE_ORDERS: dict[bytes, Literal["<", ">"]] = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(exif: bytes | None) -> int:
    """1 to 8 as EXIF numbers them; 1 where nothing legible says otherwise."""
    place = _place(exif or b"")
    if exif is None or place is None:
        return UPRIGHT
    value = int(struct.unpack_from(place[0], exif, place[1])[0])
    return value if UPRIGHT <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF's own range


def upright(exif: bytes) -> bytes:
    """The same block, saying that the picture is upright."""
    place = _place(exif)
    if place is None:
        return exif
    mended = bytearray(exif)
    struct.pack_into(place[0], mended, place[1], UPRIGHT)
    return bytes(mended)


def _place(exif: bytes) -> tuple[str, int] | None:
    """How and where the orientation is stored: a struct format and an offset."""
    order = _BYTE_ORDERS.get(exif[:4])
    if order is None:
        return None
    try:
        (table,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, table)
        for entry in range(table + 2, table + 2 + entries * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            if tag == _ORIENTATION and kind == _SHORT and len(exif) >= entry + 10:
                return order + "H", entry + 8
    except struct.error:
        return None
    return None
