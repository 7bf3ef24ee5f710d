import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.server.tokens import cut, image_tokens, text_tokens


@pytest.mark.parametrize(
    ("width", "height", "detail", "tokens"),
    [
        (1024, 1024, "high", 765),
        (2048, 4096, "high", 1105),
        (2048, 4096, "low", 85),
        (4096, 8192, "low", 85),
        (512, 512, None, 255),
        (513, 512, "auto", 425),
        (1, 1, None, 255),
        (10_000, 1, None, 85 + 170 * 4),
    ],
)
def test_images_count_as_in_the_published_examples(width, height, detail, tokens):
    assert image_tokens(width, height, detail) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é€", 2)]
)
def test_text_counts_a_quarter_of_its_bytes(text, tokens):
    assert text_tokens(text) == tokens


@given(st.text(max_size=60), st.integers(1, 12))
@settings(deadline=None, max_examples=60)
def test_a_cut_is_a_beginning_that_fits(text, tokens):
    kept = cut(text, tokens)
    assert text.startswith(kept)
    assert text_tokens(kept) <= tokens
    assert kept == text or len(kept.encode()) > 4 * tokens - 4
