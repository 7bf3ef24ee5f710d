"""What bytes are that are no JPEG, PNG, WebP or GIF, so that the message can name it."""

from __future__ import annotations

import codecs
import re

_MAGICS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript (EPS) file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"II+\0", "a BigTIFF image"),
    (b"MM\0+", "a BigTIFF image"),
    (b"BM", "a BMP image"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\2\0", "a cursor (CUR)"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"DDS ", "a DDS texture"),
    (b"qoif", "a QOI image"),
    (b"icns", "an icon (ICNS)"),
    (b"\xd7\xcd\xc6\x9a", "a WMF drawing"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"RIFF", "a RIFF file (sound or video)"),
)
_BRANDS = (
    (b"avi", "an AVIF image"),
    (b"hei", "a HEIC image"),
    (b"hev", "a HEIC image"),
    (b"mif", "a HEIF image"),
    (b"msf", "a HEIF image"),
    (b"crx", "a Canon raw image"),
)
_SVG = re.compile(rb"<(?:svg|!DOCTYPE svg)\b", re.IGNORECASE)
_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!DOCTYPE html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_HEAD_BYTES = 1024


def foreign_kind(data: bytes) -> str | None:
    """A name for a format that is none of ours; None when it is none that we know either."""
    if data[4:8] == b"ftyp":
        brand = next((name for start, name in _BRANDS if data.startswith(start, 8)), None)
        return brand or "a video (MP4)"
    for magic, name in _MAGICS:
        if data.startswith(magic):
            return name
    return _kind_of_text(data[:_HEAD_BYTES])


def looks_like_html(data: bytes) -> bool:
    """Whether a web page was served where a picture was expected."""
    return _HTML.match(data[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)) is not None


def _kind_of_text(head: bytes) -> str | None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "text"
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    if not text or not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    if _SVG.search(head):
        return "an SVG drawing"
    return "a web page (HTML)" if looks_like_html(head) else "text"
