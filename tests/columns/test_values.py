import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.columns import decode, encode, plain_type

_INT64 = st.integers(-(2**63), 2**63 - 1)
_INT32 = st.integers(-(2**31), 2**31 - 1)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def _ints(kind):
    width, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    low = -(2 ** (width - 1)) if signed else 0
    return st.integers(low, low + 2**width - 1)


def _viewed(kind):
    """Temporal arrays from the integers they are made of."""
    counts = _INT32 if kind.bit_width == 32 else _INT64
    base = pa.int32() if kind.bit_width == 32 else pa.int64()
    values = st.lists(st.none() | counts | st.integers(0, 86_399), max_size=6)
    return values.map(lambda found: pa.array(found, base).view(kind))


def _of(kind, values):
    return st.lists(st.none() | values, max_size=6).map(lambda found: pa.array(found, kind))


_INT_KINDS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
_UNITS = ("s", "ms", "us", "ns")
_TEMPORAL = [
    *(pa.timestamp(unit, zone) for unit in _UNITS for zone in (None, "UTC", "Asia/Tokyo")),
    *(pa.duration(unit) for unit in _UNITS),
    pa.date32(),
    pa.date64(),
    pa.time32("s"),
    pa.time32("ms"),
    pa.time64("us"),
    pa.time64("ns"),
]
_LEAVES = [
    *(_of(kind, _ints(kind)) for kind in _INT_KINDS),
    *map(_viewed, _TEMPORAL),
    _of(pa.float64(), st.floats()),
    _of(pa.float32(), st.floats(width=32)),
    _of(pa.float16(), st.floats(width=16)),
    _of(pa.bool_(), st.booleans()),
    *(_of(kind, _TEXT) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *(_of(kind, st.binary(max_size=8)) for kind in (pa.binary(), pa.large_binary())),
    _of(pa.binary(4), st.binary(min_size=4, max_size=4)),
    _of(pa.decimal128(20, 3), st.decimals(-(10**15), 10**15, places=3)),
    _of(pa.decimal256(60, 10), st.decimals(-(10**40), 10**40, places=10)),
    _of(pa.string(), _TEXT).map(lambda array: array.dictionary_encode()),
    st.integers(0, 5).map(pa.nulls),
]


def _same(one, other):
    return one == other and [math.copysign(1, v) for v in one if isinstance(v, float)] == [
        math.copysign(1, v) for v in other if isinstance(v, float)
    ]


@given(st.one_of(_LEAVES))
@settings(max_examples=200, deadline=None)
def test_what_is_encoded_decodes_to_the_same_array(array):
    kind = plain_type(array.type)
    back = decode(encode(array), kind)
    assert back.type == kind
    assert back.null_count == array.null_count or pa.types.is_dictionary(array.type)
    if pa.types.is_floating(kind):
        assert _same(encode(back), encode(array))
    elif not pa.types.is_dictionary(array.type):
        assert back.equals(array.cast(kind))


@given(st.one_of(_LEAVES), st.data())
@settings(max_examples=80, deadline=None)
def test_lists_structs_and_maps_of_anything_come_back(leaf, data):
    count = len(leaf)
    sizes = data.draw(
        st.lists(st.integers(0, 3), max_size=4).map(lambda s: s if sum(s) <= count else [])
    )
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + size)
    gone = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    mask = pa.array(gone, pa.bool_())
    part = leaf.slice(0, offsets[-1])
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), part, mask=mask)
    large = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), part, mask=mask)
    structs = pa.StructArray.from_arrays([lists, large], ["a", "b"], mask=mask)
    keys = pa.array([f"k{n % 2}" for n in range(offsets[-1])], pa.string())
    maps = pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, part)
    for array in (lists, large, structs, maps, lists.slice(1), structs.slice(1), maps.slice(1)):
        values, kind = encode(array), plain_type(array.type)
        back = decode(values, kind)
        assert back.type == kind
        assert encode(back) == values
        assert [v is None for v in values] == array.is_null().to_pylist()


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.array([math.nan, math.inf, -math.inf, 1.5]), ["NaN", "Infinity", "-Infinity", 1.5]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([b"\x00\xff"]), ["AP8="]),
        (
            pa.array([1_700_000_000_123_456_789]).view(pa.timestamp("ns", "UTC")),
            ["2023-11-14T22:13:20.123456789Z"],
        ),
        (pa.array([1_700_000_000]).view(pa.timestamp("s")), ["2023-11-14T22:13:20"]),
        (pa.array([10**18]).view(pa.timestamp("s")), [10**18]),
        (pa.array([19_675], pa.int32()).view(pa.date32()), ["2023-11-14"]),
        (pa.array([3_000_000], pa.int32()).view(pa.date32()), [3_000_000]),
        (pa.array([1], pa.int64()).view(pa.date64()), [1]),
        (pa.array([45_296_007], pa.int32()).view(pa.time32("ms")), ["12:34:56.007"]),
        (pa.array([5]).view(pa.duration("ms")), [5]),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), [{"a": 1}]),
        (
            pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
            [[["a", 1], ["a", 2]]],
        ),
        (pa.array([[(1, None)]], pa.map_(pa.int64(), pa.int64())), [[[1, None]]]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], None]),
        (pa.array([["a"], None], pa.list_view(pa.string_view())), [["a"], None]),
        (pa.chunked_array([["a"], ["b"]]), ["a", "b"]),
        (
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
            ["MDAwMDAwMDAwMDAwMDAwMA=="],
        ),
    ],
)
def test_values_that_json_lacks_are_written_in_words(array, values):
    assert encode(array) == values
    assert encode(decode(values, plain_type(array.type))) == values


def test_a_type_that_parquet_cannot_hold_is_refused():
    intervals = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(TypeError, match="cannot be carried"):
        encode(union)
    with pytest.raises(TypeError, match="cannot be carried"):
        encode(intervals)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["x"], pa.timestamp("s")),
        (["2023-11-14T22:13:20.5"], pa.timestamp("s")),
        (["99:00"], pa.time32("s")),
        (["2023-13-01"], pa.date32()),
        (["x"], pa.duration("s")),
        (["x"], pa.int64()),
        ([2**63], pa.int64()),
        ([[1]], pa.list_(pa.int64(), 2)),
    ],
)
def test_a_value_that_encode_never_gives_is_refused(values, kind):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        decode(values, kind)
