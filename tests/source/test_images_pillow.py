import importlib
import pkgutil
import struct
import zlib

import PIL
import pytest
from PIL import Image, ImageFile

from tests.source.drawing import chunk, encoded, limits, with_chunks
from vbatch.errors import ImageError
from vbatch.source.images import prepare

BUILT_IN = [
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    OverflowError,
    ZeroDivisionError,
    AssertionError,
    NotImplementedError,
    RecursionError,
    struct.error,
    zlib.error,
]


def pillows_own():
    """Every exception that some module of Pillow defines."""
    found = set()
    for module in pkgutil.iter_modules(PIL.__path__):
        if module.name in {"__main__", "ImageTk", "_tkinter_finder", "ImageQt", "report"}:
            continue
        try:
            names = vars(importlib.import_module(f"PIL.{module.name}"))
        except ImportError:
            continue
        found |= {
            thing
            for thing in names.values()
            if isinstance(thing, type)
            and issubclass(thing, Exception)
            and thing.__module__.startswith("PIL")
        }
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", [*BUILT_IN, *pillows_own()])
def test_whatever_a_decoder_raises_becomes_an_image_error(kind, monkeypatch):
    def fail(*_):
        raise kind("no")

    data = encoded(kind="PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)

    with pytest.raises(ImageError) as caught:
        prepare(data, limits(max_side=10))

    too_large = issubclass(kind, Image.DecompressionBombError)
    assert caught.value.code == ("image_too_large" if too_large else "image_unreadable")
    assert "no" in caught.value.message


def test_pillows_own_exceptions_were_found():
    assert {kind.__name__ for kind in pillows_own()} >= {
        "UnidentifiedImageError",
        "DecompressionBombError",
        "PyCMSError",
    }


def test_an_interrupt_is_no_fault_of_the_image(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    data = encoded(kind="PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", interrupt)

    with pytest.raises(KeyboardInterrupt):
        prepare(data, limits(max_side=10))


def test_odd_metadata_makes_pillow_warn_of_nothing(recwarn):
    torn = b"II*\0" + struct.pack("<IH", 8, 900) + b"\x1a\x01\x05\0\xff\xff\xff\xff"
    jpeg = encoded(exif=b"Exif\0\0" + torn)
    png = with_chunks(encoded(kind="PNG"), chunk(b"acTL", bytes(8)), chunk(b"eXIf", torn))

    for data in (jpeg, png):
        for strip in (True, False):
            assert prepare(data, limits(max_side=24, strip=strip)).width == 24
    assert not recwarn.list


def test_the_room_is_asked_for_the_pixels_that_will_be_decoded():
    asked = []

    class Room:
        def __init__(self, decoded_bytes):
            asked.append(decoded_bytes)

        def __enter__(self):
            asked.append("in")

        def __exit__(self, *_):
            asked.append("out")

    data = encoded(Image.new("RGB", (800, 400)))

    prepare(data, limits(max_side=200), room=Room)
    prepare(data, limits(), room=Room)

    assert asked == [200 * 100 * 4, "in", "out"]


def test_a_png_is_compressed_as_well_as_can_be_before_it_is_made_smaller():
    text = Image.effect_noise((200, 160), 40).point(lambda value: 255 * (value > 140))
    quick = prepare(encoded(text, "PNG"), limits(max_side=150, formats=("png",)))
    tight = limits(max_side=150, formats=("png",), max_bytes=len(quick.data) - 1)

    small = prepare(encoded(text, "PNG"), tight)

    assert len(small.data) < len(quick.data)
    assert (small.width, small.height) == (quick.width, quick.height) == (150, 120)
