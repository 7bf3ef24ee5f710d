"""What text and pictures count in tokens, by formulas anyone can redo by hand.

Each family of models counts as its maker publishes: see ``image_tokens``.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import ceil, floor
from typing import TypeVar

BYTES_PER_TOKEN = 4
"""OpenAI's rule of thumb for English text."""

_TILED = {
    "gpt-4o-mini": (2833, 5667),
    "gpt-5.1": (70, 140),
    "gpt-5": (70, 140),
    "o1": (75, 150),
    "o3": (75, 150),
}
"""Tokens of the picture itself and of each tile, where that is not 85 and 170."""
_PATCHED = {
    "o4-mini": (1.72, 2048, 1536),
    "gpt-4.1-mini": (1.62, 2048, 6144),
    "gpt-4.1-nano": (2.46, 2048, 1536),
    "gpt-5-mini": (1.2, 2048, 1536),
    "gpt-5-nano": (1.5, 2048, 1536),
    "gpt-5.2": (1.2, 2048, 6144),
    "gpt-5.4": (1.2, 2048, 2500),
}
"""Tokens of a patch, the most pixels of a side, and the most patches."""
_OTHERWISE = {"low": (2048, 6144), "original": (6000, 10_000)}
"""Pixels and patches of gpt-5.4 at another detail."""
T = TypeVar("T")


def text_tokens(text: str) -> int:
    """Return the tokens of ``text``: a quarter of its UTF-8 bytes, rounded up."""
    return ceil(len(text.encode()) / BYTES_PER_TOKEN)


@lru_cache(4096)
def image_tokens(width: int, height: int, detail: str | None, model: str = "gpt-4o") -> int:
    """Return the tokens of a picture of ``width`` by ``height`` pixels for ``model``.

    Makers' own pages: OpenAI "Images and vision", Anthropic "Vision", Google "Understand and count
    tokens", xAI "Image understanding", mistral-common "Images", the processors of Qwen-VL, Llama 4
    and Gemma 3 at Hugging Face. A model that nobody has published a formula of counts as gpt-4o.
    """
    name = model.lower().split("/")[-1]
    for known, count in _FAMILIES:
        if known in name:
            return count(name, width, height, detail)
    return _tiles(name, width, height, detail)


def cut(text: str, tokens: int) -> str:
    """Return as much of the start of ``text`` as fits into ``tokens``, whole characters only."""
    return text.encode()[: tokens * BYTES_PER_TOKEN].decode(errors="ignore")


def _tiles(name: str, width: int, height: int, detail: str | None) -> int:
    """OpenAI, by tiles: 1024x1024 is 765 and 2048x4096 is 1105 tokens of gpt-4o.

    The base alone at low detail; else the picture is scaled down into 2048x2048, then to a shorter
    side of 768, and each tile of 512x512 adds to the base.
    """
    base, tile = _figures(_TILED, name) or (85, 170)
    if detail == "low":
        return base
    width, height = _fitted(width, height, 2048)
    if min(width, height) > 768:  # noqa: PLR2004 - as published
        scale = Fraction(768, min(width, height))
        width, height = floor(width * scale), floor(height * scale)
    return base + tile * ceil(width / 512) * ceil(height / 512)


def _openai(name: str, width: int, height: int, detail: str | None) -> int:
    figures = _figures(_PATCHED, name)
    if figures is None:
        return _tiles(name, width, height, detail)
    rate, longest, budget = figures
    if name.startswith("gpt-5.4") and detail in _OTHERWISE:
        longest, budget = _OTHERWISE[detail]
    return ceil(_patches(width, height, longest, budget) * rate)


def _patches(width: int, height: int, longest: int, budget: int) -> int:
    """OpenAI, by patches of 32x32: 1800x2400 within 1536 patches is seen as 1056x1408."""
    width, height = _fitted(width, height, longest)
    count = ceil(width / 32) * ceil(height / 32)
    if count > budget:
        scale = math.sqrt(32**2 * budget / (width * height))
        columns, rows = width * scale / 32, height * scale / 32
        scale *= min(max(floor(columns), 1) / columns, max(floor(rows), 1) / rows)
        columns, rows = (ceil(floor(side * scale + 1e-6) / 32) for side in (width, height))
        count = min(budget, max(columns, 1) * max(rows, 1))
    return count


