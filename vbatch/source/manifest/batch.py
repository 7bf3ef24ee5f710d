"""The request of a line in OpenAI's Batch format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbatch.source.manifest.refs import BadValue, unsigned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbatch.records import JsonValue


def unsigned_body(body: JsonValue) -> JsonValue:
    """The body with its images' references unsigned, as ``unsigned`` makes them."""
    try:
        return _walk(body)
    except RecursionError as e:
        raise BadValue("body is nested too deeply") from e


def _walk(value: JsonValue) -> JsonValue:
    if type(value) is dict:
        return {
            key: unsigned(v) if key == "url" and type(v) is str else _walk(v)
            for key, v in value.items()
        }
    return [_walk(v) for v in value] if type(value) is list else value


def image_references(body: Mapping[str, JsonValue]) -> tuple[str | None, ...]:
    """The images that the body's messages show, in their order; None for embedded ones."""
    return tuple(
        None if url[:5].lower() == "data:" else url
        for message in _objects(body.get("messages"))
        for part in _objects(message.get("content"))
        if type(url := _url(part.get("image_url"))) is str
    )


def _objects(values: JsonValue) -> Iterator[dict[str, JsonValue]]:
    return (value for value in (values if type(values) is list else ()) if type(value) is dict)


def _url(image: JsonValue) -> JsonValue:
    return image.get("url") if type(image) is dict else image


def last_words(body: dict[str, JsonValue]) -> str | None:
    """The text of the last user message, for the results' ``prompt``."""
    messages = body.get("messages")
    for message in reversed(messages if type(messages) is list else []):
        if type(message) is dict and message.get("role") == "user":
            return _said(message.get("content"))
    return None


def _said(content: JsonValue) -> str | None:
    if type(content) is not list:
        return content if type(content) is str else None
    texts = [part.get("text") for part in content if type(part) is dict]
    return "\n".join(text for text in texts if type(text) is str) or None
