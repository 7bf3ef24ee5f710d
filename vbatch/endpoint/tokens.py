"""About how many tokens a request costs, to reserve before it is sent. Pure.

Images by OpenAI's published rule for tiled models (its guide to images and vision): fit into
2048 by 2048 pixels, bring the shorter side down to 768, then 170 for each tile of 512 by 512 and 85
for the image itself; ``low`` detail is 85 in all. Other models count otherwise, by a factor of
about three at most; the limiter corrects the reservation by what the answer reports.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from vbatch.records import PreparedImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.endpoint.wire import Question
    from vbatch.records import SentImage

BASE_TOKENS = 85
TILE_TOKENS = 170
TILE_SIDE = 512
LONGER_SIDE = 2048
SHORTER_SIDE = 768
UNSEEN_TOKENS = BASE_TOKENS + 4 * TILE_TOKENS
"""For an image by URL, whose size we do not know: that of a square one."""
BYTES_PER_TOKEN = 4
ANSWER_TOKENS = 300
"""Expected of an answer that nothing caps. A cap is reserved in full, as gateways do."""
WRAPPING_TOKENS = 10


def estimate(question: Question, images: Sequence[SentImage]) -> int:
    """Return roughly how many tokens question and answer take together."""
    text = f"{question.system or ''}{question.prompt or ''}".encode(errors="replace")
    seen = sum(_image_tokens(image, image.detail or question.detail) for image in images)
    answer = ANSWER_TOKENS if question.max_tokens is None else max(question.max_tokens, 0)
    return WRAPPING_TOKENS + ceil(len(text) / BYTES_PER_TOKEN) + seen + answer


def image_tokens(width: int, height: int) -> int:
    """Return what an image of ``width`` by ``height`` pixels takes in high detail."""
    longer, shorter = max(width, height, 1), max(min(width, height), 1)
    scale = min(1.0, LONGER_SIDE / longer, SHORTER_SIDE / shorter)
    tiles = ceil(width * scale / TILE_SIDE) * ceil(height * scale / TILE_SIDE)
    return BASE_TOKENS + TILE_TOKENS * tiles


def _image_tokens(image: SentImage, detail: str | None) -> int:
    if detail == "low":
        return BASE_TOKENS
    if isinstance(image, PreparedImage):
        return image_tokens(image.width, image.height)
    return UNSEEN_TOKENS
