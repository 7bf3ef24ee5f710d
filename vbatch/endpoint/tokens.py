"""About how many tokens a request costs, to reserve before it is sent. Pure.

Pictures by their model's published formula (``vbatch.costs.pictures``), text by OpenAI's rule of
thumb of four bytes a token. The limiter and the budgets correct what was reserved by what the
answer reports.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from vbatch.costs.pictures import UNSEEN_SIDE, formula_of
from vbatch.endpoint.strings import OutsizedJsonError, dump
from vbatch.records import JsonValue, PreparedImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.endpoint.wire import Question
    from vbatch.records import SentImage

BYTES_PER_TOKEN = 4
ANSWER_TOKENS = 300
"""Expected of an answer that nothing caps. A cap is reserved in full, as gateways do."""
WRAPPING_TOKENS = 10
_CAPS = ("max_completion_tokens", "max_tokens")
_READ = ("tools", "response_format")
"""Fields that the model reads like text."""
_weighed: dict[str, tuple[JsonValue, int]] = {}


def estimate(question: Question, images: Sequence[SentImage]) -> int:
    """Return roughly how many tokens question and answer take together."""
    return WRAPPING_TOKENS + of_prompt(question, images) + of_answer(question)


def of_prompt(question: Question, images: Sequence[SentImage]) -> int:
    """Return what text, images, tools and schema take.

    An image by URL counts as a square of usual size.
    """
    formula = formula_of(question.model)
    seen = 0
    for image in images:
        detail = image.detail or question.detail
        if isinstance(image, PreparedImage):
            seen += formula(image.width, image.height, detail)
        else:
            seen += formula(UNSEEN_SIDE, UNSEEN_SIDE, detail)
    if question.extra:
        seen += sum(map(_of_json, _READ, map(question.extra.get, _READ)))
    return of_text(f"{question.system or ''}{question.prompt or ''}") + seen


def _of_json(name: str, value: JsonValue) -> int:
    """What the model reads of a field; nothing where it is too deep to be sent.

    The last of each name is known by its identity: rows share their job's.
    """
    if not value:
        return 0
    known = _weighed.get(name)
    if known is None or known[0] is not value:
        try:
            weight = ceil(len(dump(value)) / BYTES_PER_TOKEN)
        except OutsizedJsonError:
            weight = 0
        known = _weighed[name] = (value, weight)
    return known[1]


def of_text(text: str) -> int:
    """Return what text takes."""
    return ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def of_answer(question: Question) -> int:
    """Return what is reserved for the answer: its cap, else what answers usually take."""
    cap = cap_of(question)
    return ANSWER_TOKENS if cap is None else max(cap, 0)


def cap_of(question: Question) -> int | None:
    """Return the most tokens the answer may have, by whichever name; of several, all together."""
    if not question.extra:
        return question.max_tokens
    caps = (question.max_tokens, *(question.extra.get(name) for name in _CAPS))
    cap = next((cap for cap in caps if type(cap) is int), None)
    choices = question.extra.get("n")
    return cap * choices if cap is not None and type(choices) is int and choices > 1 else cap
