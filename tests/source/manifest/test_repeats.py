import pytest

from vbatch.errors import ManifestError


def test_rows_that_ask_the_same_under_one_id_are_asked_once(desk):
    row = {"id": "a", "image": "a.jpg", "prompt": "p"}
    found = desk.read(desk.lines(row, {**row, "label": 2}, {**row, "image": {"path": "a.jpg"}}))
    assert (found.ids, found.scan.rows, found.scan.repeated) == (["a"], 3, 2)
    assert found.row.row == 0


def test_rows_without_ids_that_ask_the_same_are_asked_once(desk):
    found = desk.read(desk.lines({"image": "a"}, {"image": "b"}, {"images": ["a"]}))
    assert [row.row for row in found.rows] == [0, 1]
    assert found.scan.repeated == 1


def test_rows_with_one_id_and_other_content_stop_it_with_their_places(desk):
    path = desk.lines(
        {"id": "a", "image": "1"}, {"id": "b", "image": "2"}, {"id": "a", "image": "3"}
    )
    with pytest.raises(ManifestError) as caught:
        desk.manifest(path).scan()
    assert f"'a': {path}:1 and {path}:3" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_bad_row_with_another_rows_id_stops_it(desk):
    with pytest.raises(ManifestError, match="1 rows have the id of another row"):
        desk.manifest(desk.lines({"id": "a", "image": "1"}, {"id": "a", "image": 5})).scan()


def test_only_ten_are_listed(desk):
    rows = [{"id": n % 15, "image": f"{n}"} for n in range(30)]
    with pytest.raises(ManifestError) as caught:
        desk.manifest(desk.lines(*rows)).scan()
    assert str(caught.value).count(" and ") == 11
    assert "15 rows have the id" in str(caught.value)
    assert "and 5 more" in str(caught.value)


def test_ids_are_compared_over_all_files_of_all_kinds(desk):
    lines = desk.lines({"id": 1, "image": "a"}, {"id": 2, "image": "b"})
    table = desk.table({"id": ["2", "3"], "image": ["b", "c"]})
    found = desk.read(lines, table)
    assert (found.ids, found.scan.repeated) == (["1", "2", "3"], 1)
    other = desk.table({"id": ["2"], "image": ["x"]}, "other.parquet")
    with pytest.raises(ManifestError, match=r"'2': .*m\.jsonl:2 and .*other\.parquet row 2"):
        desk.manifest(lines, other).scan()


def test_a_repeated_row_is_left_out_with_rows_that_are_done(desk):
    rows = [{"id": n % 3, "image": f"{n % 3}"} for n in range(6)]
    manifest = desk.manifest(desk.lines(*rows))
    scan = manifest.scan()
    assert [row.row for row in manifest.rows(scan, done=b"\1\0\0\0\0\0")] == [1, 2]


def test_rows_wants_the_scan_that_was_made(desk):
    path = desk.lines({"id": 1, "image": "a"})
    scan = desk.manifest(path).scan()
    with pytest.raises(ValueError, match="wants the scan"):
        next(desk.manifest(path).rows(scan))


@pytest.mark.parametrize(
    "same",
    [
        {"image": {"path": "x.jpg"}},
        {"images": ["x.jpg"]},
        {"image": "x.jpg", "params": {}},
        {"image": "x.jpg", "prompt": None, "images": None},
        {"image": "x.jpg", "id": None, "carried": 7},
    ],
)
@pytest.mark.parametrize("prompt", ["Describe.", "Describe {{ carried }}."])
def test_rows_without_ids_that_ask_the_same_are_found_however_they_say_it(desk, same, prompt):
    rows = [{"image": "y.jpg", "carried": 7}, {"image": "x.jpg", "carried": 7}]
    found = desk.read(desk.lines(*rows, {"carried": 7, **same}), prompt=prompt)
    assert (found.scan.rows, found.scan.repeated) == (3, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"image": "x.jpg", "prompt": "p"},
        {"image": "x.jpg", "system": "s"},
        {"image": "x.jpg", "params": {"temperature": 1}},
        {"image": {"path": "x.jpg", "detail": "low"}},
        {"images": ["x.jpg", "x.jpg"]},
    ],
)
def test_rows_without_ids_that_ask_something_else_are_all_asked(desk, other):
    found = desk.read(desk.lines({"image": "x.jpg"}, other))
    assert (found.scan.repeated, len(set(found.ids))) == (0, 2)


@pytest.mark.parametrize("form", ["lines", "table"])
def test_an_id_that_another_row_would_be_given_is_compared(desk, form):
    """A failures table names rows by the ids that vbatch gave them."""
    given = desk.read(desk.lines({"image": "x.jpg"})).ids[0]
    rows = [{"id": given, "image": "x.jpg"}, {"id": None, "image": "x.jpg"}]
    if form == "table":
        path = desk.table({name: [row[name] for row in rows] for name in ("id", "image")})
    else:
        path = desk.lines(*rows)
    found = desk.read(path)
    assert (found.ids, found.scan.repeated) == ([given], 1)
    with pytest.raises(ManifestError, match="have the id of another row"):
        desk.read(desk.lines({"id": given, "image": "z.jpg"}, {"image": "x.jpg"}))


@pytest.mark.parametrize("prompt", ["Describe.", "Describe {{ n }}."])
def test_a_table_without_ids_is_told_apart_by_what_its_rows_ask(desk, prompt):
    columns = {"image": ["x", "y", "x", None, "x"], "n": [1, 1, 1, 1, 2], "prompt": [None] * 5}
    found = desk.read(desk.table(columns), prompt=prompt)
    assert found.scan.repeated == (1 if "n" in prompt else 2)
