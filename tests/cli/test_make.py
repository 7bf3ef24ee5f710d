"""``init`` under names of every kind: what is written is a job, or nothing is."""

from __future__ import annotations

import os
import tomllib

import pytest


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("plain", "plain"),
        ("plain.toml", "plain"),
        ("sub/plain", "plain"),
        ('a"b', 'a"b'),
        ("a\\b", "a\\b"),
        ("two words", "two words"),
        ("été", "été"),
        ("{name}", "{name}"),
        ("a$b", "a$$b"),
        ("${HOME}", "$${HOME}"),
        ("#", "#"),
    ],
)
def test_a_name_stands_in_the_job_as_toml_writes_it(vb, tmp_path, name, stem):
    (tmp_path / "sub").mkdir()
    code, _, err = vb("init", name)
    assert code == 0, err
    text = (tmp_path / f"{name.removesuffix('.toml')}.toml").read_text()
    assert tomllib.loads(text)["output"] == f"runs/{stem}"


def test_what_to_type_next_is_quoted_for_a_shell(vb, tmp_path):
    _, out, _ = vb("init", "two words")
    assert out.endswith("vbatch check 'two words.toml'\n")
    assert "vbatch run 'two words.toml'\n" in (tmp_path / "two words.toml").read_text()


@pytest.mark.parametrize(
    "name", ["", ".toml", "sub/", "..", "two\nlines", " blank", os.fsdecode(b"pho\xe9"), "x" * 300]
)
def test_a_name_that_no_run_can_have_writes_nothing(vb, tmp_path, name):
    (tmp_path / "sub").mkdir()
    code, out, err = vb("init", name)
    assert (code, out) == (2, "")
    assert "no job can be called" in err
    assert [path.name for path in tmp_path.rglob("*")] == ["sub"]


def test_a_folder_whose_name_is_not_utf_8_can_hold_a_job(vb, tmp_path):
    folder = tmp_path / os.fsdecode(b"pho\xe9")
    folder.mkdir()
    assert vb("init", f"{folder.name}/job")[0] == 0
    assert tomllib.loads((folder / "job.toml").read_text())["output"] == "runs/job"


def test_a_manifest_is_not_written_into_a_folder_that_is_not_there(vb, tmp_path):
    (tmp_path / "pics").mkdir()
    for name in ("m.jsonl", "m.parquet"):
        code, _, err = vb("manifest", "pics", "-o", f"missing/{name}")
        assert code == 2
        assert f"missing/{name}: cannot be written" in err
    assert [path.name for path in tmp_path.iterdir()] == ["pics"]


@pytest.mark.parametrize(
    "words",
    [["--latency", "nan"], ["--latency", "-1"], ["--latency", "inf"], ["--url-root", "nope"]],
)
def test_serve_refuses_what_cannot_be(vb, words):
    code, out, err = vb("serve", "--port", 0, *words)
    assert (code, out) == (2, "")
    assert words[1] in err
