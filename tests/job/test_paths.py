from pathlib import Path

import pytest

from vbatch.job.paths import anchored, default_name, scheme


@pytest.mark.parametrize(
    ("written", "absolute"),
    [
        ("rows.jsonl", "/jobs/rows.jsonl"),
        ("./rows/", "/jobs/rows"),
        ("../rows.jsonl", "/rows.jsonl"),
        ("../..//rows.jsonl", "/rows.jsonl"),
        ("a/../rows.jsonl", "/jobs/a/../rows.jsonl"),
        ("/data/rows.jsonl", "/data/rows.jsonl"),
        ("part-*.parquet", "/jobs/part-*.parquet"),
        (["a", "/b"], ["/jobs/a", "/b"]),
        ("s3://bucket/a", "s3://bucket/a"),
        (" ", " "),
        (5, 5),
        ([5], [5]),
    ],
)
def test_a_path_is_made_absolute(written, absolute):
    assert anchored({"manifest": written}, Path("/jobs")) == {"manifest": absolute}


def test_every_key_that_holds_a_path_is_made_absolute_and_no_other():
    tree = {
        "output": "out",
        "images": {"root": ["a"], "send": "auto"},
        "endpoint": {"profile": "my.toml", "model": "m"},
        "request": {"prompt": "a/b"},
    }

    assert anchored(tree, Path("/jobs")) == {
        "output": "/jobs/out",
        "images": {"root": ["/jobs/a"], "send": "auto"},
        "endpoint": {"profile": "/jobs/my.toml", "model": "m"},
        "request": {"prompt": "a/b"},
    }


def test_a_table_that_is_none_is_left_for_others_to_refuse():
    assert anchored({"images": 5, "endpoint": {}}, Path("/jobs")) == {"images": 5, "endpoint": {}}


def test_a_profile_name_is_no_path():
    assert anchored({"endpoint": {"profile": "local"}}, Path("/jobs")) == {
        "endpoint": {"profile": "local"}
    }


def test_the_folder_of_a_glob_is_taken_literally():
    assert anchored({"manifest": "*.jsonl"}, Path("/run[1]")) == {"manifest": "/run[[]1]/*.jsonl"}
    assert anchored({"manifest": "a.jsonl"}, Path("/run[1]")) == {"manifest": "/run[1]/a.jsonl"}


def test_dots_are_climbed_where_they_lead_on_disk(tmp_path):
    (tmp_path / "real" / "jobs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "jobs")

    tree = anchored({"output": "../runs/a"}, tmp_path / "link")

    assert tree == {"output": f"{(tmp_path / 'real').resolve()}/runs/a"}


@pytest.mark.parametrize(
    ("value", "found"),
    [("S3://b/k", "s3"), ("https://h", "https"), ("a/b://c", None), ("C:/a", None), ("a", None)],
)
def test_a_scheme_is_told_from_a_path(value, found):
    assert scheme(value) == found


@pytest.mark.parametrize(
    ("path", "manifest", "name"),
    [
        (Path("jobs/nightly.v2.toml"), ("a",), "nightly.v2"),
        (None, ("/a/rows.jsonl.gz",), "rows"),
        (None, ("/a/pictures",), "pictures"),
        (None, ("/a/*.jsonl",), "vbatch"),
        (None, ("/a", "/b"), "vbatch"),
        (None, ("/a/.hidden",), "vbatch"),
    ],
)
def test_a_name_comes_from_the_file_or_else_from_the_manifest(path, manifest, name):
    assert default_name(path, manifest) == name
