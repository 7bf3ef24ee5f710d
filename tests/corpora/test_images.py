"""Whatever an image file is, it is sent as a picture that decodes, or its row fails."""

import io
import warnings
from operator import le

import pytest
from PIL import Image

from tests.corpora import pictures, strangers
from tests.corpora.cases import part_of
from tests.corpora.damage import cut_anywhere
from tests.source.drawing import limits, outcome
from vbatch.errors import FAILURE_CODES, ImageError
from vbatch.source import image_files
from vbatch.source.images import prepare

WAYS = (
    limits(),
    limits(max_side=20, strip=False, animated=False),
    limits(formats=frozenset({"png", "jpeg"}), format="png", max_bytes=3000),
)
ANEW, AS_IT_CAME, DAMAGED_INSIDE = "anew", "as it came", "as it came, damaged inside"


def made(data, wanted):
    """What becomes of a file. Pillow's warnings must not leave the place where it is used."""
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        found = outcome(prepare, data, wanted)
    assert leaked == []
    return found


def judge(case):
    """In three ways; the word is of the first, by which a sound file goes as it came."""
    word, *_ = [_word(case.data, wanted) for wanted in WAYS]
    return word


def _word(data, wanted):
    found = made(data, wanted)
    if isinstance(found, ImageError):
        assert found.code in FAILURE_CODES
        assert found.message
        return found.code
    if found.data not in _as_they_come(data):
        _check_decodes(found)
        return ANEW
    return AS_IT_CAME if _is_sound(found) else DAMAGED_INSIDE


def _as_they_come(data):
    file = image_files.read(data)
    return [data, *(image_files.stripped(data, file, still=still) for still in (False, True))]


def _is_sound(found):
    """Whether the pixels, which nobody looks at, are whole as well."""
    try:
        _check_decodes(found)
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _check_decodes(found):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(found.data)) as image:
            kind = "jpeg" if image.format == "MPO" else image.format.lower()
            assert f"image/{kind}" == found.media_type
            shown = (image.width, image.height)
            whole = (found.width, found.height)
            within = all(map(le, shown, whole))
            assert shown == whole or (getattr(image, "is_animated", False) and within)
            image.load()


@pytest.mark.parametrize("part", range(4))
def test_a_damaged_picture_decodes_or_fails_its_row(part, corpus):
    words = corpus.go_through(part_of(pictures.spoiled(), part, 4), judge)
    assert words["image_unreadable"] > 100
    assert min(words[AS_IT_CAME], words[ANEW]) > 3


@pytest.mark.parametrize("part", range(2))
def test_a_picture_whose_parts_lie_decodes_or_fails_its_row(part, corpus):
    words = corpus.go_through(part_of(pictures.restructured(), part, 2), judge)
    assert words["image_unreadable"] > 50


def test_an_odd_picture_decodes_or_fails_its_row(corpus):
    words = corpus.go_through(pictures.odd(), judge)
    assert words[AS_IT_CAME] > 50


@pytest.mark.parametrize(
    "name", ["JPEG", "JPEG progressive", "PNG", "GIF", "WebP", "GIF, animated"]
)
def test_a_picture_cut_anywhere_is_never_sent(name, corpus):
    words = corpus.go_through(cut_anywhere(name, pictures.good()[name]), judge)
    assert words.keys() <= {"image_unreadable", "image_unsupported"}


@pytest.mark.parametrize(
    "change", [b"\0\2", b"\x10\3", b"\7\0", b"\x08\1", b"\xff\xff", b"\x08\2\1", b"\x08\2\0\0\2"]
)
def test_a_png_whose_header_cannot_be_is_not_sent_as_it_came(change):
    png = pictures.good()["PNG"]
    header = png[16:24] + change + png[24 + len(change) : 29]
    data = png[:8] + pictures.chunk(b"IHDR", header) + png[33:]
    assert _word(data, WAYS[0]) in {"image_unreadable", ANEW}


@pytest.mark.parametrize("count", [0, 2, 5, 255])
def test_a_jpeg_of_so_many_components_is_not_sent_as_it_came(count):
    jpeg = pictures.good()["JPEG"]
    place = jpeg.index(pictures.SOF0) + 9
    assert (
        made(jpeg[:place] + bytes([count]) + jpeg[place + 1 :], WAYS[0]).code == "image_unreadable"
    )


@pytest.mark.parametrize("length", range(2, 9))
def test_a_jpeg_that_ends_in_its_frame_header_is_unreadable(length):
    data = b"\xff\xd8\xff\xc0" + length.to_bytes(2) + bytes(length - 2)
    assert made(data, WAYS[0]).code == "image_unreadable"


def test_what_hides_in_a_picture_is_not_sent(corpus):
    def judge_hidden(case):
        found = made(case.data, WAYS[0])
        assert strangers.SCRIPT in case.data or b"smuggled" in case.data
        assert b"smuggled" not in found.data
        return judge(case)

    words = corpus.go_through(strangers.polyglots(), judge_hidden)
    assert words[AS_IT_CAME] + words[ANEW] == words.total()


def test_a_picture_of_too_many_pixels_is_told_by_its_header(corpus):
    words = corpus.go_through(strangers.bombs(), judge)
    assert words["image_too_large"] > 20


def test_a_file_of_another_kind_is_not_sent(corpus):
    words = corpus.go_through(strangers.foreign(), judge)
    assert words.keys() == {"image_unsupported", "image_unreadable"}
