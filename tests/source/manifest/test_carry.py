import orjson
import pyarrow as pa


def _line(n, **more):
    return {"id": f"r{n}", "image": f"{n}.jpg", **more}


def test_types_are_settled_on_the_first_ten_thousand_rows_and_misfits_go_to_extra(desk):
    rows = [_line(n, score=n) for n in range(10_000)]
    late = [
        _line(10_000, score="high"),
        _line(10_001, score=1.5, fresh={"a": [1]}),
        _line(10_002, score=5),
    ]
    found = desk.read(desk.lines(*rows, *late))
    assert found.carried == pa.schema([("score", pa.int64())])
    assert [row.passthrough for row in found.rows[-3:]] == [{}, {}, {"score": 5}]
    assert [row.extra and orjson.loads(row.extra) for row in found.rows[-3:]] == [
        {"score": "high"},
        {"score": 1.5, "fresh": {"a": [1]}},
        None,
    ]


def test_types_are_those_the_run_began_with_when_it_goes_on(desk):
    first = desk.read(desk.lines(_line(1, score=1)))
    kept = (first.scan.carried_schema, first.scan.given_schema)
    found = desk.read(desk.lines(_line(1, score=1.5, fresh="x")), kept=kept)
    assert found.scan.carried_schema == first.scan.carried_schema
    assert orjson.loads(found.row.extra) == {"score": 1.5, "fresh": "x"}


def test_types_hold_objects_lists_and_mixed_kinds(desk):
    found = desk.read(
        desk.lines(
            _line(1, box={"x": 1}, tags=["a"], odd=1, size=1, word="w", gone=None),
            _line(2, box={"y": 2.5}, tags=[], odd=[2], size=0.5, word=3),
        )
    )
    assert found.carried.field("box").type == pa.struct([("x", pa.int64()), ("y", pa.float64())])
    assert found.carried.field("gone").type == pa.string()
    assert [row.passthrough for row in found.rows] == [
        {"box": {"x": 1}, "tags": ["a"], "odd": "1", "size": 1.0, "word": "w"},
        {"box": {"y": 2.5}, "tags": [], "odd": "[2]", "size": 0.5, "word": "3"},
    ]


def test_columns_with_our_names_are_carried_under_in_name(desk):
    found = desk.read(desk.lines(_line(1, text="t", model="m", extra="e", in_text="i")))
    assert found.row.passthrough == {
        "in_in_text": "t",
        "in_model": "m",
        "in_extra": "e",
        "in_text": "i",
    }
    assert found.scan.renamed == {
        "in_in_text": "text",
        "in_model": "model",
        "in_extra": "extra",
    }


def test_types_are_settled_for_a_thousand_columns_and_the_others_go_to_extra(desk):
    found = desk.read(desk.lines(_line(1, **{f"c{n}": n for n in range(1100)})))
    assert len(found.carried) == 1000
    assert len(orjson.loads(found.row.extra)) == 100
