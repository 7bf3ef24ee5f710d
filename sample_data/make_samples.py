"""Draws the sample pictures and writes their manifests: ``python sample_data/make_samples.py``.

Everything here is made by this script, so nothing in this folder belongs to anyone else. The same
script gives the same pictures; encoders may store them in other bytes.
"""

from __future__ import annotations

import base64
import io
import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont, TiffImagePlugin

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIENTATION, GPS, MAKE, MODEL = 0x0112, 0x8825, 0x010F, 0x0110
TURN_CLOCKWISE = 6
LINE = "The quick brown fox jumps over the lazy dog"


def blend(top: str, bottom: str, size: tuple[int, int]) -> Image.Image:
    """Return one colour turning into another, top to bottom."""
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


def write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: str) -> None:
    """Write one line of text."""
    draw.text(at, text, fill=ink, font=ImageFont.load_default(size))


def harbour() -> Image.Image:
    """Draw two sailing boats under a low sun."""
    picture = blend("#7fb2e5", "#fbe3c0", (640, 420))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((470, 200, 560, 290), fill="#ffd27a")
    picture.paste(blend("#3f7fa6", "#123a5a", (640, 160)), (0, 260))
    for x, scale, sail in ((190, 1.0, "white"), (420, 0.6, "#e8543f")):
        mast, deck = int(160 * scale), int(60 * scale)
        draw.polygon([(x, 300 - mast), (x, 290), (x + int(95 * scale), 290)], fill=sail)
        hull = [(x - deck, 296), (x + deck * 2, 296), (x + deck, 326), (x - deck // 2, 326)]
        draw.polygon(hull, fill="#6b3a1f")
    for y in range(340, 420, 18):
        for x in range((y * 7) % 60 - 60, 640, 90):
            draw.arc((x, y, x + 60, y + 14), 200, 340, fill="#8fc1dc", width=2)
    return picture


def lighthouse() -> Image.Image:
    """Draw a striped lighthouse at dusk, standing upright."""
    picture = blend("#22315c", "#d98c7a", (300, 450))
    draw = ImageDraw.Draw(picture)
    draw.polygon([(0, 450), (0, 390), (150, 350), (300, 400), (300, 450)], fill="#27331f")
    for step in range(6):
        top, narrow = 120 + step * 42, 26 + step * 4
        stripe = "white" if step % 2 else "#c9302c"
        draw.rectangle((150 - narrow, top, 150 + narrow, top + 42), fill=stripe)
    draw.polygon([(176, 100), (300, 60), (300, 140)], fill="#f7e7a1")
    draw.rectangle((126, 84, 174, 120), fill="#f2c83f")
    draw.polygon([(120, 84), (180, 84), (150, 56)], fill="#333333")
    return picture


def receipt() -> Image.Image:
    """Draw a till receipt that adds up."""
    picture = Image.new("L", (360, 540), 250)
    draw = ImageDraw.Draw(picture)
    bought = [("2 x Coffee", 6.40), ("1 x Lemon cake", 3.90), ("3 x Mineral water", 5.70)]
    write(draw, (96, 24), "CAFE MERIDIAN", 22, "black")
    write(draw, (108, 54), "Receipt no. 20417", 16, "black")
    for place, (what, price) in enumerate(bought):
        write(draw, (30, 120 + 36 * place), what, 18, "black")
        write(draw, (270, 120 + 36 * place), f"{price:5.2f}", 18, "black")
    draw.line((30, 236, 330, 236), fill=0, width=2)
    total = sum(price for _, price in bought)
    write(draw, (30, 250), "TOTAL EUR", 24, "black")
    write(draw, (256, 250), f"{total:5.2f}", 24, "black")
    write(draw, (30, 300), "Paid by card   2026-03-14  10:42", 16, "black")
    for x in range(60, 300, 6):
        draw.rectangle((x, 380, x + (x * 7 % 5), 450), fill=0)
    write(draw, (118, 470), "Thank you!", 20, "black")
    return picture


def bar_chart() -> Image.Image:
    """Draw a bar chart of four quarters."""
    picture = Image.new("RGB", (480, 340), "white")
    draw = ImageDraw.Draw(picture)
    write(draw, (120, 14), "Visitors per quarter", 22, "#222222")
    draw.line((60, 50, 60, 290, 450, 290), fill="#222222", width=2)
    colours = ("#4c78a8", "#f58518", "#54a24b", "#e45756")
    for place, (value, colour) in enumerate(zip((120, 200, 165, 90), colours, strict=True)):
        left = 90 + place * 92
        draw.rectangle((left, 290 - value, left + 56, 289), fill=colour)
        write(draw, (left + 12, 266 - value), str(value), 18, "#222222")
        write(draw, (left + 16, 298), f"Q{place + 1}", 18, "#222222")
    return picture.quantize(32)


def line_chart() -> Image.Image:
    """Draw a temperature curve over a day."""
    picture = Image.new("RGB", (520, 320), "#fdfdf8")
    draw = ImageDraw.Draw(picture)
    write(draw, (150, 12), "Temperature over a day", 20, "#222222")
    draw.line((50, 40, 50, 280, 500, 280), fill="#222222", width=2)
    points = [
        (50 + 18 * hour, 180 - 90 * math.sin((hour - 9) * math.pi / 12)) for hour in range(25)
    ]
    draw.line(points, fill="#d62728", width=4, joint="curve")
    for hour in range(0, 25, 6):
        write(draw, (42 + 18 * hour, 288), f"{hour:02d}:00", 14, "#222222")
    return picture


def badge() -> Image.Image:
    """Draw a round badge on a transparent ground."""
    picture = Image.new("RGBA", (320, 320), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    for inset in range(60):
        draw.ellipse((inset, inset, 319 - inset, 319 - inset), fill=(30, 110, 80, 4 * inset + 15))
    star = [
        (160 + radius * math.sin(turn * math.pi / 5), 160 - radius * math.cos(turn * math.pi / 5))
        for turn, radius in enumerate((90, 38) * 5)
    ]
    draw.polygon(star, fill=(255, 210, 60, 255))
    return picture


def planet() -> Image.Image:
    """Draw a lit sphere in sixteen bits of grey."""
    size, radius = 160, 66
    picture = Image.new("I;16", (size, size), 900)
    for y in range(size):
        for x in range(size):
            across, down = (x - size / 2) / radius, (y - size / 2) / radius
            rest = 1 - across * across - down * down
            if rest > 0:
                light = max(0.0, 0.6 * math.sqrt(rest) - 0.5 * across - 0.4 * down)
                picture.putpixel((x, y), int(3_000 + 60_000 * min(1.0, light)))
    return picture


def pennant() -> Image.Image:
    """Draw a flag of three stripes and a disc."""
    picture = Image.new("RGB", (300, 200), "#1b5e9e")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 67, 299, 133), fill="#f4f4f0")
    draw.rectangle((0, 134, 299, 199), fill="#c62839")
    draw.ellipse((110, 60, 190, 140), fill="#f2b705")
    return picture.quantize(8)


def bouncing_ball() -> list[Image.Image]:
    """Draw eight frames of a ball falling and rising again."""
    frames = []
    for step in range(8):
        frame = Image.new("RGB", (160, 160), "#eef3f7")
        draw = ImageDraw.Draw(frame)
        top = 20 + int(84 * abs(math.sin(step * math.pi / 8)))
        draw.rectangle((0, 140, 159, 159), fill="#8a9aa8")
        draw.ellipse((62, top, 98, top + 36), fill="#d1495b")
        frames.append(frame.quantize(8))
    return frames


def poster() -> Image.Image:
    """Draw a poster in the four inks of a printing press."""
    picture = Image.new("CMYK", (300, 400), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    for place, ink in enumerate(((255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255))):
        draw.rectangle((20 + 68 * place, 40, 72 + 68 * place, 250), fill=ink)
    draw.ellipse((70, 260, 230, 390), fill=(255, 255, 0, 0))
    return picture


def page() -> Image.Image:
    """Draw a scanned page in black and white."""
    picture = Image.new("L", (420, 300), 255)
    draw = ImageDraw.Draw(picture)
    write(draw, (30, 24), "Minutes of the meeting", 26, "black")
    for place in range(6):
        write(draw, (30, 80 + 32 * place), LINE, 17, "black")
    return picture.convert("1", dither=Image.Dither.NONE)


def fractal() -> Image.Image:
    """Draw the Mandelbrot set in grey."""
    return Image.effect_mandelbrot((400, 300), (-2.2, -1.2, 1.0, 1.2), 90)


def icon() -> Image.Image:
    """Draw a traffic light, small enough to stand in a manifest."""
    picture = Image.new("RGB", (40, 80), "#2b2b2b")
    draw = ImageDraw.Draw(picture)
    for place, colour in enumerate(("#ff3b30", "#5a5030", "#1f4a25")):
        draw.ellipse((10, 6 + 24 * place, 30, 26 + 24 * place), fill=colour)
    return picture


def camera_notes() -> Image.Exif:
    """Return what a camera writes: which way it was held, its name, and where it was."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURN_CLOCKWISE
    exif[MAKE], exif[MODEL] = "Sample", "Drawn by a script"
    degrees = tuple(TiffImagePlugin.IFDRational(part) for part in (12, 34, 56))
    exif.get_ifd(GPS).update({1: "N", 2: degrees, 3: "W", 4: degrees})
    return exif


def pictures() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """Name, picture and how it is stored, one for each kind of file that people have."""
    ball, *rest = bouncing_ball()
    turned = lighthouse().transpose(Image.Transpose.ROTATE_90)
    yield "harbour.jpg", harbour(), {"quality": 85}
    yield "lighthouse-turned.jpg", turned, {"quality": 85, "exif": camera_notes()}
    yield "poster-cmyk.jpg", poster(), {"quality": 80}
    yield "fractal-grey.jpg", fractal(), {"quality": 80, "comment": b"drawn by a formula"}
    yield "receipt.png", receipt(), {"optimize": True}
    yield "bar-chart-palette.png", bar_chart(), {"optimize": True}
    yield "badge-transparent.png", badge(), {"optimize": True}
    yield "planet-16-bit.png", planet(), {"optimize": True}
    yield "page-1-bit.png", page(), {"optimize": True}
    yield "line-chart.webp", line_chart(), {"quality": 80}
    yield "pennant.gif", pennant(), {}
    yield "bouncing-ball.gif", ball, {"save_all": True, "append_images": rest, "duration": 90}


def as_png(picture: Image.Image) -> bytes:
    """Encode a picture that is embedded rather than stored beside the manifest."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def rows() -> list[dict[str, Any]]:
    """Return the rows of ``manifest.jsonl``: every way to name an image and to ask."""
    text = {"subject": "text", "source": {"made_by": "script", "year": 2026, "tags": ["print"]}}
    scene = {"subject": "scene", "source": {"made_by": "script", "year": 2026, "tags": []}}
    chart = {"subject": "chart", "source": {"made_by": "script", "year": 2026, "tags": ["axes"]}}
    data_uri = "data:image/png;base64," + base64.b64encode(as_png(icon())).decode()
    total = "What is the total on this receipt? Answer with the amount and the currency only."
    return [
        {"id": "harbour", "image": "pictures/harbour.jpg", **scene},
        {"id": "lighthouse", "image": "pictures/lighthouse-turned.jpg", **scene},
        {"id": "poster", "image": "pictures/poster-cmyk.jpg", **scene},
        {"id": "fractal", "image": "pictures/fractal-grey.jpg", **scene},
        {
            "id": "receipt",
            "image": {"path": "pictures/receipt.png", "detail": "high"},
            "prompt": total,
            "system": "You read receipts. You never guess.",
            "params": {"max_tokens": 300, "temperature": 0},
            **text,
        },
        {
            "id": "bar-chart",
            "image": {"path": "pictures/bar-chart-palette.png", "detail": "low"},
            "prompt": "Which quarter has the highest bar?",
            **chart,
        },
        {"id": "badge", "image": "pictures/badge-transparent.png", **scene},
        {"id": "planet", "image": "pictures/planet-16-bit.png", **scene},
        {
            "id": "page",
            "image": "pictures/page-1-bit.png",
            "prompt": "Transcribe the page.",
            **text,
        },
        {"id": "line-chart", "image": "pictures/line-chart.webp", **chart},
        {"id": "pennant", "image": "pictures/pennant.gif", **scene},
        {"id": "ball", "image": "pictures/bouncing-ball.gif", **scene},
        {"id": "traffic-light", "image": data_uri, "prompt": "Which lamp is lit?", **scene},
        {
            "id": "two-charts",
            "images": ["pictures/bar-chart-palette.png", "pictures/line-chart.webp"],
            "prompt": "What do these two charts show?",
            **chart,
        },
    ]


def pairs() -> list[dict[str, Any]]:
    """Return the rows of ``pairs.jsonl``: two pictures each, to be compared."""
    return [
        {"id": "charts", "images": ["pictures/bar-chart-palette.png", "pictures/line-chart.webp"]},
        {"id": "sea", "images": ["pictures/harbour.jpg", "pictures/lighthouse-turned.jpg"]},
        {"id": "paper", "images": ["pictures/receipt.png", "pictures/page-1-bit.png"]},
    ]


def table() -> pa.Table:
    """Return ``manifest.parquet``: images as Hugging Face's ``Image`` column has them.

    Two are embedded (bytes), one is a path; timestamps, lists and structs are carried along.
    """
    seen = datetime(2026, 3, 14, 10, 42, tzinfo=UTC)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("image", image),
            ("prompt", pa.string()),
            ("label", pa.dictionary(pa.int32(), pa.string())),
            ("seen_at", pa.timestamp("ms", "UTC")),
            ("tags", pa.list_(pa.string())),
            ("place", pa.struct([("shelf", pa.int32()), ("note", pa.string())])),
        ]
    )
    columns: dict[str, list[Any]] = {
        "id": ["pennant-embedded", "badge-embedded", "receipt-by-path"],
        "image": [
            {"bytes": as_png(pennant()), "path": "pennant.png"},
            {"bytes": as_png(badge()), "path": None},
            {"bytes": None, "path": "pictures/receipt.png"},
        ],
        "prompt": [None, "What shape is in the middle?", None],
        "label": ["flag", "badge", "text"],
        "seen_at": [seen, seen, None],
        "tags": [["stripes", "disc"], [], None],
        "place": [{"shelf": 1, "note": None}, {"shelf": 2, "note": "left"}, None],
    }
    return pa.table(columns, schema=schema)


def make(folder: Path) -> None:
    """Draw and write everything into ``folder``."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for name, picture, options in pictures():
        picture.save(folder / "pictures" / name, **options)
    for name, lines in (("manifest.jsonl", rows()), ("pairs.jsonl", pairs())):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / name).write_text(text, encoding="utf-8")
    pq.write_table(table(), folder / "manifest.parquet")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
