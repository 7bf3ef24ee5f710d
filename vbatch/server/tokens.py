"""What text and pictures count in tokens, by formulas anyone can redo by hand."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

BYTES_PER_TOKEN = 4
"""OpenAI's rule of thumb for English text."""

_BASE, _PER_TILE, _TILE_PX = 85, 170, 512
_LONG_PX, _SHORT_PX = 2048, 768


def text_tokens(text: str) -> int:
    """Return the tokens of ``text``: a quarter of its UTF-8 bytes, rounded up."""
    return ceil(len(text.encode()) / BYTES_PER_TOKEN)


def image_tokens(width: int, height: int, detail: str | None) -> int:
    """Return the tokens of a picture of ``width`` by ``height`` pixels.

    OpenAI's published formula for GPT-4o: 85 at low detail; else the picture is scaled down into
    2048x2048, then to a shorter side of 768, and each tile of 512x512 adds 170 to the 85. Its own
    examples: 1024x1024 is 765 and 2048x4096 is 1105 tokens.
    """
    if detail == "low":
        return _BASE
    fit = min(Fraction(1), Fraction(_LONG_PX, max(width, height)))
    fit *= min(Fraction(1), Fraction(_SHORT_PX) / (min(width, height) * fit))
    return _BASE + _PER_TILE * ceil(width * fit / _TILE_PX) * ceil(height * fit / _TILE_PX)


def cut(text: str, tokens: int) -> str:
    """Return as much of the start of ``text`` as fits into ``tokens``, whole characters only."""
    return text.encode()[: tokens * BYTES_PER_TOKEN].decode(errors="ignore")