def _claude(name: str, width: int, height: int, _detail: str | None) -> int:
    """Anthropic: a token for each 28x28 of the largest picture of these proportions that may be."""
    version = [int(part) for part in re.split("[-.]", name) if part.isdigit() and len(part) <= 2]  # noqa: PLR2004
    longest, budget = (2576, 4784) if version[:2] >= [4, 7] else (1568, 1568)
    for longer in range(min(longest, max(width, height)), 0, -1):
        shorter = max(1, _nearest(Fraction(min(width, height) * longer, max(width, height))))
        count = ceil(longer / 28) * ceil(shorter / 28)
        if count <= budget:
            return count
    return 1


def _gemini(_name: str, width: int, height: int, _detail: str | None) -> int:
    """Google: 258 for 384x384 and less, else for each tile, its side two thirds of the shorter."""
    if width <= 384 and height <= 384:  # noqa: PLR2004 - as published
        return 258
    side = sorted([256, floor(Fraction(min(width, height), 1) / Fraction(3, 2)), 768])[1]
    return 258 * ceil(width / side) * ceil(height / side)


def _qwen(_name: str, width: int, height: int, _detail: str | None) -> int:
    """Qwen2.5-VL: a token for each 28x28 of the rounded picture, from 4 to 16384, and two marks."""
    columns, rows = max(1, round(width / 28)), max(1, round(height / 28))
    area = width * height / 28**2
    if columns * rows > 16_384:  # noqa: PLR2004 - as published
        scale = math.sqrt(16_384 / area)
        columns, rows = (max(1, floor(side * scale / 28)) for side in (width, height))
    elif columns * rows < 4:  # noqa: PLR2004 - as published
        scale = math.sqrt(4 / area)
        columns, rows = (ceil(side * scale / 28) for side in (width, height))
    return columns * rows + 2


def _mistral(name: str, width: int, height: int, _detail: str | None) -> int:
    """Mistral: a token for each square, and one more for each row."""
    side, longest = (16, 1024) if "pixtral" in name else (28, 1540)
    width, height = _fitted(width, height, longest)
    return (ceil(width / side) + 1) * ceil(height / side)


def _llama_4(_name: str, width: int, height: int, _detail: str | None) -> int:
    """Llama 4: the canvas of at most 16 tiles of 336x336 that enlarges least, or shrinks least."""
    canvases = [(c, r) for c, r in product(range(1, 17), repeat=2) if c * r <= 16]  # noqa: PLR2004
    scales = [
        (min(Fraction(336 * c, width), Fraction(336 * r, height)), c * r) for c, r in canvases
    ]
    enough = [scale for scale in scales if scale[0] >= 1]
    tiles = min(enough)[1] if enough else max(scales, key=lambda one: (one[0], -one[1]))[1]
    return 147 if tiles == 1 else 144 * (tiles + 1) + tiles + 3


def _grok(_name: str, width: int, height: int, _detail: str | None) -> int:
    """Grok: 256 for each tile of 448x448 up to six, and for one more."""
    return 256 * (1 + min(6, ceil(width / 448) * ceil(height / 448)))


def _gemma(_name: str, _width: int, _height: int, _detail: str | None) -> int:
    return 256


def _figures(table: dict[str, T], name: str) -> T | None:
    """The figures of the longest name that ``name`` begins with."""
    known = max((known for known in table if name.startswith(known)), key=len, default=None)
    return None if known is None else table[known]


def _fitted(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size with no side beyond ``longest``, to the nearest whole pixel."""
    scale = min(Fraction(1), Fraction(longest, max(width, height)))
    return max(1, _nearest(width * scale)), max(1, _nearest(height * scale))


def _nearest(length: Fraction) -> int:
    return floor(length + Fraction(1, 2))


_FAMILIES = (
    ("claude", _claude),
    ("gemini", _gemini),
    ("gemma", _gemma),
    ("qwen", _qwen),
    ("pixtral", _mistral),
    ("stral", _mistral),
    ("llama-4", _llama_4),
    ("grok", _grok),
    ("gpt-", _openai),
    ("o4-mini", _openai),
)
"""By what stands in a model's name."""
