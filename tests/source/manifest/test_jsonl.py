import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vbatch.errors import ManifestError
from vbatch.records import BadRow, ImageSource, Item


def _line(n, **more):
    return {"id": f"r{n}", "image": f"{n}.jpg", **more}


def test_a_row_becomes_an_item(desk):
    path = desk.lines(
        {
            "id": "a",
            "image": "x/y.jpg",
            "prompt": "Mine {{ literally }}",
            "system": "Be brief.",
            "params": {"max_tokens": 5, "temperature": None},
            "label": 3,
        }
    )
    assert desk.read(path).rows == [
        Item(
            id="a",
            row=0,
            images=(ImageSource(kind="path", ref="x/y.jpg"),),
            prompt="Mine {{ literally }}",
            system="Be brief.",
            params={"max_tokens": 5},
            passthrough={"label": 3},
            given={
                "image": "x/y.jpg",
                "prompt": "Mine {{ literally }}",
                "system": "Be brief.",
                "params": '{"max_tokens":5,"temperature":null}',
            },
            row_digest=desk.read(path).row.row_digest,
            file=path,
            line=1,
        )
    ]


@pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson", "M.JSONL", "m.jsonl.gz", "m.ndjson.zst"])
def test_plain_and_compressed_lines_read_alike(desk, name):
    found = desk.read(desk.lines(*[_line(n) for n in range(3)], name=name))
    assert found.ids == ["r0", "r1", "r2"]
    assert found.scan.rows == 3
    assert found.scan.files[0].rows == 3


def test_gzip_in_several_members_is_read_to_its_end(desk):
    data = gzip.compress(b'{"id":"a","image":"a"}\n') + gzip.compress(b'{"id":"b","image":"b"}\n')
    assert desk.read(desk.raw("m.jsonl.gz", data)).ids == ["a", "b"]


@pytest.mark.parametrize("name", ["m.jsonl.gz", "m.jsonl.zst"])
def test_a_compressed_file_that_is_cut_short_is_refused_by_name(desk, name):
    path = desk.lines(*[_line(n) for n in range(500)], name=name)
    os.truncate(path, Path(path).stat().st_size - 5)
    with pytest.raises(ManifestError, match=f"{name}: cannot be read"):
        desk.read(path)


def test_blank_lines_bom_and_crlf_are_fine_and_lines_still_count(desk):
    data = b'\xef\xbb\xbf{"id":"a","image":"a"}\r\n\r\n  \n{"id":"b","image":"b"}'
    rows = desk.read(desk.raw("m.jsonl", data)).rows
    assert [(row.id, row.row, row.line) for row in rows] == [("a", 0, 1), ("b", 1, 4)]


def test_a_file_of_nothing_but_a_bom_and_blank_lines_has_no_rows(desk):
    assert desk.read(desk.raw("m.jsonl", b"\xef\xbb\xbf\r\n\n")).scan.rows == 0


@pytest.mark.parametrize("name", ["m.jsonl", "m.jsonl.gz", "m.jsonl.zst"])
def test_an_empty_file_has_no_rows_and_whole_schemas(desk, name):
    found = desk.read(desk.raw(name, b""))
    assert (found.scan.rows, found.rows) == (0, [])
    assert found.carried.names == []
    assert found.given.names == ["image", "prompt", "system", "params"]


_BAD_LINES = [
    (b"nonsense", "not valid JSON"),
    (b'{"id":"z","image":"a"', "not valid JSON"),
    (b"[1]", "must be an object, not a list"),
    (b"3", "must be an object, not a number"),
    (b"null", "must be an object, not null"),
    (b'{"image":"a","x":NaN}', "not valid JSON"),
    (b'{"image":"\xff"}', "not valid JSON"),
    (b'{"image":"\\ud800"}', "not valid JSON"),
    (b"[" * 2000 + b"]" * 2000, "not valid JSON"),
]


