"""Parquet manifests of every kind of wrong."""

from __future__ import annotations

import datetime as dt
import io
import random
from decimal import Decimal
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.corpora.cases import Case
from tests.corpora.damage import cut_anywhere, flipped, spliced

ROLES = ("id", "image", "images", "prompt", "system", "params", "label")


def written(table, **options):
    """The table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@cache
def plain():
    """A small file as it should be."""
    return written(_table(6), compression="zstd", row_group_size=3)


def _table(count):
    return pa.table(
        {
            "id": [f"r{n}" for n in range(count)],
            "image": pa.array([{"bytes": b"\x89PNG", "path": f"{n}.png"} for n in range(count)]),
            "label": pa.array(range(count), pa.int32()),
        }
    )


def cut_short():
    """The small file cut at each of its bytes."""
    return (Case(f"{case.name}.parquet", case.data) for case in cut_anywhere("plain", plain()))


def flipped_footers():
    """A small file with one bit of its footer turned over, two places in every byte.

    Lengths that disagree there can end a process in which the metadata is merely looked at.
    """
    data = plain()
    length = int.from_bytes(data[-8:-4], "little")
    for at in range(len(data) - 8 - length, len(data) - 8):
        for bit in (at % 7, 7):
            spoiled = bytearray(data)
            spoiled[at] ^= 1 << bit
            yield Case(f"bit {bit} of byte {at}.parquet", bytes(spoiled))


def damaged_anywhere():
    """Files with bits turned over and pieces moved, packed in each of the usual ways."""
    chance = random.Random("damage")
    for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        data = written(_table(6), compression=codec)
        footer = int.from_bytes(data[-8:-4], "little")
        for number in range(40):
            name = f"{codec}, bits flipped {number}.parquet"
            yield Case(name, flipped(data, chance, 1 << number % 3))
            body, end = data[: -8 - footer], data[-8:]
            spoiled = flipped(data[-8 - footer : -8], chance, 1)
            yield Case(f"{codec}, footer flipped {number}.parquet", body + spoiled + end)
        for number in range(20):
            yield Case(f"{codec}, spliced {number}.parquet", spliced(data, chance, number))


def odd_footers():
    """Files whose ends lie."""
    data = plain()
    footer = int.from_bytes(data[-8:-4], "little")
    ends = {
        f"footer of {told}": data[:-8] + told.to_bytes(4, "little") + b"PAR1"
        for told in (0, 1, footer - 1, footer + 1, len(data), 2**31 - 1, 2**31, 2**32 - 1)
    }
    files = {
        **ends,
        "nothing": b"",
        "a magic": b"PAR1",
        "two magics": b"PAR1PAR1",
        "other magic": data[:-4] + b"PAR2",
        "encrypted footer": data[:-4] + b"PARE",
        "encrypted": b"PARE" + data[4:-4] + b"PARE",
        "a footer alone": data[-8 - footer :],
        "twice": data + data,
        "more behind": data + b"\n",
        "more in front": b"\n" + data,
        "JSON": b'{"id":1,"image":"a.jpg"}\n',
        "an Arrow file": _arrow_file(),
        "zeros": bytes(5000),
        "zeros between magics": b"PAR1" + bytes(5000) + b"PAR1",
    }
    for name, held in files.items():
        yield Case(f"{name}.parquet", held)


def _arrow_file():
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, _table(3).schema) as file:
        file.write_table(_table(3))
    return buffer.getvalue()


@cache
def columns():
    """A column of three rows of every type that Parquet can hold."""
    moment = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    whole = {f"{t}": pa.array([1, None, 2], t) for t in _WHOLE}
    fractions = {f"{t}": pa.array([1.5, None, float("nan")], t) for t in _FRACTIONS}
    texts = {f"{t}": pa.array(["a.jpg", None, ""], t) for t in _TEXTS}
    binaries = {f"{t}": pa.array([b"\xff\xd8", None, b""], t) for t in _BINARIES}
    moments = {f"{t}": pa.array([moment, None, moment]).cast(t) for t in _MOMENTS}
    return {**whole, **fractions, **texts, **binaries, **moments, **_nested(), **_strange()}


_WHOLE = (pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64(), pa.duration("us"))
_FRACTIONS = (pa.float16(), pa.float32(), pa.float64())
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_BINARIES = (pa.binary(), pa.large_binary(), pa.binary_view())
_MOMENTS = (
    *(pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us", "UTC")),
    *(pa.timestamp("ns", "Europe/Berlin"), pa.date32(), pa.date64(), pa.time32("ms")),
    pa.time64("ns"),
)


def _nested():
    pair = {"url": "a.jpg", "n": 1}
    return {
        "lists": pa.array([["a", None], None, []]),
        "large lists": pa.array([["a"], None, []], pa.large_list(pa.string())),
        "fixed lists": pa.array([["a", "b"], None, ["c", "d"]], pa.list_(pa.string(), 2)),
        "list views": pa.array([["a"], None, []], pa.list_view(pa.string())),
        "lists of lists": pa.array([[["a"], []], None, [None]]),
        "structs": pa.array([pair, None, {"url": None, "n": None}]),
        "lists of structs": pa.array([[pair, None], None, []]),
        "structs of nothing known": pa.array([{"a": {"b": 1}}, None, {"a": None}]),
        "pictures": pa.array([{"bytes": b"x", "path": "a"}, None, {"bytes": None, "path": None}]),
        "lists of pictures": pa.array([[{"bytes": b"x", "path": "a"}], None, []]),
        "maps": pa.array([[("url", "a")], None, []], pa.map_(pa.string(), pa.string())),
        "maps by number": pa.array(
            [[(1, "a"), (1, "b")], None, []], pa.map_(pa.int32(), pa.string())
        ),
    }


def _strange():
    codes = pa.array([0, None, 1], pa.int8())
    return {
        "nulls": pa.nulls(3),
        "truth": pa.array([True, None, False]),
        "decimals": pa.array([Decimal("1.50"), None, Decimal(2)], pa.decimal128(9, 2)),
        "wide decimals": pa.array([Decimal(10) ** 40, None, Decimal(2)], pa.decimal256(60, 2)),
        "words": pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b"])),
        "words that are numbers": pa.DictionaryArray.from_arrays(codes, pa.array([1, 2])),
        "fixed bytes": _fixed(4),
        "UUIDs": pa.ExtensionArray.from_storage(pa.uuid(), _fixed(16)),
        "JSON": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}', None, "["])),
        "tensors": _tensors(),
        "not UTF-8": _not_utf8(),
        "long texts": pa.array(["x" * 300_000, None, "y"]),
        "far away": pa.array([2**62, None, -(2**62)]).view(pa.timestamp("ms")),
    }


def _fixed(size):
    return pa.array([b"a" * size, None, b"\xff" * size], pa.binary(size))


def _tensors():
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((3, 2, 2), np.float32))


def _not_utf8():
    offsets = pa.array([0, 2, 4, 6], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"ab\xff\xfeef")])


def typed():
    """A column of every type for everything that a row can say."""
    for kind, column in columns().items():
        for role in ROLES:
            rest = {"id": ["x", "y", "z"], "image": ["a.jpg", "b.jpg", "c.jpg"]}
            if role == "images":
                del rest["image"]
            table = pa.table({**rest, role: column})
            yield Case(f"{kind} as {role}.parquet", written(table))


def odd_shapes():
    """Whole files of an unusual build."""
    texts = pa.array(["a", "b"])
    shapes = {
        "no columns": pa.table({}),
        "no rows": _table(0),
        "no image": pa.table({"id": texts}),
        "only an image": pa.table({"image": texts}),
        "names twice": pa.Table.from_arrays([texts, texts, texts], ["image", "x", "x"]),
        "image twice": pa.Table.from_arrays([texts, texts], ["image", "image"]),
        "no names": pa.Table.from_arrays([texts, texts], ["", "image"]),
        "names with dots": pa.table({"image": texts, "image.bytes": texts, "a.b": texts}),
        "our own names": pa.table({"image": texts, "text": texts, "in_text": texts, "row": [1, 2]}),
        "names that differ in case": pa.table({"Image": texts, "IMAGE": texts, "image": texts}),
        "a thousand columns": pa.table({"image": texts, **{f"c{n}": texts for n in range(1000)}}),
        "empty lists of nothing": pa.table({"image": texts, "s": pa.array([[], []])}),
        "two ids": pa.table({"id": texts, "custom_id": texts, "image": texts}),
        "bad metadata": _table(2).replace_schema_metadata({"vbatch": "{", "huggingface": b"\xff"}),
        "failures of nothing": _table(2).replace_schema_metadata(
            {"vbatch": '{"table":"failures"}'}
        ),
        "failures renamed oddly": _table(2).replace_schema_metadata(
            {"vbatch": '{"table":"failures","renamed":{"label":5,"image":""}}'}
        ),
    }
    for name, table in shapes.items():
        yield Case(f"{name}.parquet", written(table))
    yield Case("a group per row.parquet", written(_table(50), row_group_size=1))
    yield Case("version 1.parquet", written(_table(9), version="1.0", data_page_version="2.0"))
    yield Case("no dictionary.parquet", written(_table(9), use_dictionary=False))
    yield Case("checksums.parquet", written(_table(9), write_page_checksum=True))
    yield Case("many rows of nothing.parquet", written(pa.table({"image": pa.nulls(20_000)})))
