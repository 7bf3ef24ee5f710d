"""Finding the type of a column that has none, and bringing later values to it.

A column of text comes in three kinds, told apart by the field's metadata. Plain: the values are
text. ``text``: numbers stood among them, and stand as they were written. ``json``: values of
several kinds, each as JSON text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from vbatch.columns import exact
from vbatch.columns.values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vbatch.records import JsonValue

AS = b"vbatch.as"
"""Key of a field's metadata: ``json`` or ``text``."""

_LARGEST_FLOAT = 2**1023
_MAX_KEYS = 64
_MAX_DEPTH = 8


class Misfit(ValueError):  # noqa: N818 - a verdict on a value, always caught
    """The value does not fit the column's type."""


class Shape:
    """The kinds of values seen in a column; ``field`` is what can hold them all.

    Keeps no value, so that ten thousand rows of any size can be looked at.
    """

    __slots__ = ("_depth", "_high", "_items", "_keys", "_kinds", "_low")

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._kinds: set[type] = set()
        self._low = self._high = 0
        self._items: Shape | None = None
        self._keys: dict[str, Shape] = {}

    def see(self, value: JsonValue) -> None:
        """Take one value into account; None says nothing."""
        self.see_all((value,))

    def see_all(self, values: Iterable[JsonValue]) -> None:
        """Take several into account."""
        there = [v for v in values if v is not None]
        kinds = set(map(type, there))
        self._kinds |= kinds
        if int in kinds:
            whole = [v for v in there if type(v) is int]
            self._low = min(self._low, *whole)
            self._high = max(self._high, *whole)
        if self._depth < _MAX_DEPTH:
            self._look_inside(there, kinds)

    def _look_inside(self, values: list[JsonValue], kinds: set[type]) -> None:
        if list in kinds:
            self._items = self._items or Shape(self._depth + 1)
            for value in values:
                if type(value) is list:
                    self._items.see_all(value)
        if dict in kinds:
            for value in values:
                if type(value) is dict:
                    self._see_keys(value)

    def _see_keys(self, value: dict[str, JsonValue]) -> None:
        for key, inner in value.items():
            if len(self._keys) > _MAX_KEYS:
                return
            shape = self._keys.get(key)
            if shape is None:
                shape = self._keys[key] = Shape(self._depth + 1)
            shape.see(inner)

    def field(self, name: str) -> pa.Field:
        """The column: int, then float, then text; JSON text where nothing else holds all."""
        simple = self._number() if self._kinds <= {int, float} else None
        if self._kinds == {bool}:
            simple = pa.bool_()
        elif self._kinds <= {str}:
            simple = pa.string()
        elif self._kinds <= {int, float, str} and str in self._kinds:
            return pa.field(name, pa.string(), metadata={AS: b"text"})
        elif self._kinds == {list} and self._items:
            simple = pa.list_(self._items.field("item"))
        elif self._kinds == {dict} and 0 < len(self._keys) <= _MAX_KEYS:
            simple = pa.struct([shape.field(key) for key, shape in self._keys.items()])
        if simple is None:
            return pa.field(name, pa.string(), metadata={AS: b"json"})
        return pa.field(name, simple)

    def _number(self) -> pa.DataType | None:
        if float in self._kinds:
            return pa.float64()
        if self._low >= -(2**63) and self._high < 2**63:
            return pa.int64()
        return pa.uint64() if self._low == 0 and self._high < 2**64 else None


def settle(name: str, samples: Iterable[JsonValue]) -> pa.Field:
    """The column that holds all samples. An int among floats is a float; all None is text."""
    shape = Shape()
    shape.see_all(samples)
    return shape.field(name)


def fitter(field: pa.Field) -> Callable[[JsonValue], JsonValue]:
    """What brings a JSON value but None to the form that ``field`` holds; it raises ``Misfit``."""
    t = field.type
    written = (field.metadata or {}).get(AS)
    if written is not None:
        return as_json if written == b"json" else _text_or_number
    for belongs, make in _FITTERS:
        if belongs(t):
            return make(t)
    return _other(t)


def fits(value: JsonValue, field: pa.Field) -> bool:
    """Whether ``fitter(field)`` takes the value; null fits everywhere."""
    try:
        if value is not None:
            fitter(field)(value)
    except Misfit:
        return False
    return True


def serialize(schema: pa.Schema) -> bytes:
    """The schema in Arrow's IPC form, as ``ManifestScan`` keeps it."""
    data: bytes = schema.serialize().to_pybytes()
    return data


def deserialize(data: bytes) -> pa.Schema:
    """The schema that ``serialize`` wrote."""
    return pa.ipc.read_schema(pa.BufferReader(data))


def as_json(value: JsonValue) -> str:
    """Compact JSON text; Misfit where a value is nested too deeply for it."""
    try:
        return exact.dumps(value).decode()
    except TypeError as e:
        raise Misfit(str(e)) from e


def _only(kind: type) -> Callable[[JsonValue], JsonValue]:
    def fit(value: JsonValue) -> JsonValue:
        if type(value) is kind:
            return value
        raise Misfit

    return fit


def _text_or_number(value: JsonValue) -> JsonValue:
    if type(value) is str:
        return value
    if type(value) in {int, float}:
        return as_json(value)
    raise Misfit


def _integer(t: pa.DataType) -> Callable[[JsonValue], JsonValue]:
    signed = pa.types.is_signed_integer(t)
    held = (
        range(-(2 ** (t.bit_width - 1)), 2 ** (t.bit_width - 1))
        if signed
        else range(2**t.bit_width)
    )

    def fit(value: JsonValue) -> JsonValue:
        if type(value) is int and value in held:
            return value
        raise Misfit

    return fit


def _float(value: JsonValue) -> JsonValue:
    if type(value) is float:
        return value
    if type(value) is int and abs(value) < _LARGEST_FLOAT and int(float(value)) == value:
        return float(value)
    raise Misfit


def _list(t: pa.DataType) -> Callable[[JsonValue], JsonValue]:
    item = fitter(t.value_field)

    def fit(value: JsonValue) -> JsonValue:
        if type(value) is list:
            return [None if v is None else item(v) for v in value]
        raise Misfit

    return fit


def _struct(t: pa.DataType) -> Callable[[JsonValue], JsonValue]:
    inner = {f.name: fitter(f) for f in t}

    def fit(value: JsonValue) -> JsonValue:
        if type(value) is dict and value.keys() <= inner.keys():
            return {key: None if v is None else inner[key](v) for key, v in value.items()}
        raise Misfit

    return fit


def _other(t: pa.DataType) -> Callable[[JsonValue], JsonValue]:
    """Types that only Parquet has: a value fits when it survives the way there and back."""

    def fit(value: JsonValue) -> JsonValue:
        try:
            kept = encode(decode([value], t))[0]
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as e:
            raise Misfit from e
        if kept == value and type(kept) is type(value):
            return value
        raise Misfit

    return fit


_FITTERS: tuple[
    tuple[
        Callable[[pa.DataType], bool],
        Callable[[pa.DataType], Callable[[JsonValue], JsonValue]],
    ],
    ...,
] = (
    (pa.types.is_string, lambda _: _only(str)),
    (pa.types.is_large_string, lambda _: _only(str)),
    (pa.types.is_boolean, lambda _: _only(bool)),
    (pa.types.is_integer, _integer),
    (pa.types.is_float64, lambda _: _float),
    (pa.types.is_list, _list),
    (pa.types.is_large_list, _list),
    (pa.types.is_struct, _struct),
)
