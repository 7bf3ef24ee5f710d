import struct

import pytest
from PIL import Image

from tests.source.drawing import (
    animation,
    chunk,
    encoded,
    exif,
    gif_extension,
    gradient,
    limits,
    outcome,
    riff_chunk,
    segment,
    with_chunks,
    with_extensions,
    with_riff_chunks,
    with_segments,
)
from vbatch.source import image_files
from vbatch.source.image_files.exif import orientation, upright
from vbatch.source.images import prepare


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_size_and_format_are_read_without_decoding(kind):
    file = image_files.read(encoded(gradient("P" if kind == "GIF" else "RGB", (321, 123)), kind))

    assert (file.format, file.width, file.height) == (kind.lower(), 321, 123)
    assert file.whole
    assert not file.animated


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_make_of_webp_tells_its_size(mode, lossless):
    file = image_files.read(encoded(gradient(mode, (77, 55)), "WEBP", lossless=lossless))

    assert (file.width, file.height, file.whole) == (77, 55, True)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_several_frames_are_an_animation(kind):
    assert image_files.read(animation(kind)).animated


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_no_cut_file_passes_for_whole(kind):
    data = encoded(gradient("P" if kind == "GIF" else "RGB"), kind)

    for length in range(12, len(data)):
        file = outcome(image_files.read, data[:length])
        assert not getattr(file, "whole", False)
        assert getattr(file, "code", "image_unreadable") == "image_unreadable"


def test_fill_bytes_between_the_segments_of_a_jpeg_are_no_fault():
    plain = encoded()

    assert image_files.read(plain[:2] + b"\xff\xff" + plain[2:]).whole


def test_fill_bytes_behind_a_scan_are_no_fault():
    plain = encoded()

    assert image_files.read(plain[:-2] + b"\xff\xff\xff\xd9").whole


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff\xd8",
        b"\xff\x01",
        b"\xff\xd0",
        b"\xff\xe3\0\1",
        b"\0\0",
        segment(0xC0, encoded()[encoded().index(b"\xff\xc0") + 4 :][:15]),
    ],
)
def test_an_oddity_in_a_jpeg_is_left_to_the_decoder(odd):
    data = encoded()
    scan = data.index(b"\xff\xda")

    assert not image_files.read(data[:scan] + odd + data[scan:]).whole


@pytest.mark.parametrize(("place", "value"), [(1, 0xC9), (4, 12)])
def test_a_jpeg_that_few_can_read_is_not_sent_as_it_is(place, value):
    data = bytearray(encoded())
    data[data.index(b"\xff\xc0") + place] = value

    assert not image_files.read(bytes(data)).whole


def test_a_png_with_a_wrong_checksum_where_it_matters_is_not_whole():
    data = bytearray(encoded(kind="PNG"))
    data[-1] ^= 1

    assert not image_files.read(bytes(data)).whole


def test_a_wrong_checksum_in_what_is_stripped_anyway_does_not_matter():
    bad = bytearray(chunk(b"tEXt", b"Comment\0hello"))
    bad[-1] ^= 1
    plain = encoded(kind="PNG")

    assert prepare(with_chunks(plain, bytes(bad)), limits()).data == plain


def test_an_animation_of_one_frame_is_still():
    control = struct.pack(">II", 1, 0)

    assert not image_files.read(with_chunks(encoded(kind="PNG"), chunk(b"acTL", control))).animated


def test_a_webp_whose_container_is_longer_than_the_file_is_not_whole():
    data = bytearray(encoded(kind="WEBP"))
    data[4:8] = (len(data) + 100).to_bytes(4, "little")

    assert not image_files.read(bytes(data)).whole


def test_a_webp_without_pixels_is_not_whole():
    canvas = riff_chunk(b"VP8X", bytes(4) + (9).to_bytes(3, "little") * 2)
    data = b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas

    file = image_files.read(data)

    assert (file.width, file.height, file.whole) == (10, 10, False)


def test_a_webp_chunk_whose_padding_was_forgotten_is_padded_when_it_is_stripped():
    plain = encoded(gradient(size=(33, 21)), "WEBP", quality=61)
    data = with_riff_chunks(plain, riff_chunk(b"JUNK", b"12345"))

    made = prepare(data, limits()).data

    assert len(made) % 2 == 0
    assert made == plain


def test_a_gif_frame_beyond_the_screen_makes_the_picture_larger():
    data = bytearray(encoded(gradient("P"), "GIF"))
    data[6:10] = struct.pack("<HH", 10, 5)

    file = image_files.read(bytes(data))

    assert (file.width, file.height) == (48, 32)


def test_a_gif_with_something_unknown_between_its_blocks_is_not_whole():
    assert not image_files.read(with_extensions(encoded(gradient("P"), "GIF"), b"\x99")).whole


def test_a_gif_keeps_its_colour_profile():
    profile = gif_extension(0xFF, b"ICCRGBG1012", b"profile")
    data = with_extensions(encoded(gradient("P"), "GIF"), profile)

    assert prepare(data, limits()).data is data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_read_and_can_be_set_upright(order, value):
    block = exif(value, order)

    assert orientation(block) == value
    assert orientation(upright(block)) == 1
    assert len(upright(block)) == len(block)


@pytest.mark.parametrize(
    "block",
    [
        None,
        b"",
        b"junk",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        exif(0),
        exif(9),
        exif(6)[:30],
        b"MM\0*\0\0\0\x08\0\0\0\0\0\0",
        exif(6).replace(struct.pack("<HH", 0x0112, 3), struct.pack("<HH", 0x0112, 5)),
    ],
)
def test_an_illegible_orientation_is_upright(block):
    assert orientation(block) == 1
    assert block is None or len(upright(block)) == len(block)


def test_only_the_first_exif_block_counts():
    first, second = (segment(0xE1, b"Exif\0\0" + exif(n)) for n in (3, 6))

    assert orientation(image_files.read(with_segments(encoded(), first, second)).exif) == 3


@pytest.mark.parametrize("stretch", [1, 2, 7, 1000])
def test_a_scan_is_walked_to_its_end_in_stretches_of_any_length(monkeypatch, stretch):
    data = encoded(Image.effect_noise((80, 60), 90), progressive=True, comment=b"of no matter")
    whole = image_files.read(data)
    monkeypatch.setattr(image_files.jpeg, "_STRETCH_BYTES", stretch)

    assert image_files.read(data) == whole
    assert whole.whole
    assert not image_files.read(data[:-2]).whole