@pytest.mark.parametrize(("line", "message"), _BAD_LINES)
def test_a_line_that_is_no_row_is_a_bad_row_with_its_place(desk, line, message):
    path = desk.raw("m.jsonl", b'{"id":"a","image":"a"}\n' + line + b'\r\n{"id":"b","image":"b"}')
    found = desk.read(path)
    bad = found.rows[1]
    assert isinstance(bad, BadRow)
    assert (bad.row, bad.file, bad.line) == (1, path, 2)
    assert message in bad.message
    assert bad.id == f"bad-{bad.row_digest}"
    assert (bad.given, bad.passthrough) == ({}, {})
    assert found.ids[::2] == ["a", "b"]


def test_the_id_of_a_bad_line_does_not_depend_on_its_line_end(desk):
    one = desk.read(desk.raw("1.jsonl", b"oops")).ids
    two = desk.read(desk.raw("2.jsonl", b"oops\r\n")).ids
    assert one == two


def test_the_same_bad_line_twice_fails_once(desk):
    found = desk.read(desk.raw("m.jsonl", b"oops\noops\n"))
    assert (found.scan.rows, found.scan.repeated, len(found.rows)) == (2, 1, 1)


@pytest.mark.parametrize("name", ["m.jsonl", "m.jsonl.gz"])
def test_a_line_over_16_mib_is_skipped_and_the_rest_is_read(desk, name):
    long = b'{"id":"long","image":"' + b"x" * (17 << 20) + b'"}\n'
    data = b'{"id":"a","image":"a"}\n' + long + b'{"id":"b","image":"b"}\n' + long
    found = desk.read(desk.raw(name, gzip.compress(data, 1) if name.endswith("gz") else data))
    assert [row.line for row in found.rows] == [1, 2, 3]
    assert "longer than 16 MiB" in found.rows[1].message
    assert found.scan.repeated == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": 5}, "image must be a path, a URL or an object"),
        ({"image": None}, "no image"),
        ({"image": ""}, "no image"),
        ({"image": "a", "prompt": 5}, "prompt must be text, not a number"),
        ({"image": "a", "system": []}, "system must be text, not a list"),
        ({"image": "a", "params": 5}, "params must be an object, not a number"),
        ({"image": "a", "params": "{"}, "params must be an object or its JSON text"),
        ({"image": "a", "params": {"max_tokens": 0}}, "params.max_tokens"),
        ({"image": "a", "params": {"max_tokens": True}}, "params.max_tokens"),
        ({"image": "a", "params": {"temperature": "hot"}}, "params.temperature"),
        ({"image": "a", "params": {"model": ""}}, "params.model"),
        ({"image": "a", "params": {"detail": "huge"}}, "params.detail must be low, high or auto"),
        ({"image": "a", "prompt": "  "}, "the prompt is empty"),
        ({"images": "a"}, "images must be a list, not text"),
        ({"images": []}, "no image"),
    ],
)
def test_wrong_types_make_a_bad_row_under_the_rows_own_id(desk, fields, message):
    found = desk.read(desk.lines({"id": "ok", "image": "a"}, {"id": 7, **fields}))
    bad = found.rows[1]
    assert isinstance(bad, BadRow)
    assert bad.id == "7"
    assert message in bad.message


@pytest.mark.parametrize("value", [2.5, True, "", [], {}])
def test_an_id_that_is_neither_text_nor_integer_makes_a_bad_row(desk, value):
    bad = desk.read(desk.lines({"id": value, "image": "a", "label": 1})).row
    assert isinstance(bad, BadRow)
    assert bad.id.startswith("bad-")
    assert "id must be text or an integer" in bad.message
    assert bad.passthrough == {"label": 1}
    assert bad.given == {"image": "a"}


