"""Failures given back as a manifest: the rows that failed, as they were."""

import orjson
import pyarrow as pa
import pytest

from vbatch.columns import decode


def _failures(found, **options):
    """A failures table as a run writes it, of all rows of a manifest."""
    rows = found.rows
    ours = {
        "id": [row.id for row in rows],
        "row": [row.row for row in rows],
        "code": ["timeout"] * len(rows),
        "line": [row.line for row in rows],
    }
    fields = [pa.field(name, pa.array(values).type) for name, values in ours.items()]
    columns = [pa.array(values) for values in ours.values()]
    for schema, part in ((found.given, "given"), (found.carried, "passthrough")):
        for field in schema:
            values = [getattr(row, part).get(field.name) for row in rows]
            columns.append(decode(values, field.type))
            fields.append(field)
    columns.append(pa.array([row.extra for row in rows], pa.string()))
    fields.append(pa.field("extra", pa.string()))
    about = {"table": "failures", "format_version": 1, "renamed": dict(found.scan.renamed)}
    metadata = {b"vbatch": orjson.dumps({**about, **options})}
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=metadata))


def _again(desk, found, **options):
    desk.table(_failures(found), "failures/part-000001.parquet")
    return desk.read(f"{desk.folder}/failures", **options)


def _asks(found):
    return [
        (row.id, row.images, row.prompt, row.system, row.params, row.body, row.row_digest)
        for row in found.rows
    ]


_HI = {"messages": [{"role": "user", "content": "hi"}]}
_OWN = {"columns": {"id": "key", "image": "photo", "prompt": "q"}, "system": "{{ id }}{{ photo }}"}
_MANY = [{"id": n, "image": "x", "n": n} for n in range(10_000)]


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ([{"id": "a", "image": "x.jpg", "prompt": "p", "params": {"max_tokens": 5}}], {}),
        ([{"id": 7, "images": ["x", {"url": "https://y", "detail": "low"}], "system": "s"}], {}),
        (
            [{"id": 7, "images": ["x", "y"], "text": "t", "line": 3}],
            {"prompt": "{{ text }}{{ line }}"},
        ),
        ([{"image": "x"}, {"image": {"path": "y", "detail": "high"}}], {}),
        ([{"id": 1, "image_url": "https://x", "image_path": None}], {}),
        (
            [{"id": 1, "image": "x", "odd": 1}, {"id": 2, "image": "y", "odd": [2]}],
            {"prompt": "{{ odd }}"},
        ),
        (
            [{"id": 1, "image": "x", "a": {"b": [{"c": 1}, {"c": [2]}]}}],
            {"prompt": "{{ a.b[1].c }}"},
        ),
        ([{"key": 1, "photo": "x", "q": "own", "id": 5}], _OWN),
        (
            [{"id": 1, "image": "x", "prompt": "theirs"}],
            {"columns": {"prompt": False}, "prompt": "{{ prompt }}"},
        ),
        ([{"custom_id": "c", "body": _HI, "url": "/v1"}], {}),
        ([*_MANY, {"id": "z", "image": {"path": "p"}, "n": "late"}], {"prompt": "{{ n }}"}),
    ],
)
def test_rows_ask_the_same_as_before(desk, rows, options):
    found = desk.read(desk.lines(*rows), **options)
    again = _again(desk, found, **options)
    assert _asks(again) == _asks(found)
    assert [row.passthrough for row in again.rows] == [row.passthrough for row in found.rows]
    assert [row.extra for row in again.rows] == [row.extra for row in found.rows]
    third = _again(desk, again, **options)
    assert _asks(third) == _asks(found)


def test_our_own_columns_are_dropped(desk):
    again = _again(desk, desk.read(desk.lines({"id": "a", "image": "x", "label": 3})))
    assert again.row.passthrough == {"label": 3}
    assert again.carried.names == ["label"]


def test_names_are_given_back_by_their_fields_where_the_table_does_not_say(desk):
    found = desk.read(desk.lines({"id": "a", "image": "x", "text": "t"}))
    desk.table(_failures(found, renamed=None), "failures/part-000001.parquet")
    again = desk.read(f"{desk.folder}/failures", prompt="{{ text }}")
    assert again.row.prompt == "t"


def test_any_other_table_keeps_all_its_columns(desk):
    table = _failures(desk.read(desk.lines({"id": "a", "image": "x"})))
    plain = {b"vbatch": b"not json", b"other": b"x"}
    again = desk.read(desk.table(table.replace_schema_metadata(plain)))
    assert {"in_code", "in_row", "in_line"} <= set(again.carried.names)
    other = {b"vbatch": orjson.dumps({"table": "results"})}
    again = desk.read(desk.table(table.replace_schema_metadata(other)))
    assert "in_code" in again.carried.names


def test_text_that_only_looks_like_ours_is_kept(desk):
    field = pa.field("odd", pa.string(), metadata={b"vbatch.as": b"json"})
    schema = pa.schema([("id", pa.string()), ("image", pa.string()), field])
    table = pa.Table.from_arrays([["a"], ["x"], ["{not json"]], schema=schema)
    assert desk.read(desk.table(table)).row.passthrough == {"odd": '"{not json"'}


@pytest.mark.parametrize("extra", ["{oops", "[1]"])
def test_an_extra_that_is_none_of_ours_is_passed_over(desk, extra):
    table = _failures(desk.read(desk.lines({"id": "a", "image": "x"})))
    place = table.schema.get_field_index("extra")
    desk.table(table.set_column(place, "extra", [[extra]]), "failures/part-000001.parquet")
    assert desk.read(f"{desk.folder}/failures").ids == ["a"]


def test_a_bad_row_with_text_nested_too_deeply_has_an_id_all_the_same(desk):
    field = pa.field("odd", pa.string(), metadata={b"vbatch.as": b"json"})
    schema = pa.schema([("image", pa.string()), field])
    deep = "[" * 500 + "]" * 500
    table = pa.Table.from_arrays([[None, "x"], [deep, "1"]], schema=schema)
    found = desk.read(desk.table(table))
    assert [row.id[:4] for row in found.rows] == ["bad-", "row-"]
