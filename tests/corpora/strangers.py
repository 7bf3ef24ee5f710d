"""Files that are two things at once, that are far more than they seem, or no pictures of ours."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from PIL import Image

from tests.corpora.cases import Case
from tests.corpora.damage import damaged
from tests.corpora.pictures import SOF0, good
from tests.source.drawing import (
    chunk,
    encoded,
    gif_extension,
    gradient,
    riff_chunk,
    segment,
    srgb,
    with_chunks,
    with_extensions,
    with_riff_chunks,
    with_segments,
)

SCRIPT = b"<html><script>alert('smuggled')</script></html>"
"""What must not reach anybody inside a picture whose metadata is stripped."""


def polyglots():
    """Pictures that are something else too; each holds ``SCRIPT``."""
    for name in ("JPEG", "PNG", "GIF", "WebP"):
        picture = good()[name]
        yield Case(f"{name} and a page", picture + SCRIPT)
        yield Case(f"{name} and an archive", picture + _archive())
        yield Case(f"{name} and a document", picture + _document())
        yield Case(f"{name} and a picture", picture + with_chunks(good()["PNG"], _text()))
    jpeg, png, gif, webp = (good()[name] for name in ("JPEG", "PNG", "GIF", "WebP"))
    for marker in (0xFE, 0xE0, 0xE1, 0xE2, 0xE5, 0xEE):
        yield Case(f"JPEG with a page in {marker:x}", with_segments(jpeg, segment(marker, SCRIPT)))
    for kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"teSt", b"xmPp"):
        yield Case(f"PNG with a page in {kind}", with_chunks(png, chunk(kind, SCRIPT)))
    for kind in (0xFE, 0xFF):
        extension = gif_extension(kind, b"SCRIPTED1.0", SCRIPT)
        yield Case(f"GIF with a page in {kind:x}", with_extensions(gif, extension))
    yield Case("GIF that is a script", gif[:6] + b"/*" + gif[8:] + b"*/=1;" + SCRIPT)
    for kind in (b"XMP ", b"EXIF", b"JUNK"):
        yield Case(f"WebP with a page in {kind}", with_riff_chunks(webp, riff_chunk(kind, SCRIPT)))


def _text():
    return chunk(b"tEXt", b"Comment\0" + SCRIPT)


def _archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.html"), SCRIPT)
    return buffer.getvalue()


def _document():
    return b"%PDF-1.4\n1 0 obj\n<</Length 48>>stream\n" + SCRIPT + b"\nendstream\nendobj\n%%EOF"


def bombs():
    """Little files of pictures so large that nobody should decode them."""
    for width, height in ((30_000, 30_000), (65_535, 65_535), (65_535, 1), (1, 65_535)):
        yield from _declared(width, height)
    for side in (2**31 - 1, 2**31, 2**32 - 1):
        yield Case(f"PNG of {side} x {side}", _png_of(side, side))
        yield Case(f"PNG of {side} x 1", _png_of(side, 1))
    for mode in ("1", "L", "P"):
        picture = encoded(Image.new(mode, (9000, 9000)), "PNG")
        yield Case(f"PNG of 81 million pixels, {mode}", picture)
    yield Case("JPEG of 81 million pixels", encoded(Image.new("L", (9000, 9000)), quality=1))
    yield Case("GIF of 25 million pixels", encoded(Image.new("P", (5000, 5000)), "GIF"))
    yield Case(
        "WebP of 25 million pixels", encoded(Image.new("RGB", (5000, 5000)), "WEBP", method=0)
    )
    yield from _swollen_metadata()


def _declared(width, height):
    yield Case(f"PNG that says {width} x {height}", _png_of(width, height))
    jpeg = good()["JPEG"]
    place = jpeg.index(SOF0) + 5
    size = struct.pack(">HH", height, width)
    yield Case(f"JPEG that says {width} x {height}", jpeg[:place] + size + jpeg[place + 4 :])
    gif = good()["GIF"]
    frame = gif.index(b"\x2c\0\0\0\0") + 5
    size = struct.pack("<HH", width, height)
    yield Case(f"GIF that says {width} x {height}", gif[:6] + size + gif[10:])
    yield Case(f"GIF whose frame says {width} x {height}", gif[:frame] + size + gif[frame + 4 :])
    webp = good()["WebP"]
    size = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    yield Case(f"WebP that says {width} x {height}", webp[:26] + size + webp[30:])
    rich = good()["WebP with metadata"]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    yield Case(f"WebP canvas that says {width} x {height}", rich[:24] + size + rich[30:])


def _png_of(width, height):
    png = good()["PNG"]
    head = struct.pack(">II", width, height) + png[24:29]
    return png[:8] + chunk(b"IHDR", head) + png[33:]


def _swollen_metadata():
    png, nothing = good()["PNG"], zlib.compress(bytes(80 << 20), 1)
    for kind, head in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        swollen = with_chunks(png, chunk(kind, head + nothing))
        yield Case(f"PNG with 80 MiB packed in {kind}", swollen)
    yield Case("PNG with 80 MiB of pixels too many", png[:33] + chunk(b"IDAT", nothing) + png[-12:])
    profile = srgb() + bytes(900_000)
    yield Case("PNG with a profile of 900 kB", encoded(kind="PNG", icc_profile=profile))
    yield Case("JPEG with a profile of 900 kB", encoded(icc_profile=profile))


def foreign():
    """Files of other kinds, whole, damaged and swollen: none is a picture that we take."""
    for name, data in _others().items():
        yield from damaged(name, data, cuts=4, flips=2, splices=2)
        yield Case(f"{name}, whole", data)


def _others():
    drawn = {
        kind: encoded(gradient(), kind) for kind in ("BMP", "TIFF", "ICO", "PPM", "TGA", "DDS")
    }
    drawn |= {
        kind: encoded(gradient(), kind) for kind in ("AVIF", "JPEG2000", "ICNS", "PCX", "EPS")
    }
    brands = (b"heic", b"mif1", b"avif", b"isom", b"qt  ")
    boxes = {f"box {brand}": b"\0\0\0\x18ftyp" + brand + bytes(40) for brand in brands}
    return {
        **drawn,
        **boxes,
        "PDF": _document(),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="99999" height="99999"/>',
        "SVG that grows": _laughing(),
        "page": SCRIPT,
        "archive": _archive(),
        "JSON": b'{"error": "not found"}',
        "text in UTF-16": "no picture".encode("utf-16"),
        "large BMP": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 2**31, 0, 0, 54, 40, *_LARGE_BMP),
        "TIFF that goes round": b"II*\0" + struct.pack("<IHI", 8, 0, 8),
        "sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24),
        "zeros": bytes(4096),
        "0xFF": b"\xff" * 4096,
        "nearly a JPEG": b"\xff\xd8\xfe" + good()["JPEG"][3:],
        "nearly a PNG": b"\x89PNG\n\x1a\n" + good()["PNG"][8:],
        "nearly a WebP": good()["WebP"].replace(b"WEBP", b"WEBQ"),
    }


_LARGE_BMP = (2**31 - 1, 2**31 - 1, 1, 32, 0, 0, 0, 0, 0, 0)


def _laughing():
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 9}">' for n in range(1, 9))
    return f'<?xml version="1.0"?><!DOCTYPE svg [{entities}]><svg>&a8;</svg>'.encode()
