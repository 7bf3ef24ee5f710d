import hashlib
import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from tests.source.drawing import (
    SECRET,
    animation,
    chunk,
    decoded,
    encoded,
    exif,
    gif_extension,
    gradient,
    limits,
    riff_chunk,
    same_pixels,
    segment,
    srgb,
    with_chunks,
    with_extensions,
    with_riff_chunks,
    with_segments,
)
from vbatch.errors import ImageError
from vbatch.source.images import prepare

XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"


def failure(data, **changes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        prepare(data, limits(**changes))
    return caught.value


# --- byte for byte ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (encoded(), "image/jpeg"),
        (encoded(progressive=True), "image/jpeg"),
        (encoded(restart_marker_rows=1), "image/jpeg"),
        (encoded(gradient("L")), "image/jpeg"),
        (encoded(gradient("CMYK")), "image/jpeg"),
        (encoded(icc_profile=srgb()), "image/jpeg"),
        (encoded(kind="PNG"), "image/png"),
        (encoded(gradient("P"), "PNG"), "image/png"),
        (encoded(gradient("1"), "PNG"), "image/png"),
        (encoded(gradient("RGBA"), "PNG", icc_profile=srgb(), dpi=(300, 300)), "image/png"),
        (encoded(Image.new("I;16", (48, 32), 40_000), "PNG"), "image/png"),
        (animation("PNG"), "image/png"),
        (encoded(kind="WEBP"), "image/webp"),
        (encoded(kind="WEBP", lossless=True), "image/webp"),
        (encoded(gradient("RGBA"), "WEBP", icc_profile=srgb()), "image/webp"),
        (animation("WEBP"), "image/webp"),
        (encoded(gradient("P"), "GIF"), "image/gif"),
        (animation("GIF", loop=0), "image/gif"),
    ],
)
def test_an_image_within_the_limits_and_with_nothing_to_strip_leaves_as_it_came(data, media_type):
    width, height = decoded(data).size

    made = prepare(data, limits(max_side=48, max_bytes=len(data)), detail="high")

    assert made.data is data
    assert (made.media_type, made.width, made.height) == (media_type, width, height)
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    assert made.detail == "high"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_file_already_of_the_forced_format_is_not_touched(kind):
    data = encoded(kind=kind)

    assert prepare(data, limits(format=kind)).data is data


def test_kept_metadata_leaves_a_turned_picture_as_it_came():
    data = with_segments(encoded(), segment(0xE1, b"Exif\0\0" + exif(6)), segment(0xFE, SECRET))

    assert prepare(data, limits(strip=False)).data is data


def test_a_file_that_fits_once_its_metadata_is_gone_is_not_encoded_anew():
    plain = encoded()
    data = with_segments(plain, segment(0xED, bytes(60_000)))

    assert prepare(data, limits(max_bytes=len(plain))).data == plain


# --- stripping -------------------------------------------------------------------------------


def test_a_jpeg_loses_everything_that_is_no_picture():
    plain = encoded(icc_profile=srgb())
    data = with_segments(
        plain,
        segment(0xE0, b"JFXX\0\x10" + SECRET),
        segment(0xE1, b"Exif\0\0" + exif(1)),
        segment(0xE1, XMP),
        segment(0xE2, b"MPF\0" + SECRET),
        segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04" + SECRET),
        segment(0xFE, SECRET),
    )

    made = prepare(data + encoded(gradient("L")), limits())

    assert made.data == plain
    assert decoded(made.data).info["icc_profile"] == srgb()


def test_a_comment_behind_the_scan_of_a_jpeg_goes_too():
    plain = encoded(progressive=True)
    data = plain[:-2] + segment(0xFE, SECRET) + plain[-2:]

    assert prepare(data, limits()).data == plain


def test_what_follows_the_end_of_a_jpeg_goes_even_if_it_ends_like_one():
    plain = encoded()

    assert prepare(plain + SECRET + b"\xff\xd9", limits()).data == plain


def test_an_adobe_jpeg_keeps_the_segment_that_its_colours_need():
    data = with_segments(encoded(gradient("CMYK")), segment(0xFE, SECRET))

    made = prepare(data, limits())

    assert b"Adobe" in made.data
    assert SECRET not in made.data
    assert same_pixels(made.data, data)


def test_a_png_keeps_what_its_pixels_need_and_loses_the_rest():
    plain = encoded(gradient("P"), "PNG", icc_profile=srgb(), transparency=0, dpi=(72, 72))
    plain = with_chunks(plain, chunk(b"gAMA", (45_455).to_bytes(4, "big")))
    data = with_chunks(
        plain,
        chunk(b"eXIf", exif(1)),
        chunk(b"tEXt", b"Comment\0" + SECRET),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"tIME", bytes(7)),
        chunk(b"prVt", SECRET),
    )

    made = prepare(data + SECRET, limits())

    assert made.data == plain
    assert same_pixels(made.data, data)


