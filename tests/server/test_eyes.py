import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from vbatch.errors import ImageError
from vbatch.server import eyes
from vbatch.server.eyes import Sight, look


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_format_and_size_are_those_of_the_file(draw, kind):
    sight = look(draw("teal", (64, 48), kind))
    assert (sight.format, sight.width, sight.height) == (kind, 64, 48)
    assert not sight.animated


@pytest.mark.parametrize(
    ("size", "orientation"), [((9, 5), "landscape"), ((5, 9), "portrait"), ((7, 7), "square")]
)
def test_orientation_follows_from_the_sides(draw, size, orientation):
    assert look(draw("red", size, "PNG")).orientation == orientation


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((0, 0, 0), "black"),
        ((60, 58, 60), "black"),
        ((128, 128, 128), "grey"),
        ((255, 255, 255), "white"),
        ((220, 20, 20), "red"),
        ((230, 20, 60), "red"),
        ((250, 140, 20), "orange"),
        ((120, 70, 20), "brown"),
        ((240, 230, 40), "yellow"),
        ((30, 160, 40), "green"),
        ((0, 128, 128), "teal"),
        ((20, 40, 220), "blue"),
        ((120, 30, 200), "purple"),
        ((240, 80, 180), "pink"),
    ],
)
def test_plain_pictures_are_named_by_their_colour(draw, colour, name):
    assert look(draw(colour, (20, 20), "PNG")).colours == (name,)


def test_two_colours_are_named_by_area(scene, encode):
    assert look(encode(scene)).colours == ("teal", "white")
    assert look(encode(scene, "JPEG")).colours == ("teal", "white")


def test_many_small_colours_leave_the_largest(encode):
    stripes = Image.new("RGB", (80, 80))
    colours = ["red", "orange", "yellow", "green", "teal", "blue", "purple", "pink"]
    for place, colour in enumerate(colours):
        stripes.paste(colour, (place * 10, 0, place * 10 + 10, 80))
    assert len(look(encode(stripes)).colours) == 1


@pytest.mark.parametrize(("blur", "words"), [(0, "sharp"), (2, "soft"), (8, "blurry")])
def test_sharpness_falls_with_blur(scene, encode, blur, words):
    blurred = scene.filter(ImageFilter.GaussianBlur(blur))
    assert look(encode(blurred)).sharpness == words
    assert look(encode(blurred, "JPEG", quality=95)).sharpness == words


@pytest.mark.parametrize("size", [(1, 1), (2, 200), (40, 40)])
def test_plain_or_tiny_pictures_have_no_detail(draw, size):
    assert look(draw("grey", size, "PNG")).sharpness == "without detail"


def test_a_tiny_picture_with_contrast_has_no_detail_either(encode):
    image = Image.new("L", (2, 2))
    image.putpixel((0, 0), 255)
    assert look(encode(image)).sharpness == "without detail"


@pytest.mark.parametrize(
    ("level", "brightness"), [(20, "dark"), (128, "mid-bright"), (230, "bright")]
)
def test_brightness_has_three_steps(draw, level, brightness):
    assert look(draw((level,) * 3, kind="PNG")).brightness == brightness


@pytest.mark.parametrize(("other", "contrast"), [(120, "low"), (220, "medium"), (255, "high")])
def test_contrast_has_three_steps(encode, other, contrast):
    image = Image.new("L", (64, 64), 100 if other < 255 else 0)
    image.paste(other, (0, 0, 64, 32))
    assert look(encode(image)).contrast == contrast


def test_what_is_see_through_counts_as_white(encode):
    assert look(encode(Image.new("RGBA", (20, 20), (255, 0, 0, 0)))).colours == ("white",)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_png_can_be_measured(encode, mode):
    assert look(encode(Image.new(mode, (30, 20)))).width == 30


def test_sixteen_bits_keep_their_brightness(encode):
    assert look(encode(Image.new("I;16", (30, 20), 32_000))).brightness == "mid-bright"


def test_cmyk_is_brought_to_rgb(encode):
    assert look(encode(Image.new("CMYK", (30, 20), (0, 255, 255, 0)), "JPEG")).colours == ("red",)


def test_large_pictures_are_measured_as_stored(draw):
    sight = look(draw("teal", (3000, 1200)))
    assert (sight.width, sight.height, sight.colours) == (3000, 1200, ("teal",))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_noticed(encode, kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    moving = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert look(moving).animated


def test_a_jpeg_of_several_pictures_is_a_still_jpeg(encode):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    sight = look(encode(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert (sight.format, sight.animated) == ("JPEG", False)


def test_exif_orientation_is_not_applied(encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    sight = look(encode(Image.new("RGB", (40, 20)), "JPEG", exif=exif))
    assert (sight.width, sight.height) == (40, 20)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_cut_short_is_unreadable(scene, encode, kind):
    data = encode(scene, kind)
    with pytest.raises(ImageError) as caught:
        look(data[: len(data) // 2])
    assert caught.value.code in ("image_unreadable", "image_unsupported")


def test_other_formats_are_unsupported(draw):
    for data in (b"", b"<svg/>", b"%PDF-1.7", draw(kind="BMP"), draw(kind="TIFF")):
        with pytest.raises(ImageError) as caught:
            look(data)
        assert caught.value.code == "image_unsupported"


def test_too_many_pixels_are_refused_before_decoding(draw, monkeypatch):
    monkeypatch.setattr(eyes, "MAX_PIXELS", 100)
    with pytest.raises(ImageError, match="20x10") as caught:
        look(draw("red", (20, 10), "PNG"))
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize("side", [14_000, 30_000])
def test_bombs_are_refused_by_their_header(draw, side):
    data = bytearray(draw("red", (1, 1), "PNG"))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(ImageError) as caught:
        look(bytes(data))
    assert caught.value.code == "image_too_large"


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_damaged_pictures_are_measured_or_refused_and_nothing_else(data):
    original = bytearray(_tiny_png())
    for place in data.draw(st.lists(st.integers(8, len(original) - 1), min_size=1, max_size=6)):
        original[place] = data.draw(st.integers(0, 255))
    try:
        found = look(bytes(original))
    except ImageError as error:
        found = error.code
    assert isinstance(found, Sight) or found.startswith("image_")


def _tiny_png() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).save(buffer, "PNG")
    return buffer.getvalue()
