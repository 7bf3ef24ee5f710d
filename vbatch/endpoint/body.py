"""The bytes of a request: JSON around images that become base64 only while they leave. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pybase64

if TYPE_CHECKING:
    from collections.abc import Iterator

TokenField = Literal["max_tokens", "max_completion_tokens"]

STEP_BYTES = 96 * 1024
"""Raw bytes encoded at once: a multiple of 3, so that the steps join without padding."""


@dataclass(frozen=True, slots=True)
class Inlined:
    """Raw bytes that stand in a body as base64."""

    data: bytes = field(repr=False)

    @property
    def length(self) -> int:
        """Bytes of the base64 text."""
        return (len(self.data) + 2) // 3 * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's body, not yet encoded.

    ``length`` is what goes over the wire, ``image_bytes`` the raw bytes of inlined images.
    ``token_field`` is the name under which the token cap is sent. ``detail_merged``: the images
    asked for different detail, the gateway takes one, and the highest was taken.
    """

    parts: tuple[bytes | Inlined, ...] = field(repr=False)
    length: int
    image_bytes: int
    model: str
    token_field: TokenField
    detail_merged: bool = False

    def chunks(self) -> Iterator[bytes]:
        """Yield the body's bytes in pieces of about 128 KiB, encoding images on the way."""
        held: list[bytes] = []
        size = 0
        for piece in self._pieces():
            held.append(piece)
            size += len(piece)
            if size >= STEP_BYTES:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)

    def _pieces(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            else:
                view = memoryview(part.data)
                for start in range(0, len(view), STEP_BYTES):
                    yield pybase64.b64encode(view[start : start + STEP_BYTES])


class Splice:
    """A body in the making: JSON text, with images between its pieces."""

    __slots__ = ("_image_bytes", "_length", "_parts", "_text")

    def __init__(self) -> None:
        self._parts: list[bytes | Inlined] = []
        self._text = bytearray()
        self._length = 0
        self._image_bytes = 0

    def write(self, text: bytes) -> None:
        """Add JSON text."""
        self._text += text

    def inline(self, data: bytes) -> None:
        """Add an image's bytes."""
        image = Inlined(data)
        self._end_text()
        self._parts.append(image)
        self._length += image.length
        self._image_bytes += len(data)

    def body(self, *, model: str, token_field: TokenField, detail_merged: bool = False) -> Body:
        """Return what was written."""
        self._end_text()
        return Body(
            parts=tuple(self._parts),
            length=self._length,
            image_bytes=self._image_bytes,
            model=model,
            token_field=token_field,
            detail_merged=detail_merged,
        )

    def _end_text(self) -> None:
        self._parts.append(bytes(self._text))
        self._length += len(self._text)
        self._text.clear()