@pytest.mark.parametrize("flagged", [True, False])
def test_a_webp_loses_exif_and_xmp_and_stays_a_sound_container(flagged):
    if flagged:
        data = encoded(gradient("RGBA"), "WEBP", exif=exif(1), xmp=XMP, icc_profile=srgb())
    else:
        data = with_riff_chunks(encoded(kind="WEBP"), riff_chunk(b"EXIF", exif(1) + b"!"))

    made = prepare(data + SECRET, limits())

    image = decoded(made.data)
    assert SECRET not in made.data
    assert int.from_bytes(made.data[4:8], "little") == len(made.data) - 8
    assert "exif" not in image.info
    assert "xmp" not in image.info
    assert ("icc_profile" in image.info) == flagged
    assert same_pixels(made.data, data)
    assert not flagged or made.data[20] & 0x0C == 0


def test_a_gif_keeps_its_loop_and_its_frames_and_loses_comments():
    plain = animation("GIF", loop=3)
    data = with_extensions(
        plain,
        gif_extension(0xFE, SECRET),
        gif_extension(0xFF, b"XMP DataXMP", SECRET),
    )

    made = prepare(data + SECRET, limits())

    assert made.data == plain
    assert decoded(made.data).info["loop"] == 3


def test_an_animated_png_loses_its_text_and_keeps_its_frames():
    plain = animation("PNG")
    data = with_chunks(plain, chunk(b"tEXt", b"Comment\0" + SECRET))

    assert prepare(data, limits()).data == plain


# --- encoded anew ----------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_turned_picture_is_set_upright(kind, orientation):
    upright = gradient(size=(48, 32))
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    options = {} if kind == "png" else {"quality": 95}
    block = b"Exif\0\0" + exif(orientation, ">" if orientation % 2 else "<")
    data = encoded(upright.transpose(turn), kind, exif=block, **options)

    made = prepare(data, limits())

    assert SECRET not in made.data
    assert (made.width, made.height) == (48, 32)
    difference = ImageChops.difference(decoded(made.data).convert("RGB"), upright)
    assert max(ImageStat.Stat(difference).mean) < 8


def test_the_longer_side_is_brought_to_the_limit():
    made = prepare(encoded(gradient(size=(900, 300))), limits(max_side=120))

    assert (made.width, made.height) == decoded(made.data).size == (120, 40)


def test_a_line_of_pixels_keeps_at_least_one_in_height():
    made = prepare(encoded(gradient(size=(3_000, 2)), "PNG"), limits(max_side=100))

    assert decoded(made.data).size == (100, 1)


def test_shrinking_a_photograph_looks_like_plain_pillow():
    picture = gradient(size=(1_000, 750))
    data = encoded(picture, quality=90)

    made = decoded(prepare(data, limits(max_side=392)).data)

    plain = decoded(data)
    plain.thumbnail((392, 392), Image.Resampling.LANCZOS)
    plain = decoded(encoded(plain, quality=85))
    rms = ImageStat.Stat(ImageChops.difference(made, plain)).rms
    assert 20 * math.log10(255 / max(rms)) > 38


