import warnings

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.source.drawing import animation, encoded, exif, gradient, limits, outcome, srgb
from vbatch.errors import FAILURE_CODES, ImageError
from vbatch.records import PreparedImage
from vbatch.source.images import prepare

BLOCK = b"Exif\0\0" + exif(6)
FILES = [
    encoded(exif=BLOCK, icc_profile=srgb(), comment=b"here"),
    encoded(gradient("CMYK"), progressive=True),
    encoded(gradient("P"), "PNG", transparency=0, exif=BLOCK),
    encoded(Image.new("I;16", (48, 32), 9_000), "PNG"),
    animation("PNG"),
    encoded(gradient("RGBA"), "WEBP", exif=BLOCK, icc_profile=srgb()),
    animation("WEBP"),
    encoded(gradient("P"), "GIF"),
    animation("GIF", loop=0),
]
LIMITS = st.builds(
    limits,
    max_pixels=st.just(100_000),
    max_side=st.sampled_from([None, 20]),
    max_bytes=st.sampled_from([None, 600]),
    animated=st.booleans(),
    strip=st.booleans(),
    format=st.sampled_from(["auto", "jpeg", "png", "webp"]),
)


@st.composite
def mutated(draw):
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["set", "cut", "insert", "drop"])):
            case "set":
                data[place] = draw(st.integers(0, 255))
            case "cut" if place > 16:
                del data[place:]
            case "insert":
                data[place:place] = draw(st.binary(max_size=9))
            case "drop" if len(data) > 40:
                del data[place : place + draw(st.integers(1, 9))]
    return bytes(data)


def check(data, wanted):
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        made = outcome(prepare, data, wanted)
    assert not leaked
    if isinstance(made, ImageError):
        assert made.code in FAILURE_CODES
        assert made.message
        return
    assert isinstance(made, PreparedImage)
    assert wanted.max_side is None or max(made.width, made.height) <= wanted.max_side
    assert wanted.max_bytes is None or len(made.data) <= wanted.max_bytes
    assert made.media_type in {"image/jpeg", "image/png", "image/webp", "image/gif"}


@settings(deadline=None, max_examples=300)
@given(mutated(), LIMITS)
def test_a_damaged_file_gives_an_image_within_the_limits_or_an_image_error(data, wanted):
    check(data, wanted)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF....WEBPVP8X"]),
    st.binary(max_size=200),
    LIMITS,
)
def test_any_bytes_at_all_give_an_image_or_an_image_error(magic, rest, wanted):
    check(magic + rest, wanted)
