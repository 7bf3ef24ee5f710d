import os

import pytest

from tests.conftest import as_nobody
from vbatch.errors import ManifestError
from vbatch.source.manifest.imagefolder import image_files
from vbatch.source.manifest.paths import find_parts, root_of


def _found(*paths):
    return [(part.kind, part.path) for part in find_parts(paths)]


def test_files_patterns_folders_and_lists_of_them_are_manifests(desk):
    one = desk.lines(name="d/b.jsonl")
    two = desk.lines(name="d/sub/a.ndjson.gz")
    three = desk.table({}, "d/c.parquet")
    hidden = [desk.lines(name=name) for name in ("d/.x.jsonl", "d/_tmp/y.jsonl")]
    assert _found(one, three) == [("lines", one), ("table", three)]
    assert _found(f"{desk.folder}/d") == [("lines", one), ("table", three), ("lines", two)]
    assert _found(f"{desk.folder}/d/*.jsonl") == [("lines", one)]
    assert _found(f"{desk.folder}/**/*.ndjson.gz") == [("lines", two)]
    assert _found(f"{desk.folder}/d/[c].parquet") == [("table", three)]
    assert _found(f"{desk.folder}/*") == _found(f"{desk.folder}/d")
    assert _found(hidden[0]) == [("lines", hidden[0])]


def test_a_file_named_twice_is_read_once(desk):
    path = desk.lines(name="d/b.jsonl")
    link = desk.path("link.jsonl")
    link.symlink_to(path)
    assert _found(path, f"{desk.folder}/d", f"{desk.folder}/d/*", str(link)) == [("lines", path)]


def test_a_file_with_wildcards_in_its_name_is_found(desk):
    path = desk.lines(name="a[1]/m[2].jsonl")
    assert _found(path) == [("lines", path)]
    assert root_of([path]) == desk.folder / "a[1]"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nosuch.jsonl", "there is no such file or folder"),
        ("*.nosuch", "nothing matches this pattern"),
        ("table.csv", r"a manifest is \.jsonl"),
        ("*.csv", r"a manifest is \.jsonl"),
        ("pipe.jsonl", "this is no regular file"),
        ("other", "neither images nor"),
        ("run", "this is a run, not a manifest; its failed rows are in .*run/failures"),
    ],
)
def test_what_cannot_be_read_is_refused_with_advice(desk, path, message):
    desk.raw("table.csv", b"id,image")
    desk.raw("other/notes.txt", b"x")
    desk.raw("run/.vbatch/job.toml", b"")
    os.mkfifo(desk.path("pipe.jsonl"))
    with pytest.raises(ManifestError, match=message) as caught:
        find_parts([f"{desk.folder}/{path}"])
    assert str(desk.folder) in str(caught.value)


def test_a_run_that_lies_among_the_rows_it_is_made_of_is_no_part_of_them(desk):
    desk.raw("m.jsonl", b"{}")
    desk.raw("runs/today/.vbatch/job.toml", b"")
    desk.raw("runs/today/failures/part-000000.parquet", b"x")
    desk.raw("runs/today/failures/b.jsonl", b"{}")
    desk.raw("pictures/a.png", b"x")
    desk.raw("pictures/today/.vbatch/job.toml", b"")
    desk.raw("pictures/today/b.png", b"x")

    assert _found(str(desk.folder)) == [("lines", str(desk.path("m.jsonl")))]
    assert _found(f"{desk.folder}/**/*.jsonl") == [("lines", str(desk.path("m.jsonl")))]
    assert [*image_files(str(desk.path("pictures")))] == ["a.png"]
    named = str(desk.path("runs/today/failures/part-000000.parquet"))
    assert _found(f"{desk.folder}/runs/*/failures/*.parquet") == [("table", named)]


@pytest.mark.parametrize("name", ["locked/m.jsonl", "locked", "locked/*/m.jsonl"])
def test_what_we_may_not_read_is_refused(commons, name):
    with (
        pytest.raises(ManifestError, match=r"cannot be read|nothing matches") as caught,
        as_nobody(),
    ):
        find_parts([f"{commons}/{name}"])
    assert f"{commons}/locked" in str(caught.value)


def test_a_folder_within_that_we_may_not_list_is_no_empty_one(commons):
    (commons / "m.jsonl").touch()
    words = r"locked: cannot be read \(Permission denied\)$"
    with pytest.raises(ManifestError, match=words), as_nobody():
        find_parts([str(commons)])


def test_where_images_lie_cannot_be_told_of_what_we_may_not_enter(commons):
    with pytest.raises(ManifestError, match="cannot be read"), as_nobody():
        root_of([f"{commons}/locked/m.jsonl"])


def test_a_remote_manifest_is_refused():
    with pytest.raises(ManifestError, match="only local manifests"):
        find_parts(["s3://bucket/m.jsonl"])


@pytest.mark.parametrize(
    ("paths", "root"),
    [
        (["/a/b/m.jsonl"], "/a/b"),
        (["/a/b/*/c/m*.jsonl"], "/a/b"),
        (["/a/b/c/m.jsonl", "/a/b/d/m.jsonl"], "/a/b"),
        (["/a/*.parquet", "/a/*/x.parquet"], "/a"),
    ],
)
def test_images_are_looked_for_in_the_manifests_folder(paths, root):
    assert str(root_of(paths)) == root


def test_images_are_looked_for_in_a_folder_that_is_the_manifest(desk):
    assert desk.manifest(str(desk.folder)).root == desk.folder


def test_folder_names_give_integers_only_if_all_are(desk):
    for name in ("n=1/c=1", "n=2/c=x", "n=%33/c=__HIVE_DEFAULT_PARTITION__"):
        desk.table({}, f"d/{name}/p.parquet")
    found = [part.partition for part in find_parts([f"{desk.folder}/d"])]
    assert found == [{"n": 3, "c": None}, {"n": 1, "c": "1"}, {"n": 2, "c": "x"}]
