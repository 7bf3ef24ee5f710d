"""Image files of every make, good ones to be spoiled and odd ones by themselves."""

from __future__ import annotations

import io
from functools import cache

from PIL import Image, PngImagePlugin

from tests.corpora.cases import Case
from tests.corpora.damage import damaged
from tests.source.drawing import (
    animation,
    chunk,
    encoded,
    exif,
    gradient,
    segment,
    srgb,
    with_chunks,
)

EXIF = b"Exif\0\0" + exif(6)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
SOF0, SOF2 = b"\xff\xc0", b"\xff\xc2"


@cache
def good():
    """Name and bytes of files that are as they should be."""
    return {**_jpegs(), **_pngs(), **_webps(), **_gifs()}


def spoiled():
    """Each good file, damaged in every way."""
    for name, data in good().items():
        yield from damaged(name, data)


def _jpegs():
    rich = {"exif": EXIF, "icc_profile": srgb(), "comment": b"here"}
    return {
        "JPEG": encoded(),
        "JPEG grey": encoded(gradient("L")),
        "JPEG progressive": encoded(progressive=True),
        "JPEG 4:4:4": encoded(subsampling=0, quality=98),
        "JPEG CMYK": encoded(gradient("CMYK")),
        "JPEG YCCK": encoded(gradient("CMYK")).replace(
            b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2"
        ),
        "JPEG with metadata": encoded(**rich),
        "JPEG with restarts": encoded(restart_marker_blocks=1),
        "JPEG of one pixel": encoded(Image.new("RGB", (1, 1))),
        "JPEG in a row (MPO)": _several("MPO"),
    }


def _pngs():
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "here", zip=True)
    text.add_itxt("Title", "there", zip=True)
    return {
        "PNG": encoded(kind="PNG"),
        "PNG RGBA": encoded(gradient("RGBA"), "PNG"),
        "PNG LA": encoded(gradient("LA"), "PNG"),
        "PNG of 1 bit": encoded(gradient("1"), "PNG"),
        "PNG of 16 bits": encoded(Image.new("I;16", (48, 32), 9_000), "PNG"),
        "PNG palette": encoded(gradient("P"), "PNG"),
        "PNG palette, see-through": encoded(gradient("P"), "PNG", transparency=bytes(range(200))),
        "PNG with a colour to see through": encoded(kind="PNG", transparency=(90, 90, 90)),
        "PNG with metadata": encoded(kind="PNG", pnginfo=text, exif=EXIF, icc_profile=srgb()),
        "PNG, animated": animation("PNG"),
    }


def _webps():
    rich = {"exif": EXIF, "icc_profile": srgb(), "xmp": XMP}
    return {
        "WebP": encoded(kind="WEBP"),
        "WebP, lossless": encoded(kind="WEBP", lossless=True),
        "WebP with alpha": encoded(gradient("RGBA"), "WEBP"),
        "WebP with metadata": encoded(gradient("RGBA"), "WEBP", **rich),
        "WebP, animated": animation("WEBP"),
    }


def _gifs():
    return {
        "GIF": encoded(gradient("P"), "GIF"),
        "GIF of 2 colours": encoded(gradient("1"), "GIF"),
        "GIF, see-through": encoded(gradient("P"), "GIF", transparency=3, comment=b"here"),
        "GIF, not interlaced": encoded(gradient("P"), "GIF", interlace=0),
        "GIF, animated": animation("GIF", loop=0),
    }


def _several(kind):
    frames = [gradient(), gradient("L").convert("RGB")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def restructured():
    """Parts of good files left out, doubled, moved, and with lengths and checksums that lie."""
    for name, data in good().items():
        if name.startswith("PNG"):
            yield from _rearranged(name, data[:8], png_chunks(data), _lying_chunks)
        elif name.startswith("JPEG"):
            yield from _rearranged(name, data[:2], jpeg_segments(data), _lying_segments)
        elif name.startswith("WebP"):
            yield from _rearranged(name, data[:12], webp_chunks(data), _lying_riff_chunks)


def _rearranged(name, head, parts, lies):
    for place, part in enumerate(parts[:8]):
        before, after = parts[:place], parts[place + 1 :]
        changes = {
            "left out": [*before, *after],
            "doubled": [*before, part, part, *after],
            "last": [*before, *after, part],
            **{lie: [*before, told, *after] for lie, told in lies(part).items()},
        }
        for change, changed in changes.items():
            yield Case(f"{name}, part {place} {change}", head + b"".join(changed))


def png_chunks(data):
    """The chunks of a PNG."""
    found, place = [], 8
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4])
        found.append(data[place:end])
        place = end
    return found


