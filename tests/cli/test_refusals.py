"""Verbs that are refused or fail: a sentence, an exit code, and under --json a document."""

from __future__ import annotations

import json
import subprocess
import sys

import pydantic
import pytest

from tests.cli.conftest import last_line
from tests.conftest import ROOT, as_nobody
from vbatch import api
from vbatch.api.session import Session
from vbatch.cli import drive, look, make, run

LOADED = (drive, look, make, run)
"""Nobody can import them."""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "no.toml"], "no.toml: cannot read this job file"),
        (["check", "no.toml"], "no.toml: cannot read this job file"),
        (["status", "nowhere"], "nowhere is no run"),
        (["retry", "nowhere"], "nowhere is no run"),
        (["models", "--profile", "nobody"], "nobody"),
        (["run", "--nope"], "No such option"),
        (["fly"], "No such command"),
    ],
)
def test_under_json_a_refusal_is_the_one_document(vb, words, told):
    code, out, err = vb(*words, "--json")

    document = json.loads(out)
    assert (code, document["exit_code"]) == (2, 2)
    assert told in document["error"]
    assert told in err
    assert vb(*words)[:2] == (2, "")


def test_a_bug_in_a_verb_ends_in_a_sentence_that_keeps_secrets(vb, monkeypatch):
    def broken():
        raise ZeroDivisionError("sk-test-0123456789")

    monkeypatch.setenv("TEST_KEY", "sk-test-0123456789")
    monkeypatch.setattr(api, "profiles", broken)
    code, out, err = vb("profiles", "--json")

    brief = "internal error, please report it with the lines above: ZeroDivisionError('[redacted]')"
    assert code == 1
    assert json.loads(out) == {"exit_code": 1, "error": brief}
    assert last_line(err) == f"vbatch: {brief}"
    assert "in broken" in err
    assert "sk-test" not in err


def test_what_the_system_refuses_is_said_with_its_place(vb, monkeypatch):
    def refused():
        raise PermissionError(13, "Permission denied", "/locked/run.json")

    monkeypatch.setattr(api, "profiles", refused)

    assert vb("profiles") == (6, "", "vbatch: /locked/run.json: Permission denied\n")


def test_what_the_system_refuses_before_a_run_began_is_no_bug(vb, workshop, monkeypatch):
    async def refused(_session):
        raise PermissionError(13, "Permission denied", "/locked/x")

    workshop.rows(1)
    job = workshop.job("http://127.0.0.1:9/v1")
    monkeypatch.setattr(Session, "_read_the_manifest", refused)

    assert vb("run", job) == (6, "", "vbatch: /locked/x: Permission denied\n")


def test_ctrl_c_counts_from_the_first_import_on(vb, monkeypatch):
    class Impatient:
        def find_spec(self, name, *_):
            if name == "vbatch.cli.verbs":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "vbatch.cli.verbs")
    monkeypatch.setattr(sys, "meta_path", [Impatient(), *sys.meta_path])

    assert vb("profiles") == (130, "", "vbatch: stopped by SIGINT\n")


def test_ctrl_c_while_a_verb_is_at_work_is_the_same(vb, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "profiles", interrupted)
    code, out, err = vb("profiles")

    assert (code, out) == (130, "")
    assert last_line(err) == "vbatch: stopped by SIGINT"


def test_ctrl_c_while_a_model_is_written_out_is_the_same(vb, monkeypatch):
    """Pydantic wraps what its functions raise, and an interrupt with it."""

    class Model(pydantic.BaseModel):
        @pydantic.model_serializer
        def interrupted(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(api, "load", lambda *_, **__: Model().model_dump())

    code, _, err = vb("run", "job.toml")

    assert (code, last_line(err)) == (130, "vbatch: stopped by SIGINT")


def test_nothing_slow_is_imported_before_ctrl_c_is_expected():
    code = "import sys, vbatch.cli; print(sorted({'click', 'asyncio'} & {*sys.modules}))"
    said = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)

    assert said == "[]\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("run --manifest locked/m.jsonl --profile local --prompt x --output out", 2),
        ("run --manifest locked --profile local --prompt x --output out", 2),
        ("run --manifest pics --profile local --prompt x --output locked/run", 6),
        ("run locked/job.toml", 2),
        ("check --manifest locked/m.jsonl --profile local --prompt x", 2),
        ("manifest pics -o locked/m.jsonl", 2),
        ("manifest locked/pics -o m.jsonl", 2),
        ("init locked/job", 2),
        ("status locked/run", 6),
        ("retry locked/run", 6),
    ],
)
def test_folders_that_we_may_not_enter_are_a_sentence(vb, commons, monkeypatch, words, code):
    monkeypatch.chdir(commons)
    (commons / "pics").mkdir()
    (commons / "pics" / "a.png").touch()
    vb("check", "--manifest", "pics", "--profile", "local", "--prompt", "x")  # for its imports

    with as_nobody():
        found, out, err = vb(*words.split())

    assert found == code, err
    assert out == ""
    assert "locked" in last_line(err)
    assert "Permission denied" in last_line(err)
    assert "Traceback" not in err
    assert "internal" not in err


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"state": "finished", "counts": {"answered": 3}},
        {"state": "finished", "counts": 3},
        {"state": "finished", "stop": "x"},
        {"state": "finished", "stalled": [{"id": "a", "step": "sent", "seconds": "long"}]},
    ],
)
def test_a_run_json_that_somebody_changed_is_a_sentence(vb, tmp_path, changed):
    (tmp_path / "run.json").write_text(json.dumps(changed))

    code, out, err = vb("status", tmp_path)

    assert (code, out) == (6, "")
    assert "run.json" in err
    assert len(err.splitlines()) == 1
