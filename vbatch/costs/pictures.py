"""How many tokens a picture of W by H pixels takes, by model family. Pure.

Every formula is its maker's published one, and names the page. Gateways bill what the model's maker
counts, give or take a token for rounding; what is billed stands in the answer, and this is for what
must be known before: budgets, limits, estimates.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from math import ceil, sqrt
from typing import NamedTuple, Protocol

from vbatch.costs.grids import best_canvas, cells, cover, largest_within, within, within_budget

UNSEEN_SIDE = 1024
"""A picture whose size nobody knows, as it goes by URL, is taken for a square of this side."""


class Formula(Protocol):
    """Tokens of a picture. ``detail``: low, high, auto, original, or None where none is sent."""

    def __call__(self, width: int, height: int, detail: str | None, /) -> int:
        """Return the tokens of a picture of ``width`` by ``height`` pixels, both at least 1."""
        ...


class Bounds(NamedTuple):
    """What a picture is shrunk to: longer side in pixels, and patches (None: any number)."""

    longest: int
    patches: int | None


def tiles(width: int, height: int, detail: str | None, *, base: int, tile: int) -> int:
    """OpenAI's older models: a base, and more for each tile of 512 by 512 pixels.

    Fit into 2048 by 2048, bring the shorter side down to 768, count the tiles; ``low`` is the base
    alone. 1024 by 1024 takes 765 tokens of gpt-4o, 2048 by 4096 takes 1105. Source: OpenAI, guide
    "Images and vision", tile-based image tokenization.
    """
    if detail == "low":
        return base
    width, height = within(width, height, 2048)
    shorter, longer = min(width, height), max(width, height)
    if shorter > 768:  # noqa: PLR2004 - as published
        shorter, longer = 768, longer * 768 // shorter
    return base + tile * cover(longer, shorter, 512)


def patches(
    width: int, height: int, detail: str | None, *, rate: float, bounds: dict[str, Bounds]
) -> int:
    """OpenAI's newer models: patches of 32 by 32 pixels, times the model's rate.

    ``bounds`` by detail, ``auto`` for all that is not named. 1024 by 1024 covers 1024 patches;
    1800 by 2400 within 1536 patches becomes 1056 by 1408, which is 1452. Source: OpenAI, guide
    "Images and vision", model sizing behavior and patch-based image tokenization.
    """
    longest, budget = bounds.get(detail or "auto", bounds["auto"])
    width, height = within(width, height, longest)
    if budget is None:
        return ceil(cover(width, height, 32) * rate)
    return ceil(within_budget(width, height, 32, budget) * rate)


def claude(width: int, height: int, _detail: str | None, *, longest: int, budget: int) -> int:
    """Anthropic: patches of 28 by 28 pixels, of the picture shrunk to what the model takes.

    Close to the older rule of width times height over 750. 1920 by 1080 becomes 1456 by 819, 1560
    tokens, where 1568 pixels and tokens are the most; 2576 pixels and 4784 tokens since Claude 4.7.
    Source: Anthropic, "Vision", image costs and how Claude resizes images.
    """
    return cover(
        *largest_within(width, height, side=28, budget=budget, longest=longest),
        28,
    )


def gemini(width: int, height: int, _detail: str | None) -> int:
    """Gemini up to 2.5: 258 for a small picture, else for each tile.

    Small is 384 by 384 pixels. A tile's side is the shorter side over 1.5, at least 256 and at most
    768 pixels. Source: Google, "Understand and count tokens", and Vertex AI, "Image understanding".
    """
    if max(width, height) <= 384:  # noqa: PLR2004 - as published
        return 258
    side = min(max(min(width, height) * 2 // 3, 256), 768)
    return 258 * cover(width, height, side)


def gemini_3(_width: int, _height: int, detail: str | None) -> int:
    """Gemini from 3 on: a budget per picture, whatever its size.

    1120 unless a lower resolution is asked for. Source: Google, "Media resolution".
    """
    return 280 if detail == "low" else 1120


def qwen(width: int, height: int, _detail: str | None, *, side: int, low: int, high: int) -> int:
    """Qwen-VL: both sides rounded to ``side``, a token for each square, ``low`` to ``high`` in all.

    Two more mark where the picture begins and ends. ``side`` is 28 up to Qwen2.5-VL and 32 since.
    Source: QwenLM/Qwen2.5-VL, ``smart_resize`` in qwen-vl-utils, and the models' processor files.
    """
    across, down = max(1, round(width / side)), max(1, round(height / side))
    pixels = width * height / side**2
    if across * down > high:
        shrink = sqrt(high / pixels)
        across = max(1, int(width * shrink / side))
        down = max(1, int(height * shrink / side))
    elif across * down < low:
        grow = sqrt(low / pixels)
        across, down = ceil(width * grow / side), ceil(height * grow / side)
    return across * down + 2


def mistral(width: int, height: int, _detail: str | None, *, side: int, longest: int) -> int:
    """Pixtral and Mistral: a token for each square, and one at the end of each row of them.

    Squares of 16 pixels within 1024 for Pixtral; of 28 within 1540 since Mistral Small 3.1. Source:
    mistralai/mistral-common, "Images"; Hugging Face's Pixtral image processor.
    """
    width, height = within(width, height, longest)
    rows = cells(height, side)
    return cells(width, side) * rows + rows


def llama_3(width: int, height: int, _detail: str | None) -> int:
    """Llama 3.2 Vision: 1601 for each tile of 560 pixels, at most 4.

    Source: Hugging Face's Mllama configuration and image processor.
    """
    return 1601 * best_canvas(width, height, side=560, most=4).tiles


def llama_4(width: int, height: int, _detail: str | None) -> int:
    """Llama 4: 144 for each tile of 336 pixels, at most 16, and for the whole where it is cut up.

    With the marks between tiles. Source: Hugging Face's Llama 4 processor.
    """
    count = best_canvas(width, height, side=336, most=16).tiles
    return 147 if count == 1 else 144 * (count + 1) + count + 3


def grok(width: int, height: int, _detail: str | None) -> int:
    """Grok: 256 for each tile of 448 pixels, at most 6, and for one more.

    Source: xAI, "Image understanding", token usage.
    """
    return 256 * (min(cover(width, height, 448), 6) + 1)


def gemma(_width: int, _height: int, _detail: str | None) -> int:
    """Gemma 3: 256 for any picture. Source: Google, Gemma 3 model card."""
    return 256


_FORMER = {"auto": Bounds(2048, 1536)}
_BY_SIDE = {"auto": Bounds(2048, 6144)}
_GPT_5_4 = {
    "low": Bounds(2048, 6144),
    "auto": Bounds(2048, 2500),
    "original": Bounds(6000, 10_000),
}
_GPT_5_5 = {
    "low": Bounds(512, None),
    "high": Bounds(2048, 2500),
    "auto": Bounds(6000, 10_000),
}
_GPT_5_6 = {**_GPT_5_5, "auto": Bounds(65_535, None)}
_GPT_6 = {**_GPT_5_6, "high": Bounds(65_535, 2500)}

DEFAULT: Formula = partial(tiles, base=85, tile=170)
"""For models nobody has published a formula of: gpt-4o's, off by a factor of three at most."""