def test_a_value_nested_too_deeply_to_be_written_makes_a_bad_row(desk):
    deep = "[" * 1000 + "]" * 1000
    path = desk.lines(
        '{"id":"a","image":"a","x":' + deep + "}",
        '{"id":"b","image":"a","params":{"x":' + deep + "}}",
        '{"id":"c","images":' + deep + "}",
        '{"custom_id":"d","body":{"x":' + deep + "}}",
        '{"image":"a","params":{"detail":' + deep + "}}",
    )
    assert [type(row) for row in desk.read(path).rows] == [BadRow] * 5


LONG = (2**64 + 1, -(2**63) - 1, 10**400)


@pytest.mark.parametrize("number", LONG)
def test_an_integer_beyond_64_bits_is_an_id_by_its_digits(desk, number):
    one, other = (f'{{"id":{number},"image":"a.jpg","label":{n}}}' for n in (1, 2))
    found = desk.read(desk.lines(one, other))
    assert found.ids == [str(number)]
    assert (found.scan.rows, found.scan.repeated) == (2, 1)


@pytest.mark.parametrize("number", LONG)
def test_an_integer_beyond_64_bits_is_carried_with_all_its_digits(desk, number):
    found = desk.read(desk.lines(_line(1, big=1), _line(2, big=number)))
    assert found.carried.field("big").type == pa.string()
    assert [row.passthrough for row in found.rows] == [{"big": "1"}, {"big": str(number)}]


@pytest.mark.parametrize("number", LONG)
def test_an_integer_beyond_64_bits_that_comes_too_late_stands_in_extra(desk, number):
    kept = desk.read(desk.lines(_line(1, big=1, tree={"m": 1.5}))).scan
    late = desk.lines(_line(1, big=number, tree={"m": number}))
    row = desk.read(late, kept=(kept.carried_schema, kept.given_schema)).row
    assert row.passthrough == {}
    assert row.extra == f'{{"big":{number},"tree":{{"m":{number}}}}}'


def test_an_integer_beyond_64_bits_is_asked_for_as_it_stands(desk):
    path = desk.lines(_line(1, params={"seed": 2**70}, big=2**70))
    row = desk.read(path, prompt="Number {{ big }}.").row
    assert row.params == {"seed": 2**70}
    assert row.prompt == f"Number {2**70}."
    assert row.given["params"] == f'{{"seed":{2**70}}}'
    other = desk.lines(_line(1, params={"seed": 2**70 + 1}, big=2**70), name="other.jsonl")
    assert desk.read(other, prompt="Number {{ big }}.").row.row_digest != row.row_digest


def test_no_prompt_anywhere_makes_bad_rows(desk):
    found = desk.read(desk.lines(_line(1), _line(2, prompt="p")), prompt=None)
    assert "no prompt" in found.rows[0].message
    assert found.rows[1].prompt == "p"


def test_integers_and_their_text_are_one_id(desk):
    found = desk.read(desk.lines({"id": 7, "image": "a"}, {"id": "7", "image": "a"}))
    assert (found.ids, found.scan.rows, found.scan.repeated) == (["7"], 2, 1)


def test_custom_id_serves_as_id(desk):
    found = desk.read(desk.lines({"custom_id": "c", "image": "a"}))
    assert found.ids == ["c"]
    assert found.row.passthrough == {}


def test_custom_id_is_carried_where_there_is_an_id(desk):
    found = desk.read(desk.lines({"id": "i", "custom_id": "c", "image": "a"}))
    assert found.ids == ["i"]
    assert found.row.passthrough == {"custom_id": "c"}


_PIECES = [b"{", b"}", b'"id"', b":", b"1", b",", b'"image"', b"\n", b"[", b"]", b"null", b"{}"]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst"])
@given(st.binary(max_size=200) | st.lists(st.sampled_from(_PIECES), max_size=30).map(b"".join))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_arbitrary_bytes_give_rows_or_our_own_error(desk, ending, data):
    path = desk.raw(f"any.{ending}", data)
    try:
        found = desk.read(path)
    except ManifestError:
        return
    assert len(found.rows) + found.scan.repeated == found.scan.rows
