import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbatch.endpoint.strings import OutsizedJsonError, clear_start, dump, whole

anything = st.text(st.characters(exclude_categories=()), max_size=10)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("plain", "plain"),
        ("é\U0001f600", "é\U0001f600"),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_only_surrogates_without_partner_are_replaced(text, mended):
    assert whole(text) == mended


@given(anything)
def test_any_text_is_utf8_afterwards(text):
    assert whole(whole(text)) == whole(text).encode().decode()


@pytest.mark.parametrize("at", range(88, 101))
@pytest.mark.parametrize("written", ["s3cret", "s\\u0033cret", "%73%33%63%72%65%74"])
def test_the_start_of_a_long_text_holds_no_part_of_a_secret(at, written):
    text = "." * at + written + "." * 1_000
    start = clear_start(text, ("s3cret",), 100)
    assert ("." * at + "[redacted]" + "." * 100).startswith(start)
    assert 80 <= len(start) <= 100


def test_no_part_of_a_secret_slides_in_from_behind_the_cut():
    text = "s3cret-of-many-characters" * 1_000
    start = clear_start(text, ("s3cret-of-many-characters",), 1_000)
    assert start.replace("[redacted]", "") == ""


@given(st.text("s3cret.", max_size=300), st.integers(0, 60))
def test_a_text_that_is_cut_begins_as_the_whole_does(text, most):
    whole_text = clear_start(text, ("s3cret",), len(text) + 1_000)
    assert whole_text.startswith(clear_start(text, ("s3cret",), most))
    assert clear_start(text, (), most) == text[:most]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "\ud800"}, '{"a":"\ufffd"}'),
        ({"n": 2**70}, f'{{"n":{2**70}}}'),
        (["é"], '["é"]'),
    ],
)
def test_what_orjson_refuses_is_written_all_the_same(value, text):
    assert dump(value).decode() == text


@given(st.dictionaries(anything, anything | st.integers(), max_size=3))
def test_whatever_is_written_can_be_read(value):
    assert isinstance(orjson.loads(dump(value)), dict)


def test_what_is_too_deep_says_so():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(OutsizedJsonError):
        dump(deep)
