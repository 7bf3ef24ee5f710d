"""Pictures drawn for tests, and the parts of files that hide things in them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from functools import cache

from PIL import Image, ImageCms

from vbatch.errors import ImageError
from vbatch.records import ImageLimits

ALL = frozenset({"jpeg", "png", "gif", "webp"})
LIMITS = ImageLimits(formats=ALL, max_pixels=1_000_000)
SECRET = b"48.8584N 2.2945E"


def outcome(work, *args, **options):
    """What ``work`` returns, or the ImageError it raises."""
    try:
        return work(*args, **options)
    except ImageError as error:
        return error


def limits(**changes) -> ImageLimits:
    return replace(LIMITS, **changes)


def gradient(mode="RGB", size=(48, 32)) -> Image.Image:
    """No two corners look alike, so that a turn or a swap of channels shows."""
    width, height = size
    across = Image.linear_gradient("L").rotate(90).resize(size)
    down = Image.linear_gradient("L").resize(size)
    picture = Image.merge("RGB", (across, down, Image.new("L", size, 90)))
    picture.paste((250, 20, 30), (0, 0, width // 3, height // 4))
    if mode in ("RGBA", "LA"):
        picture = picture.convert(mode)
        picture.putalpha(across)
        return picture
    return picture.convert(mode)


def encoded(image=None, kind="JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    (image or gradient()).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def same_pixels(a: bytes, b: bytes) -> bool:
    one, other = decoded(a), decoded(b)
    return (one.mode, one.size, one.tobytes()) == (other.mode, other.size, other.tobytes())


@cache
def srgb() -> bytes:
    """One profile for all: each that is made holds the second it was made in."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation=1, order="<") -> bytes:
    """A block with the orientation and a description that tells where it was taken."""
    text = SECRET + b"\0"
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHII", 0x010E, 2, len(text), 8 + 2 + 24 + 4)
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    table = struct.pack(order + "H", 2) + entries + struct.pack(order + "I", 0)
    return head + struct.pack(order + "I", 8) + table + text


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The segments, right behind the start of the image."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """The chunks, right behind the header."""
    return png[:33] + b"".join(chunks) + png[33:]


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def with_riff_chunks(webp: bytes, *chunks: bytes) -> bytes:
    """The chunks at the end of the container."""
    body = webp[8:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_extension(kind: int, *blocks: bytes) -> bytes:
    parts = b"".join(bytes([len(block)]) + block for block in blocks)
    return bytes([0x21, kind]) + parts + b"\0"


def with_extensions(gif: bytes, *extensions: bytes) -> bytes:
    """The extensions, right behind the screen and its colours."""
    start = 13 + (3 << (gif[10] & 7) + 1 if gif[10] & 0x80 else 0)
    return gif[:start] + b"".join(extensions) + gif[start:]


def animation(kind: str, size=(40, 24), **options) -> bytes:
    frames = [Image.new("RGB", size, color) for color in ("red", "lime", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=80, **options)
