"""The Arrow type of answers that follow a JSON Schema, where it is closed and simple. Pure.

Closed: every object names its properties and allows no others. Simple: one type per place, null
beside it or not; no choices between shapes, no recursion. Draft 2020-12 and those before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}
_NAMES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}
_CHOICES = ("anyOf", "oneOf")
_SHAPES = frozenset(
    {
        *("allOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"),
        *("patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems"),
        *("prefixItems", "contains", "$dynamicRef", "$recursiveRef"),
    }
)
"""Words under which a value may have more than one shape, or one that is told elsewhere."""


class NotSimpleError(Exception):
    """The schema allows what no one Arrow type can hold; the message says where and why."""


def parsed_type(schema: Mapping[str, Any]) -> pa.DataType:
    """The struct that holds every answer that follows ``schema``.

    Raises NotSimpleError.
    """
    kind = _Reader(schema).type_of(schema, "$")
    if not pa.types.is_struct(kind):
        raise NotSimpleError("$ is no object")
    return kind


class _Reader:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._under_way: list[str] = []

    def type_of(self, schema: Any, where: str) -> pa.DataType:
        if not isinstance(schema, dict):
            raise NotSimpleError(f"{where} may be anything")
        odd = _SHAPES & schema.keys()
        if odd:
            raise NotSimpleError(f"{where} uses {min(odd)}")
        if "$ref" in schema:
            return self._referred(schema["$ref"], where)
        for word in _CHOICES:
            if word in schema:
                return self.type_of(_but_for_null(schema[word], where), where)
        name = _type_name(schema, where)
        if name == "object":
            return self._struct(schema, where)
        if name == "array":
            return pa.list_(self.type_of(schema.get("items"), f"{where}[]"))
        if name not in _PLAIN:
            raise NotSimpleError(f"{where} may be {name}")
        return _PLAIN[name]

    def _struct(self, schema: Mapping[str, Any], where: str) -> pa.DataType:
        properties = schema.get("properties")
        if not properties:
            raise NotSimpleError(f"{where} names no properties")
        if schema.get("additionalProperties") is not False:
            raise NotSimpleError(f"{where} does not say additionalProperties: false")
        return pa.struct(
            [(name, self.type_of(inner, f"{where}.{name}")) for name, inner in properties.items()]
        )

    def _referred(self, reference: Any, where: str) -> pa.DataType:
        if reference in self._under_way:
            raise NotSimpleError(f"{where} refers to itself")
        self._under_way.append(reference)
        try:
            return self.type_of(self._found(reference), where)
        finally:
            self._under_way.pop()

    def _found(self, reference: Any) -> Any:
        place: Any = self._root
        for step in unquote(str(reference).removeprefix("#")).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            place = place.get(name) if isinstance(place, dict) else None
        return place


def _but_for_null(choices: Any, where: str) -> Any:
    others = [one for one in choices if not _is_null(one)]
    if len(others) != 1:
        raise NotSimpleError(f"{where} leaves a choice")
    return others[0]


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and (
        schema.get("type") == "null" or ("const" in schema and schema["const"] is None)
    )


def _type_name(schema: Mapping[str, Any], where: str) -> str:
    """The one type beside null, said or shown by the values that are allowed."""
    said = schema.get("type")
    names = {said} if isinstance(said, str) else set(said or ())
    if not names:
        values = [schema["const"]] if "const" in schema else schema.get("enum", [])
        names = set(map(_name_of, values))
    names.discard("null")
    if names == {"integer", "number"}:
        return "number"
    if len(names) != 1:
        raise NotSimpleError(f"{where} may be {' or '.join(sorted(names)) or 'anything'}")
    return str(names.pop())


def _name_of(value: Any) -> str:
    if value is None:
        return "null"
    return _NAMES.get(type(value), "anything")
