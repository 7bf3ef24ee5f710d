"""An answer that follows a JSON Schema, filled with what was seen: the same for the same request.

Written apart from the client's reading of schemas. Covers what structured outputs cover: types,
enums, constants, nested objects and lists, choices, local references.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbatch.records import JsonValue

_DEEPEST = 12
"""Levels after which what may be left out is left out: a schema can refer to itself."""
_FEW = 2
"""Things in a list, unless the schema wants more."""
_FORMATS = {
    "date": "2024-02-29",
    "date-time": "2024-02-29T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def filled(schema: Mapping[str, JsonValue], words: str, numbers: Iterator[int]) -> JsonValue:
    """A value that follows ``schema``: its texts say ``words``, its numbers are the next ones."""
    return _Form(schema, words, numbers).value(schema, 0)


class _Form:
    def __init__(self, root: Mapping[str, JsonValue], words: str, numbers: Iterator[int]) -> None:
        self._root = root
        self._words = words
        self._numbers = numbers

    def value(self, schema: Any, depth: int) -> JsonValue:
        if not isinstance(schema, dict):
            return self._words
        if "$ref" in schema:
            return self.value(self._found(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][next(self._numbers) % len(schema["enum"])]
        for choice in ("anyOf", "oneOf", "allOf"):
            if schema.get(choice):
                return self.value(self._chosen(schema[choice], depth), depth + 1)
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = "null" if depth >= _DEEPEST and "null" in kind else kind[0]
        return self._of_type(kind, schema, depth)

    def _chosen(self, choices: list[Any], depth: int) -> Any:
        """The first; far down the last, which is mostly null."""
        return choices[-1] if depth >= _DEEPEST else choices[0]

    def _of_type(self, kind: str, schema: dict[str, Any], depth: int) -> JsonValue:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                least = int(schema.get("minItems", 0))
                wanted = 0 if depth >= _DEEPEST else min(_FEW, schema.get("maxItems", _FEW))
                items = schema.get("items", {"type": "string"})
                return [self.value(items, depth + 1) for _ in range(max(least, wanted))]
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return next(self._numbers) % 2 == 0
            case "null":
                return None
        return self._text(schema)

    def _object(self, schema: dict[str, Any], depth: int) -> JsonValue:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        return {
            name: self.value(inner, depth + 1)
            for name, inner in properties.items()
            if name in required or depth < _DEEPEST
        }

    def _number(self, schema: dict[str, Any], *, whole: bool) -> JsonValue:
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        if "exclusiveMinimum" in schema:
            low += 1
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 10_000))
        if "exclusiveMaximum" in schema:
            high -= 1
        number = low + next(self._numbers) % max(int(high - low) + 1, 1)
        return int(number) if whole else number

    def _text(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self._words[: schema.get("maxLength", len(self._words))]
        return text.ljust(schema.get("minLength", 0), ".")

    def _found(self, reference: str) -> Any:
        if not reference.startswith(("#/", "#")) or (reference != "#" and reference[1] != "/"):
            return {}
        place: Any = self._root
        for step in unquote(reference[1:]).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            place = place.get(name, {}) if isinstance(place, dict) else {}
        return place
