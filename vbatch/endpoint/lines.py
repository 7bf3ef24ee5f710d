"""What a line in OpenAI's Batch format asks: it is sent as it is, and read only to be counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vbatch.records import ImageSource, JsonValue, RemoteImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbatch.endpoint.wire import Question
    from vbatch.records import Item, SentImage

_COUNTED = ("tools", "response_format", "n")


def looked_into(
    question: Question, item: Item, images: tuple[SentImage, ...]
) -> tuple[Question, tuple[SentImage, ...]]:
    """Return what is asked about which images, for the estimate of a request's tokens.

    Of a line in Batch format the texts are taken together, and its images count as if by URL: none
    is decoded. Any other row is what it is.
    """
    if item.body is None:
        return question, images
    question, sources = inside(question, item.body)
    return question, tuple(RemoteImage(url="", detail=source.detail) for source in sources)


def inside(
    question: Question, body: Mapping[str, JsonValue]
) -> tuple[Question, tuple[ImageSource, ...]]:
    """Return what ``body`` asks, under the model and cap of ``question``, and its images."""
    parts = list(_parts(body))
    text = "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    extra = {name: body[name] for name in _COUNTED if body.get(name) is not None}
    asked = replace(question, prompt=text, extra={**question.extra, **extra})
    return asked, tuple(filter(None, map(_source, parts)))


def _parts(body: Mapping[str, JsonValue]) -> Iterator[dict[str, JsonValue]]:
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            yield {"text": content}
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                yield part


def _source(part: dict[str, JsonValue]) -> ImageSource | None:
    image = part.get("image_url")
    fields = image if isinstance(image, dict) else {"url": image}
    url, detail = fields.get("url"), fields.get("detail")
    if not isinstance(url, str):
        return None
    kind = "data_uri" if url[:5].lower() == "data:" else "url"
    return ImageSource(kind=kind, ref=url, detail=detail if isinstance(detail, str) else None)  # type: ignore[arg-type]
