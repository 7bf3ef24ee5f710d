"""Arrow values as JSON values and back, without loss.

What JSON cannot hold is written as text that the column's type makes unambiguous: NaN and the
infinities by name, decimals in digits, binary in base64, dates and times as ``moments`` says. A map
with text keys is an object, any other a list of pairs.
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import partial
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pybase64

from vbatch.columns.moments import count_type, reader, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vbatch.records import JsonValue


def encode(array: pa.Array | pa.ChunkedArray) -> list[JsonValue]:
    """JSON values of an array of any type that Parquet can hold, nulls as None.

    Raises:
        UnicodeDecodeError: a string column holds bytes that are not UTF-8.
        TypeError: a type that Parquet cannot hold.
    """
    if isinstance(array, pa.ChunkedArray):
        return list(chain.from_iterable(map(encode, array.chunks)))
    for belongs, encoder in _ENCODERS:
        if belongs(array.type):
            return encoder(array)
    raise TypeError(f"columns of type {array.type} cannot be carried")


def decode(values: Sequence[JsonValue], type: pa.DataType) -> pa.Array:  # noqa: A002 - as in pyarrow
    """The array of ``type``, one of ``plain_type``, that ``encode`` gives as ``values``.

    Raises:
        ValueError, TypeError, OverflowError: a value that ``encode`` never gives for it.
    """
    for belongs, decoder in _DECODERS:
        if belongs(type):
            return decoder(values, type)
    return pa.array(values, type)


def plain_type(type: pa.DataType) -> pa.DataType:  # noqa: A002 - as in pyarrow
    """The type we write for a column read as ``type``.

    Dictionaries become their values, extensions their storage, views their plain form, null string.
    """
    for belongs, plain in _PLAIN:
        if belongs(type):
            return plain(type)
    return type


def _is_text(t: pa.DataType) -> bool:
    return any(
        kind(t) for kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def _is_binary(t: pa.DataType) -> bool:
    kinds = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    )
    return any(kind(t) for kind in kinds)


def _is_list(t: pa.DataType) -> bool:
    kinds = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(kind(t) for kind in kinds)


def _is_direct(t: pa.DataType) -> bool:
    return _is_text(t) or pa.types.is_integer(t) or pa.types.is_boolean(t) or pa.types.is_null(t)


def _is_temporal(t: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(t) and not pa.types.is_interval(t))


def _is_extension(t: pa.DataType) -> bool:
    return isinstance(t, pa.BaseExtensionType)


def _encode_floats(array: pa.Array) -> list[JsonValue]:
    values: list[JsonValue] = array.cast(pa.float64()).to_pylist()
    if all(map(math.isfinite, filter(None, values))):
        return values
    return [v if v is None or math.isfinite(v) else _special_name(v) for v in values]


def _special_name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _decode_floats(values: Sequence[JsonValue], t: pa.DataType) -> pa.Array:
    numbers = [float(v) if isinstance(v, str) else v for v in values]
    return pa.array(numbers, pa.float64()).cast(t)


def _encode_each(array: pa.Array, one: Callable[[Any], JsonValue]) -> list[JsonValue]:
    return [None if v is None else one(v) for v in array.to_pylist()]


def _decode_each(
    values: Sequence[JsonValue], t: pa.DataType, one: Callable[[Any], Any]
) -> pa.Array:
    return pa.array([None if v is None else one(v) for v in values], t)


def _encode_counts(array: pa.Array) -> list[JsonValue]:
    """Temporal arrays: the integers that Arrow keeps, in words where there are words for them."""
    t = array.type
    write = writer(t)
    return [None if v is None else write(v) for v in array.view(count_type(t)).to_pylist()]


def _decode_counts(values: Sequence[JsonValue], t: pa.DataType) -> pa.Array:
    read = reader(t)
    counts = [read(v) if isinstance(v, str) else v for v in values]
    return pa.array(counts, count_type(t)).view(t)


def _encode_lists(array: pa.Array) -> list[JsonValue]:
    import pyarrow.compute as pc  # noqa: PLC0415 - 9 MB that most runs never need

    children = iter(encode(array.flatten()))
    lengths = pc.list_value_length(array).to_pylist()
    present = array.is_valid().to_pylist()
    return [
        list(islice(children, n)) if there else None
        for n, there in zip(lengths, present, strict=True)
    ]


def _decode_lists(values: Sequence[JsonValue], t: pa.DataType) -> pa.Array:
    children = decode(list(chain.from_iterable(v for v in values if v is not None)), t.value_type)
    kind = pa.LargeListArray if pa.types.is_large_list(t) else pa.ListArray
    size = pa.int64() if pa.types.is_large_list(t) else pa.int32()
    return kind.from_arrays(_offsets(values, size), children, type=t, mask=_nulls(values))


def _decode_fixed_lists(values: Sequence[JsonValue], t: pa.DataType) -> pa.Array:
    if any(v is not None and len(v) != t.list_size for v in values):
        raise ValueError(f"a list that does not have {t.list_size} values")
    gap = [None] * t.list_size
    children = decode(
        list(chain.from_iterable(gap if v is None else v for v in values)), t.value_type
    )
    return pa.FixedSizeListArray.from_arrays(children, type=t, mask=_nulls(values))


def _encode_structs(array: pa.Array) -> list[JsonValue]:
    names = [f.name for f in array.type]
    columns = [encode(child) for child in array.flatten()]
    present = array.is_valid().to_pylist()
    rows = zip(*columns, strict=True) if columns else (() for _ in present)
    return [
        dict(zip(names, row, strict=True)) if there else None
        for row, there in zip(rows, present, strict=True)
    ]


def _decode_structs(values: Sequence[JsonValue], t: pa.DataType) -> pa.Array:
    children = [decode([None if v is None else v.get(f.name) for v in values], f.type) for f in t]
    return pa.StructArray.from_arrays(children, fields=list(t), mask=_nulls(values))


def _encode_maps(array: pa.Array) -> list[JsonValue]:
    pair = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
    as_text = _is_text(plain_type(array.type.key_type))
    return [
        None if pairs is None else _map_value(pairs, as_text=as_text)
        for pairs in encode(array.cast(pa.list_(pair)))
    ]


def _map_value(pairs: Iterable[dict[str, JsonValue]], *, as_text: bool) -> JsonValue:
    listed = [[pair["key"], pair["value"]] for pair in pairs]
    named = dict(listed) if as_text else {}
    return named if as_text and len(named) == len(listed) else listed


def _decode_maps(values: Sequence[JsonValue], t: pa.DataType) -> pa.Array:
    listed = [list(v.items()) if isinstance(v, dict) else v for v in values]
    pairs = list(chain.from_iterable(v for v in listed if v is not None))
    keys = decode([pair[0] for pair in pairs], t.key_type)
    items = decode([pair[1] for pair in pairs], t.item_type)
    entries = pa.MapArray.from_arrays(_offsets(listed, pa.int32()), keys, items, type=t)
    if None not in listed:
        return entries
    import pyarrow.compute as pc  # noqa: PLC0415 - 9 MB that most runs never need

    return pc.if_else(_nulls(listed), None, entries)


def _offsets(values: Sequence[JsonValue], t: pa.DataType) -> pa.Array:
    return pa.array(accumulate((len(v or ()) for v in values), initial=0), t)


def _nulls(values: Sequence[JsonValue]) -> pa.Array:
    return pa.array([v is None for v in values], pa.bool_())


def _plain_struct(t: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field(f.name, plain_type(f.type), metadata=f.metadata) for f in t])


def _plain_list(t: pa.DataType) -> pa.DataType:
    item = pa.field(t.value_field.name, plain_type(t.value_type), metadata=t.value_field.metadata)
    if pa.types.is_fixed_size_list(t):
        return pa.list_(item, t.list_size)
    large = pa.types.is_large_list(t) or pa.types.is_large_list_view(t)
    return pa.large_list(item) if large else pa.list_(item)


_ENCODERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[Any]]], ...] = (
    (_is_direct, lambda array: array.to_pylist()),
    (pa.types.is_floating, _encode_floats),
    (_is_temporal, _encode_counts),
    (_is_list, _encode_lists),
    (pa.types.is_map, _encode_maps),
    (pa.types.is_struct, _encode_structs),
    (pa.types.is_dictionary, lambda array: encode(array.dictionary_decode())),
    (pa.types.is_decimal, partial(_encode_each, one=str)),
    (_is_binary, partial(_encode_each, one=pybase64.b64encode_as_string)),
    (_is_extension, lambda array: encode(array.storage)),
)

_DECODERS: tuple[
    tuple[Callable[[pa.DataType], bool], Callable[[Sequence[JsonValue], pa.DataType], pa.Array]],
    ...,
] = (
    (_is_direct, pa.array),
    (pa.types.is_floating, _decode_floats),
    (_is_temporal, _decode_counts),
    (pa.types.is_map, _decode_maps),
    (pa.types.is_fixed_size_list, _decode_fixed_lists),
    (_is_list, _decode_lists),
    (pa.types.is_struct, _decode_structs),
    (pa.types.is_decimal, partial(_decode_each, one=Decimal)),
    (_is_binary, partial(_decode_each, one=partial(pybase64.b64decode, validate=True))),
)

_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], pa.DataType]], ...] = (
    (pa.types.is_null, lambda _: pa.string()),
    (pa.types.is_string_view, lambda _: pa.string()),
    (pa.types.is_binary_view, lambda _: pa.binary()),
    (_is_list, _plain_list),
    (pa.types.is_map, lambda t: pa.map_(plain_type(t.key_type), plain_type(t.item_type))),
    (pa.types.is_struct, _plain_struct),
    (pa.types.is_dictionary, lambda t: plain_type(t.value_type)),
    (_is_extension, lambda t: plain_type(t.storage_type)),
)