@pytest.mark.parametrize("side", [1, 7, 16, 31])
def test_colours_stay_in_their_place_at_any_size(side):
    picture = Image.new("RGB", (64, 64), (200, 30, 30))
    picture.paste((30, 60, 200), (0, 0, 32, 64))

    made = decoded(prepare(encoded(picture, quality=95), limits(max_side=side)).data)

    assert made.size == (side, side)
    if side > 1:
        left, right = made.getpixel((side // 6, side // 2)), made.getpixel((-1, side // 2))
        assert left[2] > left[0] + 80
        assert right[0] > right[2] + 80


def test_a_jpeg_that_stores_rgb_is_read_too():
    data = encoded(gradient(size=(400, 300)), keep_rgb=True)

    made = decoded(prepare(data, limits(max_side=100)).data)

    assert made.getpixel((10, 5))[0] > 200
    assert made.info["jfif"]


def test_a_jpeg_with_adobes_word_for_its_colours_is_read_by_it():
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")
    data = encoded(gradient(size=(400, 300)), icc_profile=srgb())
    data = data[:2] + adobe + data[data.index(b"\xff\xe2") :]

    made = decoded(prepare(data, limits(max_side=100)).data)

    assert made.getpixel((10, 5))[0] > 200
    assert made.info["icc_profile"] == srgb()


@pytest.mark.parametrize(
    ("kind", "forced", "media_type"),
    [
        ("PNG", "jpeg", "image/jpeg"),
        ("WEBP", "jpeg", "image/jpeg"),
        ("GIF", "jpeg", "image/jpeg"),
        ("JPEG", "png", "image/png"),
        ("GIF", "webp", "image/webp"),
        ("JPEG", "webp", "image/webp"),
    ],
)
def test_a_forced_format_is_what_goes_out(kind, forced, media_type):
    made = prepare(encoded(gradient("P" if kind == "GIF" else "RGB"), kind), limits(format=forced))

    assert made.media_type == media_type
    assert decoded(made.data).get_format_mimetype() == media_type


@pytest.mark.parametrize(
    ("data", "taken", "media_type"),
    [
        (encoded(gradient("P"), "GIF"), {"jpeg", "png"}, "image/png"),
        (encoded(kind="WEBP"), {"jpeg", "png"}, "image/jpeg"),
        (encoded(gradient("RGBA"), "WEBP"), {"jpeg", "png"}, "image/png"),
        (encoded(gradient("RGBA"), "PNG"), {"jpeg", "webp"}, "image/webp"),
        (encoded(gradient("RGBA"), "PNG"), {"jpeg"}, "image/jpeg"),
        (encoded(), {"png"}, "image/png"),
    ],
)
def test_a_format_the_endpoint_does_not_take_becomes_one_that_holds_the_picture(
    data, taken, media_type
):
    made = prepare(data, limits(formats=frozenset(taken)))

    assert made.media_type == decoded(made.data).get_format_mimetype() == media_type


def test_an_endpoint_that_takes_no_still_format_at_all_is_named_as_the_reason():
    error = failure(encoded(), formats=frozenset({"gif"}))

    assert error.code == "image_unsupported"
    assert "takes none" in error.message


def test_a_gif_that_must_be_encoded_anew_becomes_a_png():
    made = prepare(encoded(gradient("P", (400, 300)), "GIF"), limits(max_side=100))

    assert made.media_type == "image/png"
    assert decoded(made.data).size == (100, 75)


def test_transparent_parts_are_white_in_a_jpeg():
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))

    made = decoded(prepare(encoded(clear, "PNG"), limits(format="jpeg")).data)

    assert min(made.getpixel((10, 10))) > 250


def test_transparency_given_by_palette_or_colour_is_alpha_too():
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    by_palette = encoded(palette, "PNG", transparency=bytes([0, 255]))
    by_colour = encoded(Image.new("RGB", (20, 20), (9, 9, 9)), "PNG", transparency=(9, 9, 9))

    for data in (by_palette, by_colour):
        made = decoded(prepare(data, limits(max_side=10)).data)
        assert made.mode == "RGBA"
        assert made.getpixel((5, 5))[3] == 0


