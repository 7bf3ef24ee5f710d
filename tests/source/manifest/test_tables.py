import os
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vbatch.columns import decode
from vbatch.errors import ManifestError
from vbatch.records import BadRow, ImageSource, Item

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def _named(name):
    return {"id": [name], "image": [name]}


def _pictures(*pairs):
    return pa.array([pair and {"bytes": pair[0], "path": pair[1]} for pair in pairs], _IMAGE)


def test_rows_carry_the_files_own_types(desk):
    columns = {
        "id": pa.array([1, 2]),
        "image": ["a.jpg", "b.jpg"],
        "price": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
        "when": pa.array([1, 2], pa.int64()).view(pa.timestamp("us", "UTC")),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "small": pa.array([1, 2], pa.int8()),
        "box": [{"x": 1.5}, None],
    }
    found = desk.read(desk.table(columns))
    assert found.ids == ["1", "2"]
    assert (found.row.file, found.row.line) == (str(desk.folder / "m.parquet"), None)
    assert found.carried.field("kind").type == pa.string()
    for name in ("price", "when", "small", "box"):
        assert found.carried.field(name).type == pa.array(columns[name]).type
        values = [row.passthrough.get(name) for row in found.rows]
        assert decode(values, found.carried.field(name).type).equals(pa.array(columns[name]))


def test_an_item_is_the_same_from_parquet_as_from_jsonl(desk):
    rows = [
        {"id": "a", "image": "a.jpg", "prompt": "p", "params": {"max_tokens": 5}, "label": 3},
        {"id": "b", "image": "b.jpg", "prompt": None, "params": {"detail": "low"}, "label": 4},
    ]
    table = desk.read(desk.table(pa.Table.from_pylist(rows)), prompt="{{ label }}")
    lines = desk.read(desk.lines(*rows), prompt="{{ label }}")
    assert [row.row_digest for row in table.rows] == [row.row_digest for row in lines.rows]
    assert [row.prompt for row in table.rows] == ["p", "4"]
    assert [row.params for row in table.rows] == [{"max_tokens": 5}, {"detail": "low"}]


def test_embedded_images_are_items_under_their_paths(desk):
    found = desk.read(desk.table({"image": _pictures((b"1", "a.png"), (b"2", "b.png"))}))
    assert found.ids == ["a.png", "b.png"]
    assert found.row.images == (ImageSource(kind="bytes", data=b"1"),)
    assert found.row.given == {"image": {"path": "a.png"}}
    assert found.given.field("image").type == pa.struct([("path", pa.string())])
    assert found.row.passthrough == {}


def test_a_path_that_two_embedded_images_share_is_no_id(desk):
    found = desk.read(
        desk.table({"image": _pictures((b"1", "x"), (b"2", "x"), (b"3", "y"), (b"1", "x"))})
    )
    assert [row.images[0].data for row in found.rows] == [b"1", b"2", b"3"]
    assert [identifier[:4] for identifier in found.ids] == ["row-", "row-", "y"]
    assert (found.scan.rows, found.scan.repeated) == (4, 1)


def test_a_path_that_another_row_bears_as_id_is_no_id(desk):
    table = {"id": ["x", None], "image": _pictures((b"1", "p"), (b"2", "x"))}
    found = desk.read(desk.table(table))
    assert found.ids[0] == "x"
    assert found.ids[1].startswith("row-")


def test_a_struct_whose_bytes_are_null_is_a_path(desk):
    found = desk.read(desk.table({"image": _pictures((None, "a.png"), (None, None), None)}))
    assert found.row.images == (ImageSource(kind="path", ref="a.png"),)
    assert [type(row) for row in found.rows[1:]] == [BadRow, BadRow]
    assert "no image" in found.rows[1].message


def test_a_binary_column_holds_embedded_images(desk):
    found = desk.read(desk.table({"image": pa.array([b"1", b"2"], pa.binary())}))
    assert found.row.images == (ImageSource(kind="bytes", data=b"1"),)
    assert found.row.given == {}
    assert found.given.field("image").type == pa.string()
    assert all(identifier.startswith("row-") for identifier in found.ids)


def test_lists_of_images_keep_their_order(desk):
    lists = pa.array(
        [[{"bytes": b"1", "path": "a"}, {"bytes": None, "path": "b"}]], pa.list_(_IMAGE)
    )
    found = desk.read(desk.table({"id": ["i"], "images": lists}))
    assert [image.kind for image in found.row.images] == ["bytes", "path"]
    assert found.row.given == {"images": [{"path": "a"}, {"path": "b"}]}