def _lying_chunks(part):
    kind, body, checksum = part[4:8], part[8:-4], part[-4:]
    return {
        "with a length of 0": bytes(4) + part[4:],
        "with a length of 2**31": b"\x80\0\0\0" + part[4:],
        "one too short": (len(body) - 1 & 0xFFFFFFFF).to_bytes(4) + part[4:],
        "with a wrong checksum": part[:-4] + bytes(255 - byte for byte in checksum),
        "of an unknown kind": chunk(b"QqQq", body),
        "with other content, checksum right": chunk(kind, body[::-1]),
    }


def jpeg_segments(data):
    """The segments of a JPEG up to its scan, then the rest in one piece."""
    found, place = [], 2
    while place < len(data) and data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        found.append(data[place:end])
        place = end
    return [*found, data[place:]]


def _lying_segments(part):
    return {
        "with a length of 0": part[:2] + bytes(2) + part[4:],
        "with a length of 65535": part[:2] + b"\xff\xff" + part[4:],
        "one too short": part[:3] + bytes([part[3] - 1 & 0xFF]) + part[4:],
        "with other content": part[:4] + part[4:][::-1],
        "as a comment": b"\xff\xfe" + part[2:],
        "behind 300 fills": b"\xff" * 300 + part,
    }


def webp_chunks(data):
    """The chunks of a WebP file, padding included."""
    found, place = [], 12
    while place < len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        end = place + 8 + length + length % 2
        found.append(data[place:end])
        place = end
    return found


def _lying_riff_chunks(part):
    length = int.from_bytes(part[4:8], "little")
    told = {
        "with a length of 0": 0,
        "with a length of 2**32 - 1": 2**32 - 1,
        "one too long": length + 1,
        "one too short": max(0, length - 1),
    }
    return {
        **{lie: part[:4] + size.to_bytes(4, "little") + part[8:] for lie, size in told.items()},
        "of an unknown kind": b"QQQQ" + part[4:],
        "with other content": part[:8] + part[8:][::-1],
    }


def odd():
    """Files that are strange without being damaged, or damaged where it matters."""
    yield from _odd_jpegs()
    yield from _odd_pngs()
    yield from _odd_gifs()
    yield from _odd_webps()
    yield from _odd_exif()


def _odd_jpegs():
    jpeg, progressive = good()["JPEG"], good()["JPEG progressive"]
    for marker in range(0xC0, 0xD0):
        for name, data, frame in (("JPEG", jpeg, SOF0), ("progressive", progressive, SOF2)):
            yield Case(f"{name} with frame {marker:x}", data.replace(frame, bytes([0xFF, marker])))
    place = jpeg.index(SOF0)
    for bits in (0, 1, 2, 12, 16, 255):
        changed = jpeg[: place + 4] + bytes([bits]) + jpeg[place + 5 :]
        yield Case(f"JPEG of {bits} bits", changed)
    for count in (0, 2, 5, 255):
        changed = jpeg[: place + 9] + bytes([count]) + jpeg[place + 10 :]
        yield Case(f"JPEG of {count} components", changed)
    for count in (1, 1000, 20_000):
        more = segment(0xE5, b"x" * 9) * count
        yield Case(f"JPEG with {count} segments more", jpeg[:2] + more + jpeg[2:])
    for tail in (b"\0", b"\xff", b"\xff\xd9", b"\n" * 5000, jpeg, good()["PNG"]):
        yield Case(f"JPEG and {len(tail)} bytes more", jpeg + tail)
    for count in (1, 2, 100):
        yield Case(f"JPEG with {count} ICC parts", jpeg[:2] + _icc_parts(count) + jpeg[2:])
    yield Case("JPEG that ends in its frame header", b"\xff\xd8\xff\xc0\0\2")
    yield Case("JPEG that ends in its scan", jpeg[:-2])
    yield Case("JPEG of one scan 500 times", jpeg[:-2] + jpeg[jpeg.index(b"\xff\xda") : -2] * 500)


def _icc_parts(count):
    """A profile in parts whose numbers lie."""
    return b"".join(
        segment(0xE2, b"ICC_PROFILE\0" + bytes([number % 7, count]) + b"\xaa" * 64)
        for number in range(count)
    )


