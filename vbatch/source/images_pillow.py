"""The one place where images are decoded and encoded, and where Pillow's errors become ours."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vbatch.errors import ImageError
from vbatch.source.image_files.exif import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.source.image_files import Format

Room = Callable[[int], AbstractContextManager[None]]
"""Waits until there is memory for so many bytes of pixels, and holds it."""

_READERS: dict[Format, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "gif": GifImageFile,
}
"""Taken directly: ``Image.open`` would try other formats, and warn about large pictures."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LONGEST_SIDE: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383, "png": 2**31 - 1}
"""What each encoder can write, in pixels."""
_MODES: dict[Format, tuple[str, ...]] = {
    "jpeg": ("L", "RGB"),
    "png": ("L", "RGB", "RGBA"),
    "webp": ("RGB", "RGBA"),
}
_ICC_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB ", "CMYK": b"CMYK"}
_ICC_SPACE_AT = slice(16, 20)
_MOST_EXIF_IN_JPEG = 65_533
_BYTES_PER_PIXEL: dict[Format, int] = {"jpeg": 4, "png": 4, "gif": 4, "webp": 16}
"""Held while decoding: WebP's decoder has two canvases, and hands over a third."""
_PNG_LEVEL = 3
"""Of zlib: half to a quarter of the time of its usual 6; text gets smaller, noise 5 % larger.

The event loop stands still while 64 KiB are compressed: 8 ms at worst, and 25 ms at level 6.
"""

_PNG_LEVEL_AT_NEED = 9
_LOWEST_QUALITY = 55
_QUALITY_STEP = 15
_SMALLEST_SIDE = 16
"""Below this longer side nothing can be seen: rather fail."""


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Raise ImageError ``image_too_large`` for more pixels than may be decoded."""
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            "image_too_large",
            f"the image is {width} x {height} pixels; at most {max_pixels} pixels are ever decoded",
        )


def no_bounds(_decoded_bytes: int) -> AbstractContextManager[None]:
    """A ``Room`` that never waits."""
    return nullcontext()


@contextmanager
def picture(
    data: bytes,
    kind: Format,
    *,
    orientation: int,
    max_side: int | None,
    max_pixels: int,
    room: Room,
) -> Iterator[Picture]:
    """The first frame of ``data``, upright, its longer side at most ``max_side`` pixels.

    Raises ImageError, also for whatever goes wrong within the ``with`` block.
    """
    try:
        with _READERS[kind](io.BytesIO(data)) as image:
            check_pixels(image.size, max_pixels)  # a file can say two sizes, and this one counts
            size = _within(image.size, max_side)
            image.draft(None, size)  # a JPEG decoder can halve as it decodes, at half the cost
            with room(image.width * image.height * _BYTES_PER_PIXEL[kind]):
                image.load()
                yield Picture(_upright(_resized(_plain(image), size), orientation))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(
            "image_unreadable", "there is not enough memory just now to decode the image"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            "image_too_large", f"the image is too large to decode: {_said(error)}"
        ) from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, …
        raise ImageError(
            "image_unreadable", f"the {kind} image is cut or damaged: {_said(error)}"
        ) from error


class Picture:
    """Decoded pixels on their way to another file."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    @property
    def has_alpha(self) -> bool:
        """Whether some pixels may let the background through."""
        return self._image.mode == "RGBA"

    def suit(self, kind: Format) -> None:
        """Bring the pixels to what ``kind`` holds: alpha over white for JPEG, at most its size."""
        image = _resized(self._image, _within(self._image.size, _LONGEST_SIDE[kind]))
        if image.mode not in _MODES[kind]:
            image = _over_white(image) if image.mode == "RGBA" else _converted(image, "RGB")
        self._image = image

    def encode(
        self, kind: Format, *, quality: int, max_bytes: int | None, exif: bytes | None
    ) -> tuple[bytes, int, int]:
        """The file, its width and height. Quality, then size are lowered until it fits."""
        image = self._image = _lean(self._image, max_bytes)
        level = _PNG_LEVEL
        while True:
            data = _saved(image, kind, quality, level, exif)
            if max_bytes is None or len(data) <= max_bytes:
                return data, image.width, image.height
            if kind == "png" and level < _PNG_LEVEL_AT_NEED:
                level = _PNG_LEVEL_AT_NEED
                continue
            if kind != "png" and quality > _LOWEST_QUALITY:
                quality = max(_LOWEST_QUALITY, quality - _QUALITY_STEP)
                continue
            side = int(max(image.size) * min(0.9, 0.95 * (max_bytes / len(data)) ** 0.5))
            if side < _SMALLEST_SIDE:
                raise ImageError(
                    "request_too_large",
                    f"the image does not fit {max_bytes} bytes, however small it is made",
                )
            image = _resized(self._image, _within(self._image.size, side))


def _within(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    longer = max(size)
    if max_side is None or longer <= max_side:
        return size
    width, height = (max(1, round(side * max_side / longer)) for side in size)
    return width, height


def _plain(image: Image.Image) -> Image.Image:
    """The picture in one of L, RGB, RGBA, eight bits each."""
    if image.mode.startswith("I"):
        image.info.pop("transparency", None)
        return image.point(lambda value: value / 257 + 0.5).convert("L")
    if image.has_transparency_data:
        return _converted(image, "RGBA")
    if image.mode in ("1", "L"):
        return _converted(image, "L")
    return _converted(image, "RGB")


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """``image`` in ``mode``, with its colour profile if that still holds."""
    if image.mode == mode:
        return image
    icc = image.info.get("icc_profile")
    if icc and image.mode == "CMYK" and _speaks_of(icc, "CMYK"):
        return _to_srgb(image, icc)
    converted = image.convert(mode)
    if not _speaks_of(icc, mode):
        converted.info.pop("icc_profile", None)
    return converted


def _to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    from PIL import ImageCms  # noqa: PLC0415 - rarely needed, and slow to load

    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(icc), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:
        converted = None
    converted = converted or image.convert("RGB")
    converted.info.pop("icc_profile", None)
    return converted


def _lean(image: Image.Image, max_bytes: int | None) -> Image.Image:
    """``image`` without its colour profile, where that alone takes half of the bytes there are."""
    icc = image.info.get("icc_profile") or b""
    if max_bytes is None or len(icc) <= max_bytes / 2:
        return image
    if image.mode == "RGB":
        return _to_srgb(image, icc)
    bare = image.copy()
    bare.info.pop("icc_profile")
    return bare


def _speaks_of(icc: bytes | None, mode: str) -> bool:
    return icc is not None and icc[_ICC_SPACE_AT] == _ICC_SPACES.get(mode)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """``image`` in ``size``, bicubic: a fifth less work than Lanczos, and hard to tell from it."""
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _over_white(image: Image.Image) -> Image.Image:
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    flat.info = image.info
    return flat


def _saved(image: Image.Image, kind: Format, quality: int, level: int, exif: bytes | None) -> bytes:
    icc = image.info.get("icc_profile")
    options: dict[str, Any] = {"comment": b"", "icc_profile": None}
    if kind == "png":
        options["compress_level"] = level
    else:
        options["quality"] = quality
    if _speaks_of(icc, image.mode):
        options["icc_profile"] = icc
    if exif and (kind != "jpeg" or len(PREFIX + exif) <= _MOST_EXIF_IN_JPEG):
        options["exif"] = PREFIX + exif
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