def test_other_columns_of_pictures_are_not_carried(desk):
    found = desk.read(
        desk.table({"id": ["a"], "image": ["a"], "mask": _pictures((b"1", "m")), "hash": [b"\0"]})
    )
    assert found.row.passthrough == {"hash": "AA=="}
    assert found.carried.names == ["hash"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_rows_come_in_order_from_files_of_any_row_group_size(desk, size):
    ids = [f"r{n}" for n in range(10)]
    found = desk.read(desk.table({"id": ids, "image": ids}, row_group_size=size))
    assert found.ids == ids
    assert [row.row for row in found.rows] == list(range(10))


def test_rows_without_an_id_among_others_get_one_from_their_content(desk):
    found = desk.read(desk.table({"id": ["a", None, ""], "image": ["1", "2", "3"]}))
    assert found.ids[0] == "a"
    assert found.ids[1] == f"row-{found.rows[1].row_digest}"
    assert isinstance(found.rows[2], BadRow)


def test_ids_of_other_types_make_bad_rows(desk):
    found = desk.read(desk.table({"id": [1.5, 2.0], "image": ["a", "b"]}))
    assert [type(row) for row in found.rows] == [BadRow, BadRow]


def test_text_that_is_not_utf_8_makes_a_bad_row(desk):
    broken = pa.Array.from_buffers(
        pa.string(),
        2,
        [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xffa")],
    )
    found = desk.read(desk.table({"id": ["a", "b"], "image": ["a", "b"], "t": broken}))
    assert found.ids == ["a", "b"]
    assert "column 't' is not UTF-8" in found.row.message
    assert found.rows[1].passthrough == {"t": "a"}


def test_an_empty_table_has_no_rows_but_its_columns(desk):
    schema = pa.schema([("id", pa.string()), ("image", pa.string()), ("n", pa.int32())])
    found = desk.read(desk.table(schema.empty_table()))
    assert (found.scan.rows, found.rows) == (0, [])
    assert found.carried == pa.schema([("n", pa.int32())])
    assert desk.read(desk.table(pa.table({}))).scan.rows == 0


def test_without_an_image_column_the_line_to_write_is_suggested(desk):
    path = desk.table({"id": ["a"], "caption": ["c"], "jpg": pa.array([b"1"])})
    with pytest.raises(ManifestError, match='image = "jpg"'):
        desk.read(path)
    path = desk.table({"id": ["a"], "caption": ["c"], "scene": _pictures((b"1", "a"))})
    with pytest.raises(ManifestError, match='image = "scene"'):
        desk.read(path)


@pytest.mark.parametrize("cut", [0, 3, 40, -9])
def test_a_file_that_is_cut_short_is_refused_by_name(desk, cut):
    path = desk.table({"id": ["a"], "image": ["a"]})
    os.truncate(path, cut if cut >= 0 else Path(path).stat().st_size + cut)
    with pytest.raises(ManifestError, match=r"m\.parquet: cannot be read"):
        desk.read(path)


def test_a_column_that_cannot_be_read_is_refused_by_name(desk):
    path = desk.table({"id": [f"{n}" * 40 for n in range(99)], "image": ["a"] * 99})
    data = bytearray(Path(path).read_bytes())
    data[4:400] = b"\xff" * 396
    desk.raw("m.parquet", bytes(data))
    with pytest.raises(ManifestError, match=r"m\.parquet: cannot be read"):
        desk.read(path)


def test_a_file_that_changed_since_the_scan_stops_the_run(desk):
    path = desk.table({"id": ["a", "b"], "image": ["a", "b"]})
    manifest = desk.manifest(path)
    scan = manifest.scan()
    desk.table({"id": ["a", "b", "c"], "image": ["a", "b", "c"], "more": [1, 2, 3]})
    with pytest.raises(ManifestError, match="changed"):
        list(manifest.rows(scan))


def test_a_file_that_is_gone_stops_the_run(desk):
    path = desk.table({"id": ["a"], "image": ["a"]})
    manifest = desk.manifest(path)
    scan = manifest.scan()
    Path(path).unlink()
    with pytest.raises(ManifestError, match="No such file"):
        list(manifest.rows(scan))


def test_several_files_keep_the_first_ones_columns(desk):
    paths = [
        desk.table({**_named("a"), "n": [1], "s": ["x"], "z": pa.nulls(1)}, "1.parquet"),
        desk.table({**_named("b"), "n": [1.5], "z": [7]}, "2.parquet"),
        desk.table({**_named("c"), "n": pa.array([3], pa.int8()), "t": [True]}, "3.parquet"),
    ]
    found = desk.read(*paths)
    assert found.carried == pa.schema([("n", pa.int64()), ("s", pa.string()), ("z", pa.int64())])
    assert [row.passthrough for row in found.rows] == [{"n": 1, "s": "x"}, {"z": 7}, {"n": 3}]
    assert [row.extra and orjson.loads(row.extra) for row in found.rows] == [
        None,
        {"n": 1.5},
        {"t": True},
    ]


def test_files_may_name_their_images_differently(desk):
    one = desk.table({"id": ["a"], "image": ["a.jpg"]}, "1.parquet")
    two = desk.table({"id": ["b"], "url": pa.array([b"bytes"])}, "2.parquet")
    found = desk.read(one, two)
    assert found.rows[1].images == (ImageSource(kind="bytes", data=b"bytes"),)
    assert found.rows[1].passthrough == {}


def test_folders_of_a_dataset_give_columns(desk):
    for year, split in ((2023, "train"), (2024, "__HIVE_DEFAULT_PARTITION__")):
        name = f"data/year={year}/split={split}/p.parquet"
        desk.table({"id": [f"i{year}"], "image": ["a"]}, name)
    for paths in ([f"{desk.folder}/data"], [f"{desk.folder}/data/*/*/*.parquet"]):
        found = desk.read(*paths)
        assert found.carried == pa.schema([("year", pa.int64()), ("split", pa.string())])
        assert [row.passthrough for row in found.rows] == [
            {"year": 2023, "split": "train"},
            {"year": 2024},
        ]


def test_rows_that_are_done_are_passed_over(desk):
    ids = [f"r{n}" for n in range(10)]
    manifest = desk.manifest(desk.table({"id": ids, "image": ids}, row_group_size=4))
    done = bytes([1, 1, 1, 1, 1, 0, 1, 1, 1, 0])
    rows = list(manifest.rows(manifest.scan(), done=done))
    assert [(row.row, row.id) for row in rows] == [(5, "r5"), (9, "r9")]


def test_params_may_be_json_text_or_a_struct(desk):
    text = desk.read(desk.table({"id": ["a"], "image": ["a"], "params": ['{"max_tokens": 5}']}))
    struct = desk.table(
        {"id": ["a"], "image": ["a"], "params": [{"max_tokens": 5.0, "x": {"y": None}}]}
    )
    assert text.row.params == {"max_tokens": 5}
    assert desk.read(struct).row.params == {"max_tokens": 5, "x": {}}


def test_http_images_are_counted(desk):
    urls = ["https://a", "HTTP://b", "c.jpg", None, "s3://d"]
    strings = desk.read(desk.table({"id": list("abcde"), "image": urls}))
    structs = desk.table(
        {"id": list("abcde"), "image": [{"url": url, "detail": "low"} for url in urls]}
    )
    lists = desk.table({"id": list("abcde"), "images": [[url] for url in urls]}, "l.parquet")
    assert strings.scan.remote_images == 2
    assert desk.read(structs).scan.remote_images == 2
    assert desk.read(lists).scan.remote_images == 2


def test_embedded_images_are_read_in_batches_of_some_megabytes(desk):
    big = os.urandom(1 << 20)
    pictures = _pictures(*((big, f"{n}") for n in range(30)))
    paged = {"use_dictionary": False, "write_batch_size": 1}
    manifest = desk.manifest(desk.table({"image": pictures}, row_group_size=30, **paged))
    scan = manifest.scan()
    before = pa.total_allocated_bytes()
    for row in manifest.rows(scan):
        assert isinstance(row, Item)
        assert pa.total_allocated_bytes() - before < 12 << 20


@given(st.binary(max_size=300), st.booleans())
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_arbitrary_bytes_give_our_own_error(desk, data, framed):
    path = desk.raw("any.parquet", b"PAR1" + data + b"PAR1" if framed else data)
    with pytest.raises(ManifestError):
        desk.read(path)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_file_with_some_bytes_changed_gives_rows_or_our_own_error(desk, changes):
    good = desk.table({"id": ["a", "b"], "image": ["a", "b"], "n": [1, 2]}, "good.parquet")
    data = bytearray(Path(good).read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    try:
        found = desk.read(desk.raw("any.parquet", bytes(data)))
    except ManifestError:
        return
    assert len(found.rows) + found.scan.repeated == found.scan.rows


def test_a_parquet_file_written_by_its_reader_keeps_order_of_carried_columns(desk):
    path = desk.table({"z": [1], "image": ["a"], "id": ["a"], "b": [2]})
    assert pq.read_schema(path).names == ["z", "image", "id", "b"]
    assert desk.read(path).carried.names == ["z", "b"]
