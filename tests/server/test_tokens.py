import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.costs.pictures import formula_of
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


MODELS = (
    *("gpt-4o", "gpt-4o-mini", "gpt-5", "o3", "o4-mini", "gpt-4.1-mini", "gpt-4.1-nano"),
    *("gpt-5-mini", "gpt-5-nano", "gpt-5.1", "gpt-5.2", "gpt-5.4", "pixels", "llava:latest"),
    *("anthropic/claude-opus-4-7", "claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-5-5"),
    *("google/gemini-2.0-flash", "Qwen/Qwen2.5-VL-72B-Instruct", "qwen2.5vl:7b", "qwen2p5-vl-32b"),
    *("mistral-small-latest", "pixtral-large-latest", "meta-llama/llama-4-scout-17b", "grok-4"),
    *("gemma-3-4b-it", "phi-4-multimodal-instruct"),
)


@given(
    st.sampled_from(MODELS),
    st.integers(1, 9000),
    st.integers(1, 9000),
    st.sampled_from([None, "low", "auto", "high"]),
)
@settings(deadline=None, max_examples=1500)
def test_whoever_counts_apart_by_the_same_pages_comes_to_the_same(model, width, height, detail):
    apart = formula_of(model)(width, height, detail)
    assert image_tokens(width, height, detail, model) == apart


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