_FAMILIES: tuple[tuple[str, Formula], ...] = (
    (r"gpt-6", partial(patches, rate=1.2, bounds=_GPT_6)),
    (r"gpt-5\.6", partial(patches, rate=1.2, bounds=_GPT_5_6)),
    (r"gpt-5\.5", partial(patches, rate=1.2, bounds=_GPT_5_5)),
    (r"gpt-5\.4", partial(patches, rate=1.2, bounds=_GPT_5_4)),
    (r"gpt-5\.[23]", partial(patches, rate=1.2, bounds=_BY_SIDE)),
    (r"gpt-5(?:\.1)?(?:-codex)?-mini", partial(patches, rate=1.2, bounds=_FORMER)),
    (r"gpt-5-nano", partial(patches, rate=1.5, bounds=_FORMER)),
    (r"gpt-5", partial(tiles, base=70, tile=140)),
    (r"gpt-4\.1-mini", partial(patches, rate=1.62, bounds=_BY_SIDE)),
    (r"gpt-4\.1-nano", partial(patches, rate=2.46, bounds=_FORMER)),
    (r"o4-mini|codex-mini", partial(patches, rate=1.72, bounds=_FORMER)),
    (r"gpt-4o-mini", partial(tiles, base=2833, tile=5667)),
    (r"o[13](?![a-z])", partial(tiles, base=75, tile=150)),
    (r"computer-use-preview", partial(tiles, base=65, tile=129)),
    (r"gemini-(?:[3-9]|\d\d)", gemini_3),
    (r"gemini", gemini),
    (r"gemma", gemma),
    (r"qwen-?vl|qvq", partial(qwen, side=28, low=4, high=1280)),
    (r"qwen-?2(?:[._p]5)?-?vl", partial(qwen, side=28, low=4, high=16_384)),
    (r"qwen-?3", partial(qwen, side=32, low=64, high=16_384)),
    (r"pixtral", partial(mistral, side=16, longest=1024)),
    (r"(?:mi|mag|mini)stral", partial(mistral, side=28, longest=1540)),
    (r"llama-?4", llama_4),
    (r"llama-?3", llama_3),
    (r"grok", grok),
)
_NAMES = tuple((re.compile(rf"(?:^|[-_.:]){name}"), formula) for name, formula in _FAMILIES)
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)*(\d+)(?:[-.](\d{1,2})(?!\d))?")
_SHARPER_SINCE = (4, 7)


@lru_cache(256)
def formula_of(model: str) -> Formula:
    """The formula of a model, by its name as gateways write it, with or without the maker's."""
    name = model.lower().rpartition("/")[2]
    if "claude" in name:
        return _cached(_claude(name))
    for known, formula in _NAMES:
        if known.search(name):
            return _cached(formula)
    return _cached(DEFAULT)


def _claude(name: str) -> Formula:
    found = _CLAUDE.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    if version >= _SHARPER_SINCE:
        return partial(claude, longest=2576, budget=4784)
    return partial(claude, longest=1568, budget=1568)


def _cached(formula: Formula) -> Formula:
    """Pictures of a batch are often of a few sizes."""
    return lru_cache(4096)(formula)
