"""What came back over HTTP, before anyone makes sense of it. Pure."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from vbatch.endpoint.strings import OutsizedJsonError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from vbatch.records import JsonValue

_MAX_VISITS = 500
_MAX_WIDTH = 20


class NotJsonError(ValueError):
    """The body is empty, a web page, cut short, or anything else that is no JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer. ``headers`` finds lower-case names; ``body`` is decompressed.

    ``received_at`` is in seconds since the epoch; ``begun_at`` is when the first word of a streamed
    answer came (seconds, monotonic).
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    received_at: float = 0.0
    begun_at: float | None = None

    def text(self) -> str:
        """The body as text; what is no UTF-8 becomes U+FFFD."""
        return self.body.removeprefix(codecs.BOM_UTF8).decode(errors="replace")

    def json(self) -> JsonValue:
        """The body as JSON; lone surrogates and NaN are let through.

        Raises NotJsonError or OutsizedJsonError.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return self._patient_json()

    def _patient_json(self) -> JsonValue:
        try:
            return json.loads(self.text())
        except json.JSONDecodeError as error:
            raise NotJsonError(str(error)) from None
        except RecursionError:
            raise OutsizedJsonError("nested too deeply") from None
        except ValueError:
            raise OutsizedJsonError("an integer of thousands of digits") from None


def leaves(document: JsonValue, keys: Collection[str]) -> Iterator[tuple[str, JsonValue]]:
    """Yield what lies at the ends of ``document``, with the key it stands under, in order.

    Only ``keys`` are followed, in their order, so that an error's echo of the request is not taken
    for the error's own words. JSON inside a string under ``raw`` is followed too.
    """
    stack = [("", document)]
    for _ in range(_MAX_VISITS):
        if not stack:
            return
        key, value = stack.pop()
        if key == "raw" and isinstance(value, str):
            value = _unfolded(value)
        if isinstance(value, dict):
            stack += [(name, value[name]) for name in reversed([*keys]) if name in value]
        elif isinstance(value, list):
            stack += [(key, one) for one in reversed(value[:_MAX_WIDTH])]
        elif value is not None:
            yield key, value


def _unfolded(text: str) -> JsonValue:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