@pytest.mark.parametrize("forced", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_comes_out_in_a_mode_that_the_format_holds(mode, forced):
    if mode == "I;16":
        data = encoded(Image.new(mode, (48, 32), 30_000), "PNG")
    else:
        data = encoded(gradient(mode), "JPEG" if mode == "CMYK" else "PNG")

    made = decoded(prepare(data, limits(format=forced, max_side=24)).data)

    assert made.mode in {"L", "RGB", "RGBA"}
    assert made.size == (24, 16)


def test_sixteen_bits_become_eight_without_clipping():
    picture = Image.new("I;16", (64, 64), 32_768)
    data = encoded(picture, "PNG", transparency=0)

    made = decoded(prepare(data, limits(max_side=32)).data)

    assert made.mode == "L"
    assert made.getpixel((16, 16)) == 128


def test_an_icc_profile_is_carried_where_it_still_speaks_of_the_same_colours():
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(gradient(size=(400, 300)), kind, icc_profile=srgb())

        assert decoded(prepare(data, limits(max_side=100)).data).info["icc_profile"] == srgb()


def test_a_profile_for_colours_the_picture_no_longer_has_is_left_out():
    data = encoded(gradient("L", (400, 300)), icc_profile=srgb())

    made = decoded(prepare(data, limits(format="webp", max_side=100)).data)

    assert made.info.get("icc_profile") == srgb()
    assert "icc_profile" not in decoded(prepare(data, limits(max_side=100)).data).info


def test_cmyk_is_converted_through_its_profile_and_survives_a_broken_one(monkeypatch):
    seen = []
    convert = ImageCms.profileToProfile

    def noting(image, source, *args, **options):
        seen.append(image.mode)
        return convert(image, source, *args, **options)

    monkeypatch.setattr(ImageCms, "profileToProfile", noting)
    broken = srgb()[:16] + b"CMYK" + srgb()[20:]
    data = encoded(gradient("CMYK"), icc_profile=broken)

    made = decoded(prepare(data, limits(max_side=24)).data)

    assert seen == ["CMYK"]
    assert made.mode == "RGB"
    assert "icc_profile" not in made.info


def test_kept_metadata_goes_along_when_the_picture_is_encoded_anew():
    for kind in ("JPEG", "PNG", "WEBP"):
        block = b"Exif\0\0" + exif(6)
        data = encoded(gradient(size=(300, 200)), kind, exif=block, icc_profile=srgb())

        made = decoded(prepare(data, limits(strip=False, max_side=90)).data)

        assert made.size == (60, 90)
        assert made.getexif()[0x0112] == 1
        assert made.getexif()[0x010E].encode() == SECRET
        assert made.info["icc_profile"] == srgb()


def test_exif_too_long_for_a_jpeg_is_left_behind_rather_than_failing_the_row():
    long = exif(1) + bytes(70_000)
    data = with_chunks(encoded(kind="PNG"), chunk(b"eXIf", long))

    made = prepare(data, limits(strip=False, format="jpeg"))

    assert "exif" not in decoded(made.data).info


def test_stripping_while_encoding_anew_leaves_nothing_behind():
    data = with_segments(
        encoded(gradient(size=(300, 200))),
        segment(0xE1, b"Exif\0\0" + exif(1)),
        segment(0xE1, XMP),
        segment(0xFE, SECRET),
    )

    made = prepare(data, limits(max_side=100))

    assert SECRET not in made.data
    assert b"\xff\xfe" not in made.data[:30]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_becomes_its_first_frame_where_the_endpoint_takes_none(kind):
    for strip in (True, False):
        made = prepare(animation(kind), limits(animated=False, strip=strip))

        still = decoded(made.data)
        assert getattr(still, "n_frames", 1) == 1
        assert still.convert("RGB").getpixel((5, 5))[0] > 200


def test_a_file_with_a_second_picture_behind_it_is_still_one_picture():
    data = encoded(gradient(size=(300, 200)), "JPEG") + encoded(gradient("L"))

    assert decoded(prepare(data, limits(max_side=100)).data).size == (100, 67)


# --- bytes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_a_file_over_the_byte_limit_is_made_to_fit(kind, share):
    noise = Image.effect_noise((400, 300), 80).convert("RGB")
    data = encoded(noise, kind)
    cap = int(len(data) * share)

    made = prepare(data, limits(max_bytes=cap))

    assert len(made.data) <= cap
    assert decoded(made.data).size == (made.width, made.height)
    assert abs(made.width / made.height - 4 / 3) < 0.1


def test_quality_goes_before_size():
    noise = Image.effect_noise((400, 300), 80)
    data = encoded(noise, quality=95)

    made = prepare(data, limits(max_bytes=len(data) // 2))

    assert (made.width, made.height) == (400, 300)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_that_leaves_no_room_for_the_picture_goes_and_the_picture_stays(mode):
    large = srgb() + bytes(60_000)
    made = prepare(encoded(gradient(mode, (200, 100)), icc_profile=large), limits(max_bytes=20_000))

    assert (made.width, made.height) == (200, 100)
    assert "icc_profile" not in decoded(made.data).info


def test_a_png_that_says_two_sizes_never_leaves_as_it_came():
    small, large = (encoded(gradient(size=(side, side)), "PNG") for side in (32, 64))
    header = slice(8, 8 + 25)
    data = small[: header.stop] + large[header] + large[header.stop :]

    made = prepare(data, limits(max_side=32))

    assert made.data != data
    assert decoded(made.data).size == (made.width, made.height) == (32, 32)


def test_a_picture_that_can_never_fit_is_a_request_too_large():
    error = failure(encoded(), max_bytes=100)

    assert error.code == "request_too_large"
    assert "100 bytes" in error.message


# --- refusals --------------------------------------------------------------------------------


def test_a_bomb_is_refused_by_its_header_with_its_size():
    png = encoded(kind="PNG")
    header = chunk(b"IHDR", (60_000).to_bytes(4, "big") * 2 + png[24:29])
    error = failure(png[:8] + header + png[33:], max_pixels=178_956_970)

    assert error.code == "image_too_large"
    assert "60000 x 60000" in error.message


def test_pillow_has_no_say_in_how_large_is_too_large(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    data = encoded(kind="JPEG")

    with warnings.catch_warnings(record=True) as leaked:
        made = prepare(data, limits(max_side=24))

    assert made.width == 24
    assert not leaked


def test_a_decoder_that_finds_more_pixels_than_it_takes_makes_an_image_too_large(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6)

    assert failure(encoded(kind="WEBP"), max_side=24).code == "image_too_large"


def test_no_memory_for_the_pixels_may_be_another_nights_luck(monkeypatch):
    def no_memory(*_):
        raise MemoryError

    data = encoded(kind="PNG")
    monkeypatch.setattr(Image.Image, "resize", no_memory)

    error = failure(data, max_side=24)
    assert error.code == "image_unreadable"
    assert "not enough memory" in error.message


def test_an_empty_file_is_unreadable():
    error = failure(b"")

    assert error.code == "image_unreadable"
    assert "empty" in error.message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_cut_file_is_unreadable(kind, share):
    data = encoded(Image.effect_noise((200, 150), 80).convert("P" if kind == "GIF" else "L"), kind)

    assert failure(data[: int(len(data) * share)]).code == "image_unreadable"


@pytest.mark.parametrize(
    "magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\xff\0\0\0WEBP"]
)
def test_nothing_but_a_magic_number_is_unreadable(magic):
    assert failure(magic).code == "image_unreadable"
    assert failure(magic + bytes(200)).code == "image_unreadable"


def test_a_png_whose_pixels_were_altered_is_unreadable_although_it_is_whole():
    data = bytearray(encoded(Image.effect_noise((200, 150), 80), "PNG"))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)

    assert failure(bytes(data)).code == "image_unreadable"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"just some words", "text"),
        ("ein paar Wörter".encode(), "text"),
        ("words".encode("utf-16"), "text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE svg>\n<svg/>", "SVG"),
        (b"\xef\xbb\xbf<!-- hi -->\n<!doctype html><p>no", "HTML"),
        (encoded(kind="TIFF"), "TIFF"),
        (encoded(kind="BMP"), "BMP"),
        (encoded(kind="EPS"), "EPS"),
        (encoded(kind="PDF"), "PDF"),
        (encoded(kind="ICO"), "ICO"),
        (encoded(kind="AVIF"), "AVIF"),
        (encoded(kind="JPEG2000"), "JPEG 2000"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isom", "MP4"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "RIFF"),
        (b"PK\3\4", "ZIP"),
    ],
)
def test_another_kind_of_file_is_unsupported_and_named(data, name):
    error = failure(data)

    assert error.code == "image_unsupported"
    assert name in error.message


