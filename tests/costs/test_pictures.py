"""Tokens of pictures, beside the examples that the makers publish, and what was once billed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbatch.costs.grids import best_canvas, within_budget
from vbatch.costs.pictures import formula_of

PUBLISHED = [
    ("gpt-4o", 1024, 1024, "high", 765),
    ("gpt-4o", 2048, 4096, "high", 1105),
    ("gpt-4o", 4096, 8192, "low", 85),
    ("gpt-4.1", 2049, 513, None, 1445),
    ("gpt-4.1", 2050, 513, None, 765),
    ("gpt-4o-mini", 512, 512, "low", 2833),
    ("gpt-4o-mini", 512, 512, None, 2833 + 5667),
    ("gpt-5", 1024, 1024, None, 70 + 4 * 140),
    ("o3", 1024, 1024, None, 75 + 4 * 150),
    ("o4-mini", 1024, 1024, None, 1762),
    ("o4-mini", 1800, 2400, None, 2498),
    ("gpt-5-mini", 4000, 1474, None, 1844),
    ("gpt-5.4", 1024, 1024, "high", 1229),
    ("gpt-5.4", 2048, 2048, "high", 3000),
    ("gpt-5.5", 4032, 3024, None, 11_868),
    ("gpt-6-astra", 3840, 2160, "high", 2931),
    ("gpt-6-astra", 4032, 3024, None, 14_364),
    ("claude-opus-4-6", 1000, 1000, None, 1296),
    ("claude-opus-4-6", 1920, 1080, None, 1560),
    ("claude-opus-4-7", 1920, 1080, None, 2691),
    ("claude-opus-4-7", 3840, 2160, None, 4784),
    ("claude-opus-4-7", 4032, 3024, None, 4740),
    ("gemini-2.0-flash", 384, 384, None, 258),
    ("gemini-2.5-pro", 960, 540, None, 6 * 258),
    ("gemini-3-pro", 4000, 3000, None, 1120),
    ("gemini-3-pro", 4000, 3000, "low", 280),
    ("qwen2.5-vl-72b-instruct", 1036, 784, None, 37 * 28 + 2),
    ("qwen2.5-vl-72b-instruct", 10, 10, None, 4 + 2),
    ("qwen3-vl-8b-instruct", 1024, 1024, None, 32 * 32 + 2),
    ("pixtral-12b", 1024, 1024, None, 64 * 64 + 64),
    ("pixtral-12b", 2048, 1024, None, 64 * 32 + 32),
    ("mistral-small-3.1", 1540, 1540, None, 55 * 55 + 55),
    ("llama-4-scout", 336, 336, None, 147),
    ("llama-4-scout", 672, 336, None, 3 * 144 + 2 + 3),
    ("llama-3.2-90b-vision", 1120, 1120, None, 4 * 1601),
    ("grok-4", 448, 448, None, 512),
    ("grok-4", 4000, 4000, None, 1792),
    ("gemma-3-27b-it", 4000, 30, None, 256),
    ("a-model-of-our-own", 1024, 1024, None, 765),
]


@pytest.mark.parametrize(("model", "width", "height", "detail", "tokens"), PUBLISHED)
def test_pictures_take_what_is_published(model, width, height, detail, tokens):
    assert formula_of(model)(width, height, detail) == tokens


@pytest.mark.parametrize(
    ("names", "like"),
    [
        (("openai/gpt-4o", "GPT-4o", "gpt-4o-2024-08-06", "azure/gpt-4o"), "gpt-4o"),
        (("gpt-4.1-mini-2025-04-14", "openai/gpt-4.1-mini"), "gpt-4.1-mini"),
        (("anthropic/claude-opus-4.7", "claude-sonnet-5", "claude-haiku-5-5"), "claude-opus-4-7"),
        (
            (
                "claude-3-5-sonnet-20241022",
                "claude-opus-4-20250514",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "claude",
            ),
            "claude-opus-4-6",
        ),
        (("google/gemini-2.0-flash-001", "models/gemini-1.5-pro"), "gemini-2.5-pro"),
        (("gemini-3.5-flash",), "gemini-3-pro"),
        (("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2-vl-7b", "qwen2.5vl:7b"), "qwen2.5-vl-3b"),
        (("Qwen/Qwen3-VL-235B",), "qwen3-vl-8b"),
        (("meta-llama/Llama-4-Maverick-17B", "llama4:scout"), "llama-4-scout"),
        (("mistralai/Mistral-Small-3.2-24B", "ministral-8b"), "mistral-medium-3"),
        (("foo1-vision", "gpt-oss", "promo3"), "a-model-of-our-own"),
    ],
)
def test_a_model_is_known_by_every_name_that_gateways_give_it(names, like):
    for size in ((1500, 1100), (640, 480)):
        for name in names:
            assert formula_of(name)(*size, None) == formula_of(like)(*size, None), name


SIDES = st.integers(1, 20_000)
MODELS = st.sampled_from(sorted({model for model, *_ in PUBLISHED}))
DETAILS = st.sampled_from([None, "low", "auto", "high", "original", "odd"])


@given(MODELS, SIDES, SIDES, DETAILS)
def test_every_picture_takes_some_tokens_in_every_family(model, width, height, detail):
    tokens = formula_of(model)(width, height, detail)
    assert isinstance(tokens, int)
    assert 1 <= tokens <= 500_000


@given(SIDES, SIDES, st.integers(1, 10_000))
def test_a_shrunk_picture_keeps_its_budget(width, height, budget):
    assert 1 <= within_budget(width, height, 32, budget) <= budget


@given(SIDES, SIDES, st.sampled_from([4, 16]))
def test_a_canvas_has_no_more_tiles_than_it_may(width, height, most):
    assert 1 <= best_canvas(width, height, side=336, most=most).tiles <= most
