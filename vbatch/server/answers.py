"""From sights to an answer: a sentence or a JSON object, always the same for the same request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING

import orjson

from vbatch.server import tokens
from vbatch.server.forms import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.records import JsonValue
    from vbatch.server.checks import Ask
    from vbatch.server.eyes import Sight

_PROMPT_CHARS = 80
_PROSE_CHARS = 60
_REFUSED = "I'm sorry, I can't help with that."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back, before it gets its dialect's shape. ``text`` is None after a refusal."""

    model: str
    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None
    call: tuple[str, str] | None = None
    """Name and arguments of a function that is called."""
    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """What the answer costs in all."""
        return self.prompt_tokens + self.completion_tokens


def answer(ask: Ask, sights: Sequence[Sight], *, at_most: int | None) -> Answer:
    """Return the answer to ``ask`` about what was seen, within ``at_most`` tokens (None: any)."""
    text = _text(ask, sights)
    if ask.tool is not None:
        arguments = _filled(ask.tool.get("parameters") or {}, sights)
        return Answer(
            model=ask.model,
            text=None,
            finish_reason="tool_calls",
            call=(ask.tool["name"], arguments),
            prompt_tokens=tokens.text_tokens(ask.text) + _image_tokens(ask, sights),
            completion_tokens=tokens.text_tokens(arguments),
        )
    caps = [cap for cap in (ask.max_tokens, at_most) if cap is not None]
    kept = tokens.cut(text, min(caps)) if caps else text
    return Answer(
        model=ask.model,
        text=kept,
        finish_reason="stop" if kept == text else "length",
        prompt_tokens=tokens.text_tokens(ask.text) + _image_tokens(ask, sights),
        completion_tokens=tokens.text_tokens(kept),
    )


def _text(ask: Ask, sights: Sequence[Sight]) -> str:
    if ask.schema is not None:
        return _filled(ask.schema, sights)
    return _as_json(ask.prompt, sights) if ask.wants_json else _as_sentence(ask.prompt, sights)


def _filled(schema: JsonValue, sights: Sequence[Sight]) -> str:
    seen = " and ".join(map(_described, sights)) or "nothing"
    sizes = cycle([side for sight in sights for side in (sight.width, sight.height)] or [1])
    return orjson.dumps(filled(schema, seen, sizes)).decode()


def twisted(answer: Answer, fault: str | None) -> Answer:
    """Return the answer as a scripted fault (one of ``ANOTHER_ANSWER``, or none) has it."""
    if fault == "prose":
        text = f"Well, I would say this is {answer.text}"[:_PROSE_CHARS].replace("{", "(")
        return replace(answer, text=text, completion_tokens=tokens.text_tokens(text))
    if fault == "null":
        return replace(answer, text=None)
    if fault == "length":
        text = tokens.cut(answer.text or "", max(1, answer.completion_tokens // 2))
        spent = tokens.text_tokens(text)
        return replace(answer, text=text, finish_reason="length", completion_tokens=spent)
    if fault == "filter":
        return replace(answer, text="", finish_reason="content_filter", completion_tokens=0)
    if fault == "refusal":
        spent = tokens.text_tokens(_REFUSED)
        return replace(answer, text=None, refusal=_REFUSED, completion_tokens=spent)
    return answer


def _image_tokens(ask: Ask, sights: Sequence[Sight]) -> int:
    return sum(
        tokens.image_tokens(sight.width, sight.height, reference.detail, ask.model)
        for sight, reference in zip(sights, ask.references, strict=True)
    )


def _shortened(prompt: str) -> str:
    words = " ".join(prompt.split())
    return words if len(words) <= _PROMPT_CHARS else words[:_PROMPT_CHARS] + "…"


def _as_sentence(prompt: str, sights: Sequence[Sight]) -> str:
    seen = "; ".join(f"image {n} is {_described(sight)}" for n, sight in enumerate(sights, 1))
    return f"Asked “{_shortened(prompt)}”: {seen or 'there is no image to measure'}."


def _described(sight: Sight) -> str:
    return (
        f"a {sight.orientation} {sight.format} of {sight.width}x{sight.height} pixels"
        f"{', animated' if sight.animated else ''}, {sight.brightness}, "
        f"{sight.contrast} contrast, mostly {' and '.join(sight.colours)}, {sight.sharpness}"
    )


def _as_json(prompt: str, sights: Sequence[Sight]) -> str:
    images = [
        {
            "format": sight.format,
            "width": sight.width,
            "height": sight.height,
            "orientation": sight.orientation,
            "animated": sight.animated,
            "brightness": sight.brightness,
            "contrast": sight.contrast,
            "colours": sight.colours,
            "sharpness": sight.sharpness,
        }
        for sight in sights
    ]
    return orjson.dumps({"asked": _shortened(prompt), "images": images}).decode()
