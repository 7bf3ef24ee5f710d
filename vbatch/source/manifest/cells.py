"""The values of one Parquet column in one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import orjson
import pyarrow as pa

from vbatch.columns import AS, encode, exact
from vbatch.source.manifest.params import drop_nulls

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.records import JsonValue

Use = Literal["image", "object", "carried"]
"""What a column is read for: images keep their bytes, objects lose the fields that are null."""


def cells(field: pa.Field, array: pa.Array, use: Use) -> tuple[list[JsonValue], list[int]]:
    """The column's values, and where it holds bytes that are not UTF-8 (None stands there)."""
    try:
        return _read(field, array, use), []
    except UnicodeDecodeError:
        return _read_one_by_one(field, array, use)


def _read_one_by_one(
    field: pa.Field, array: pa.Array, use: Use
) -> tuple[list[JsonValue], list[int]]:
    values: list[JsonValue] = []
    bad = []
    for index in range(len(array)):
        try:
            values += _read(field, array.slice(index, 1), use)
        except UnicodeDecodeError:
            values.append(None)
            bad.append(index)
    return values, bad


def restorer(field: pa.Field) -> Callable[[JsonValue], JsonValue] | None:
    """What reads JSON text in a column of one of our tables, also within it; None: none there."""
    t = field.type
    if (field.metadata or {}).get(AS) == b"json":
        return _parsed
    if pa.types.is_list(t):
        item = restorer(t.value_field)
        return item and (lambda value: [None if v is None else item(v) for v in value])
    if pa.types.is_struct(t):
        return _struct_restorer({f.name: restore for f in t if (restore := restorer(f))})
    return None


def _struct_restorer(
    inner: dict[str, Callable[[JsonValue], JsonValue]],
) -> Callable[[JsonValue], JsonValue] | None:
    def restore(value: JsonValue) -> JsonValue:
        return {
            key: inner[key](v) if key in inner and v is not None else v for key, v in value.items()
        }

    return restore if inner else None


def _read(field: pa.Field, array: pa.Array, use: Use) -> list[JsonValue]:
    values = _with_bytes(array) if use == "image" else encode(array)
    restore = restorer(field)
    if restore is not None:
        return [None if value is None else restore(value) for value in values]
    return [drop_nulls(value) for value in values] if use == "object" else values


def _with_bytes(array: pa.Array) -> list[JsonValue]:
    try:
        values: list[JsonValue] = array.to_pylist()
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):  # moments that Python has no value for
        return encode(array)
    return values


def _parsed(text: JsonValue) -> JsonValue:
    try:
        return exact.loads(text)
    except orjson.JSONDecodeError:
        return text
