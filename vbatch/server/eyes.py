"""Looking at a picture: what can be measured of its pixels, and nothing more."""

from __future__ import annotations

from colorsys import rgb_to_hsv
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate
from math import ceil

from PIL import Image, ImageFilter, ImageStat, UnidentifiedImageError

from vbatch.errors import ImageError

MAX_PIXELS = 178_956_970
"""More than this many pixels are not decoded (Pillow's own mark for decompression bombs)."""

_VIEW_PX = 512
_COLOUR_PX = 32
_LAPLACE = ImageFilter.Kernel((3, 3), (0, -1, 0, -1, 4, -1, 0, -1, 0), scale=1)
_MIN_SHARE = 0.15
_HUES = (
    *((15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (195, "teal")),
    *((255, "blue"), (290, "purple"), (345, "pink"), (360, "red")),
)
_BLACK_BELOW, _GREY_BELOW, _BROWN_BELOW = 0.15, 0.15, 0.7
"""Value, saturation and value again, of 1."""
_PLAIN_BELOW = 8
"""Levels of grey between darkest and brightest."""
_KERNEL_PX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One picture as seen.

    ``format`` is Pillow's name (JPEG, PNG, GIF, WEBP); sizes in pixels, as stored (EXIF orientation
    is not applied); ``colours`` by area, most first.
    """

    format: str
    width: int
    height: int
    animated: bool
    brightness: str
    contrast: str
    colours: tuple[str, ...]
    sharpness: str

    @property
    def orientation(self) -> str:
        """``landscape``, ``portrait`` or ``square``."""
        if self.width == self.height:
            return "square"
        return "landscape" if self.width > self.height else "portrait"


def look(data: bytes) -> Sight:
    """Decode the whole of a JPEG, PNG, GIF or WebP (first frame) and measure it.

    Raises ImageError: ``image_unsupported``, ``image_too_large`` or ``image_unreadable``.
    """
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG", "GIF", "WEBP")) as image:
            _check_size(image)
            return _measured(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError("image_unsupported", "it is no whole JPEG, PNG, GIF or WebP") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("image_too_large", f"it has more than {MAX_PIXELS} pixels") from error
    except Exception as error:  # Pillow's readers let through whatever damaged bytes make them meet
        raise ImageError("image_unreadable", f"it cannot be decoded ({error})") from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError("image_too_large", f"it has {width}x{height} pixels")


def _measured(image: Image.Image) -> Sight:
    (width, height), still = image.size, image.format in ("JPEG", "MPO")
    view = _view(image)
    grey = view.convert("L")
    light = ImageStat.Stat(grey)
    return Sight(
        format="JPEG" if still else str(image.format),
        width=width,
        height=height,
        animated=not still and getattr(image, "is_animated", False),
        brightness=_word(light.mean[0], ((85, "dark"), (170, "mid-bright")), "bright"),
        contrast=_word(light.stddev[0], ((32, "low"), (64, "medium")), "high"),
        colours=_colours(view),
        sharpness=_sharpness(grey),
    )


def _view(image: Image.Image) -> Image.Image:
    """The whole picture at most 512 pixels long, in RGB, see-through parts over white."""
    image.draft("RGB", (_VIEW_PX, _VIEW_PX))
    image.load()
    if image.mode.startswith("I"):
        return _small(image.convert("I").point(lambda level: level / 256).convert("L"))
    if not image.has_transparency_data:
        return _small(image.convert("RGB"))
    view = _small(image.convert("RGBA"))
    paper = Image.new("RGBA", view.size, "white")
    return Image.alpha_composite(paper, view).convert("RGB")


def _small(image: Image.Image) -> Image.Image:
    return image.reduce(ceil(max(image.size) / _VIEW_PX))


def _word(value: float, steps: tuple[tuple[float, str], ...], above: str) -> str:
    return next((word for limit, word in steps if value < limit), above)


def _colours(view: Image.Image) -> tuple[str, ...]:
    """The names of at most two colours that cover most, of those that cover 15 % or more."""
    tiny = view.convert("RGB").resize((_COLOUR_PX, _COLOUR_PX), Image.Resampling.BOX)
    areas: dict[str, int] = {}
    few = tiny.quantize(16)
    palette, counts = few.getpalette() or [], few.histogram()
    for place, count in enumerate(counts[: len(palette) // 3]):
        name = _colour(*palette[3 * place : 3 * place + 3])
        areas[name] = areas.get(name, 0) + count
    named = sorted(areas, key=lambda name: (-areas[name], name))
    wanted = _MIN_SHARE * _COLOUR_PX**2
    return tuple(name for name in named[:2] if areas[name] >= wanted) or (named[0],)


def _colour(red: int, green: int, blue: int) -> str:
    hue, saturation, value = rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < _BLACK_BELOW:
        return "black"
    if saturation < _GREY_BELOW:
        return _word(value, ((0.3, "black"), (0.85, "grey")), "white")
    name = _word(hue * 360, _HUES, "red")
    return "brown" if name == "orange" and value < _BROWN_BELOW else name


def _sharpness(grey: Image.Image) -> str:
    """How steep the steepest edges are, beside the picture's own range of light."""
    darkest, brightest = ImageStat.Stat(grey).extrema[0]
    width, height = grey.size
    if brightest - darkest < _PLAIN_BELOW or min(width, height) < _KERNEL_PX:
        return "without detail"
    edges = grey.filter(_LAPLACE).crop((1, 1, width - 1, height - 1))
    steep = _percentile(edges.histogram(), 0.999) / (brightest - darkest)
    return _word(steep, ((0.1, "blurry"), (0.25, "soft")), "sharp")


def _percentile(histogram: list[int], part: float) -> int:
    """The level that ``part`` of all pixels do not exceed."""
    wanted = part * sum(histogram)
    return next(level for level, count in enumerate(accumulate(histogram)) if count >= wanted)