@pytest.mark.parametrize(
    "data", [b"\0" * 100, b"\x01\x02\x03\x04garbage\xff\xfe", b"\x89PNG", b"\xff"]
)
def test_bytes_that_are_nothing_known_are_unreadable(data):
    assert failure(data).code == "image_unreadable"


# --- threads ---------------------------------------------------------------------------------


def test_many_threads_prepare_the_same_as_one():
    files = [
        encoded(gradient(mode, (300, 200)), kind)
        for kind, mode in [("JPEG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("GIF", "P")] * 8
    ]
    small = limits(max_side=90)
    alone = [prepare(file, small) for file in files]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda file: prepare(file, small), files))

    assert together == alone


# --- work done once --------------------------------------------------------------------------


@pytest.fixture
def work(monkeypatch):
    """Which decoders and encoders were started, in their order."""
    started = []

    def noting(what, start):
        def note(mode, kind, *rest):
            started.append((what, kind))
            return start(mode, kind, *rest)

        return note

    monkeypatch.setattr(Image, "_getdecoder", noting("decoder", Image._getdecoder))
    monkeypatch.setattr(Image, "_getencoder", noting("encoder", Image._getencoder))
    return started


def test_what_fits_by_its_header_is_neither_decoded_nor_encoded(work):
    data = encoded(gradient(size=(300, 200)), comment=b"to be stripped")
    work.clear()
    prepare(data, limits(max_side=300, max_bytes=len(data)))

    assert work == []


def test_what_is_too_large_is_decoded_at_half_its_size_and_encoded_once(work):
    data = encoded(gradient(size=(400, 300)))
    work.clear()
    prepare(data, limits(max_side=160))

    assert work == [("decoder", "jpeg"), ("encoder", "jpeg")]


def test_pixels_are_counted_as_they_are_decoded():
    rooms = []

    def room(n):
        rooms.append(n)
        return nullcontext()

    picture = gradient(size=(400, 300))
    for kind in ("JPEG", "PNG", "WEBP"):
        prepare(encoded(picture, kind), limits(max_side=160), room=room)

    assert rooms == [200 * 150 * 4, 400 * 300 * 4, 400 * 300 * 16]