def _odd_pngs():
    png, grey = good()["PNG"], good()["PNG of 1 bit"]
    for at, what in ((24, "depth"), (25, "colour"), (26, "method"), (27, "filter"), (28, "lace")):
        for value in (0, 1, 2, 3, 5, 7, 16, 255):
            head = bytearray(png[16:29])
            head[at - 16] = value
            yield Case(f"PNG with {what} {value}", png[:8] + chunk(b"IHDR", bytes(head)) + png[33:])
    for body in (b"", b"\0", b"x" * 40, b"\x78\x9c" + b"\0" * 40, png):
        for kind in (
            b"iCCP",
            b"tRNS",
            b"gAMA",
            b"cHRM",
            b"PLTE",
            b"zTXt",
            b"iTXt",
            b"eXIf",
            b"acTL",
        ):
            yield Case(f"PNG with {len(body)} bytes of {kind}", with_chunks(png, chunk(kind, body)))
    yield Case("PNG with 20,000 chunks", with_chunks(grey, *[chunk(b"tEXt", b"a\0b")] * 20_000))
    yield Case("PNG without pixels", png[:33] + chunk(b"IEND"))
    yield Case("PNG with empty pixels", png[:33] + chunk(b"IDAT") + chunk(b"IEND"))
    yield Case("PNG after its end", png + chunk(b"IDAT", b"x") + png)


def _odd_gifs():
    gif = good()["GIF"]
    place = gif.index(b"\x2c\0\0\0\0")
    frame, trailer = gif[place:-1], gif[-1:]
    for width, height in ((0, 0), (0, 9), (1, 1), (65_535, 1)):
        size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
        yield Case(f"GIF whose screen is {width} x {height}", gif[:6] + size + gif[10:])
        yield Case(
            f"GIF whose frame is {width} x {height}", gif[: place + 5] + size + gif[place + 9 :]
        )
        yield Case(
            f"GIF whose frame is at {width}, {height}", gif[: place + 1] + size + gif[place + 5 :]
        )
    for bits in (0, 1, 9, 11, 12, 13, 255):
        yield Case(
            f"GIF with codes of {bits} bits", gif[: place + 10] + bytes([bits]) + gif[place + 11 :]
        )
    for flags in (0x00, 0x80, 0x87, 0xFF):
        yield Case(f"GIF with screen flags {flags}", gif[:10] + bytes([flags]) + gif[11:])
    yield Case("GIF without frames", gif[:place] + trailer)
    yield Case("GIF with 3,000 frames", gif[:place] + frame * 3000 + trailer)
    yield Case("GIF with 20,000 comments", gif[:place] + b"!\xfe\1x\0" * 20_000 + gif[place:])
    yield Case("GIF with a frame of nothing", gif[: place + 11] + b"\0" + trailer)
    yield Case("GIF with zeros before its end", gif[:-1] + bytes(9) + trailer)
    yield Case("GIF 88a", b"GIF88a" + gif[6:])


def _odd_webps():
    for name in ("WebP", "WebP with metadata", "WebP, animated"):
        webp = good()[name]
        size = len(webp) - 8
        for told in (0, 1, 4, size - 1, size + 1, size + 2, 2**31, 2**32 - 1):
            yield Case(
                f"{name} that tells {told} of {size}",
                b"RIFF" + told.to_bytes(4, "little") + webp[8:],
            )
        for flags in (0x00, 0x02, 0x3E, 0xFF):
            yield Case(f"{name} with flags {flags}", webp[:20] + bytes([flags]) + webp[21:])
        yield Case(f"{name} and a byte more", webp + b"x")
    yield Case("WebP without chunks", b"RIFF\4\0\0\0WEBP")


def _odd_exif():
    good_block = exif(6)
    blocks = {f"orientation {n}": exif(n) for n in (0, 2, 5, 8, 9, 65_535)}
    blocks |= {f"{order} order": exif(6, order) for order in "<>"}
    blocks |= {f"cut at {n}": good_block[:n] for n in range(0, len(good_block), 7)}
    blocks["with a table far away"] = good_block[:4] + b"\xff\xff\xff\xff" + good_block[8:]
    blocks["with a table in its head"] = good_block[:4] + b"\0\0\0\0" + good_block[8:]
    blocks["with 65535 entries"] = good_block[:8] + b"\xff\xff" + good_block[10:]
    blocks["of nonsense"] = b"nonsense" * 20
    for name, block in blocks.items():
        body = b"Exif\0\0" + block
        yield Case(f"JPEG, EXIF {name}", encoded()[:2] + segment(0xE1, body) + encoded()[2:])
        yield Case(f"PNG, EXIF {name}", with_chunks(good()["PNG"], chunk(b"eXIf", block)))
