"""Sizes of images from the first bytes of their files."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.conftest import picture
from vbatch.errors import ImageError
from vbatch.records import ImageLimits, ImageSource
from vbatch.source import images
from vbatch.source.sizes import HEADS_BYTES, Sizes

ALL = frozenset({"jpeg", "png", "gif", "webp"})


def sizes(tmp_path, **limits) -> Sizes:
    return Sizes(ImageLimits(formats=ALL, **limits), [tmp_path])


def of(tmp_path, data: bytes, **limits):
    (tmp_path / "picture").write_bytes(data)
    return sizes(tmp_path, **limits).of(ImageSource(kind="path", ref="picture"))


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (3001, 17)])
@pytest.mark.parametrize("max_side", [None, 500])
def test_a_file_is_as_large_as_it_will_be_when_it_is_sent(tmp_path, kind, size, max_side):
    data = picture("red", size, kind)
    sent = images.prepare(data, ImageLimits(formats=ALL, max_side=max_side))
    found = of(tmp_path, data, max_side=max_side)
    assert found == (sent.width, sent.height, len(data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("strip", [True, False])
def test_a_picture_that_lies_is_set_upright_where_it_will_be(tmp_path, orientation, strip):
    data = picture("red", (60, 40), exif=turned(orientation))
    sent = images.prepare(data, ImageLimits(formats=ALL, strip=strip))
    assert of(tmp_path, data, strip=strip)[:2] == (sent.width, sent.height)


@pytest.mark.parametrize("profile", [0, HEADS_BYTES[0], HEADS_BYTES[1], 300_000])
def test_a_large_profile_before_the_size_is_read_past(tmp_path, profile):
    data = picture("red", (60, 40), icc_profile=b"x" * profile)
    assert of(tmp_path, data)[:2] == (60, 40)


def test_only_the_head_of_a_file_is_needed(tmp_path):
    whole = picture("red", (3000, 2000), "PNG")
    assert of(tmp_path, whole[:100])[:2] == (3000, 2000)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image_unreadable"),
        (b"plain text", "image_unsupported"),
        (b"%PDF-1.7", "image_unsupported"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image_unreadable"),
        (picture("red", (60, 40), "GIF")[:6] + bytes(20), "image_unreadable"),
    ],
)
def test_what_is_no_image_is_said(tmp_path, data, code):
    with pytest.raises(ImageError) as refused:
        of(tmp_path, data)
    assert refused.value.code == code


def test_what_lies_outside_or_nowhere_is_refused(tmp_path):
    for ref, code in (("/etc/hostname", "image_forbidden"), ("gone.jpg", "image_not_found")):
        with pytest.raises(ImageError) as refused:
            sizes(tmp_path).of(ImageSource(kind="path", ref=ref))
        assert refused.value.code == code


def test_too_many_pixels_are_said_without_a_decoder(tmp_path):
    with pytest.raises(ImageError) as refused:
        of(tmp_path, picture("red", (200, 200), "PNG"), max_pixels=39_999)
    assert refused.value.code == "image_too_large"
