"""Nothing that others wrote drives the terminal: no verb prints a control character of theirs."""

from __future__ import annotations

import json
import os
import re

import pyarrow.parquet as pq
import pytest

import vbatch
from tests.conftest import ROOT, picture

HIDDEN = (
    "\x1b[2J\x1b[31m"  # clear, colour
    "\x1b]52;c;ZXZpbA==\x07"  # OSC 52: the clipboard
    "\x1b]8;;http://evil.example\x1b\\"  # OSC 8: a link
    "\x1bP0;1|17/ab\x1b\\"  # DCS: keys redefined
    "\r\x08\x0b\x0c\x7f"  # overwrite what stands there
    "\x9b31m\x9d0;t\x9c\x90\x85"  # the same in one byte each, C1
    "\u202e\u2066\u200f\u061c"  # turn the direction of reading
    "\u200b\u2060\ufeff\u00ad\u2028\u2029\U000e0041"  # not seen at all
)
"""Whatever a terminal would obey, or show otherwise than it is."""
EVIL = f"before{HIDDEN}after"
NAME = EVIL.replace("/", "|")
"""As a file may be called."""


@pytest.fixture(autouse=True)
def here(workshop, monkeypatch):
    monkeypatch.chdir(workshop.folder)


def raw(*texts: str) -> list[str]:
    return [c for text in texts for c in text if not c.isprintable() and c != "\n"]


def answer(text="fine", finish_reason="stop", **more):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return json.dumps({"id": "c-1", "model": "m-1", "choices": [choice], **more}).encode()


def job_at(workshop, base_url, **tables):
    return workshop.job(base_url, endpoint={"keep_alive": False}, **tables)


def an_endpoint_that_refuses(workshop, listener):
    error = {"error": {"message": EVIL, "code": EVIL, "type": EVIL, "param": EVIL}}
    workshop.rows(2)
    url = listener.chats(401, json.dumps(error).encode(), x_request_id="\x9b31m\x1b[31m")
    return ["run", job_at(workshop, url)]


def a_page_instead_of_an_answer(workshop, listener):
    workshop.rows(6)
    return ["run", job_at(workshop, listener.chats(200, EVIL.encode()))]


def a_redirect(workshop, listener):
    workshop.rows(1)
    return ["run", job_at(workshop, listener.chats(302, b"", location="http://\x1b[31m\x9b/\x08"))]


def a_type_of_content(workshop, listener):
    workshop.rows(6)
    return ["run", job_at(workshop, listener.chats(200, b"?", content_type="\x1b[2J\x9b"))]


def cookies(workshop, listener):
    workshop.rows(1)
    url = listener.chats(200, answer(), set_cookie="\x1b[31m=\x9b31m; \x1b]0;x=\x07")
    return ["run", job_at(workshop, url)]


def a_status_line(workshop, listener):
    workshop.rows(6)
    listener.answers["/v1/chat/completions"] = b"HTTP/1.1 \x1b[31m\x9b \r\n\r\n"
    return ["run", job_at(workshop, listener.base_url)]


def a_finish_reason(workshop, listener):
    workshop.rows(1)
    return ["run", job_at(workshop, listener.chats(200, answer(EVIL, EVIL, model=EVIL)))]


def a_failing_row_of_a_run(workshop, listener):
    workshop.manifest([{"id": EVIL, "image": EVIL, "prompt": "?"}])
    return ["run", job_at(workshop, listener.base_url)]


def ids_in_a_check(workshop, listener):
    workshop.manifest([{"id": EVIL, "image": EVIL, "prompt": "?"}])
    return ["check", job_at(workshop, listener.base_url)]


def ids_in_a_dry_run(workshop, listener):
    workshop.manifest([{"id": EVIL, "image": EVIL, "prompt": "?"}])
    return ["run", job_at(workshop, listener.base_url), "--dry-run"]


def ids_that_stand_twice(workshop, listener):
    workshop.manifest([{"id": EVIL, "image": f"{n}.jpg", "prompt": "?"} for n in range(2)])
    return ["run", job_at(workshop, listener.base_url)]


def columns_without_an_image(workshop, listener):
    workshop.manifest([{"id": "a", EVIL: EVIL}])
    return ["run", job_at(workshop, listener.base_url)]


def a_template_over_such_columns(workshop, listener):
    workshop.manifest([{"id": "a", "image": "x", EVIL: "x"}])
    job = job_at(workshop, listener.base_url, request={"prompt": "{{ nothing }}"})
    return ["run", job]


def a_parquet_manifest(workshop, listener):
    (workshop.folder / f"{NAME}.parquet").write_bytes(b"PAR1 no PAR1")
    return ["run", job_at(workshop, listener.base_url), "--manifest", f"{NAME}.parquet"]


def file_names_in_a_check(workshop, listener):
    folder = workshop.folder / NAME
    folder.mkdir()
    (folder / f"{NAME}.jpg").write_bytes(b"no picture")
    return ["check", job_at(workshop, listener.base_url), "--manifest", folder, "--prompt", "?"]


def a_manifest_of_file_names(workshop, _):
    folder = workshop.folder / NAME
    folder.mkdir()
    (folder / f"{NAME}.jpg").write_bytes(picture())
    return ["manifest", folder, "-o", workshop.folder / f"{NAME}.jsonl"]


def a_list_of_models(workshop, listener):
    listener.answers["/v1/models"] = _with_length(json.dumps({"data": [{"id": EVIL}]}).encode())
    url = f"endpoint.base_url={listener.base_url}"
    return ["models", "--profile", "openai", "-s", url, "-s", "endpoint.api_key_env=TEST_KEY"]


def _with_length(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def models_that_are_refused(workshop, listener):
    listener.answers["/v1/models"] = b"HTTP/1.1 403 No\r\ncontent-length: %d\r\n\r\n%b" % (
        len(EVIL.encode()),
        EVIL.encode(),
    )
    workshop.rows(1)
    return ["check", job_at(workshop, listener.base_url)]


def a_run_of_somebody_else(workshop, _):
    status = {"state": EVIL, "waiting": EVIL, "host": EVIL, "pid": 1, "updated_at": EVIL}
    status["stop"] = {"code": EVIL, "message": EVIL, "advice": EVIL}
    (workshop.folder / "run").mkdir()
    (workshop.folder / "run" / "run.json").write_text(json.dumps(status))
    return ["status", workshop.folder / "run"]


def a_run_that_is_not_there(workshop, _):
    return ["status", workshop.folder / EVIL]


def a_retry_of_nothing(workshop, _):
    return ["retry", workshop.folder / NAME, "--only", EVIL]


def keys_of_a_job_file(workshop, listener):
    workshop.rows(1)
    job = job_at(workshop, listener.base_url)
    key = json.dumps(EVIL).replace("\\udb40\\udc41", "").replace("\x7f", "\\u007f")
    job.write_text(f"{job.read_text()}[images]\n{key} = {key}\nsend = {key}\n")
    return ["run", job]


def a_job_that_is_not_there(workshop, _):
    return ["run", workshop.folder / f"{NAME}.toml"]


def a_setting(workshop, listener):
    workshop.rows(1)
    job = job_at(workshop, listener.base_url)
    return ["run", job, "-s", f"images.{EVIL}={EVIL}", "-s", f"images.send={EVIL}", "-s", EVIL]


def a_profile_file(workshop, listener):
    workshop.rows(1)
    (workshop.folder / f"{NAME}.toml").write_text(f"[x\n'{EVIL}'")
    job = job_at(workshop, listener.base_url)
    return ["run", job, "--profile", workshop.folder / f"{NAME}.toml"]


def another_question(workshop, listener):
    workshop.rows(1)
    job = job_at(workshop, listener.chats(200, answer()))
    vbatch.run(job)
    return ["run", job, "-s", f"endpoint.model={json.dumps(EVIL)}", "--prompt", EVIL]


def a_verb(_workshop, _listener):
    return [EVIL]


def an_option(_workshop, _listener):
    return ["run", f"--{EVIL}", EVIL]


def a_number(_workshop, _listener):
    return ["run", "--limit", EVIL]


def a_new_job_file(workshop, _):
    return ["init", workshop.folder / NAME]


def a_scripted_fault(_workshop, _listener):
    return ["serve", "--fault", EVIL, "--port", "0"]


SCENES = [
    an_endpoint_that_refuses,
    a_page_instead_of_an_answer,
    a_redirect,
    a_type_of_content,
    cookies,
    a_status_line,
    a_finish_reason,
    a_failing_row_of_a_run,
    ids_in_a_check,
    ids_in_a_dry_run,
    ids_that_stand_twice,
    columns_without_an_image,
    a_template_over_such_columns,
    a_parquet_manifest,
    file_names_in_a_check,
    a_manifest_of_file_names,
    a_list_of_models,
    models_that_are_refused,
    a_run_of_somebody_else,
    a_run_that_is_not_there,
    a_retry_of_nothing,
    keys_of_a_job_file,
    a_job_that_is_not_there,
    a_setting,
    a_profile_file,
    another_question,
    a_verb,
    an_option,
    a_number,
    a_new_job_file,
    a_scripted_fault,
]
WITH_JSON = {"run", "retry", "check", "status", "models"}


@pytest.mark.parametrize("scene", SCENES)
def test_what_others_wrote_reaches_the_terminal_only_as_text(
    vb, workshop, listener, scene, evidence, caplog
):
    words = [os.fspath(word) for word in scene(workshop, listener)]

    _, out, err = vb(*words)

    assert (out + err).strip()
    assert raw(out, err, caplog.text) == []
    cases, found = 1, raw(out, err, caplog.text)
    if words[0] in WITH_JSON:
        _, out, err = vb(*words, "--json")
        assert raw(out, err) == []
        cases, found = 2, found + raw(out, err)
    evidence.add("control characters", cases=cases, raw=len(found))


def test_json_output_holds_the_very_text_escaped(vb, workshop, listener):
    code, out, _ = vb(*a_list_of_models(workshop, listener), "--json")

    assert code == 0
    assert [model["id"] for model in json.loads(out)] == [EVIL]


def test_tables_and_journal_keep_the_text_as_it_is(workshop, listener):
    job = a_finish_reason(workshop, listener)[1]
    workshop.manifest([{"id": EVIL, "image": "one.jpg", "prompt": EVIL, "note": EVIL}])

    vbatch.run(job)

    (row,) = pq.read_table(workshop.folder / "run" / "results").to_pylist()
    kept = {row[name] for name in ("id", "prompt", "text", "finish_reason", "model", "note")}
    assert kept == {EVIL}


def test_the_log_of_a_run_can_be_looked_at(workshop, listener):
    vbatch.run(an_endpoint_that_refuses(workshop, listener)[1])

    log = (workshop.folder / "run" / ".vbatch" / "log").read_text()
    assert "before" in log
    assert raw(log) == []


def test_a_line_of_somebody_else_does_not_look_like_one_of_ours(vb, workshop, listener):
    forged = "x\nready to run\nvbatch: finished"
    workshop.manifest([{"id": forged, "image": "x.jpg", "prompt": "?"}])
    job = job_at(workshop, listener.chats(200, answer("fine", forged)))

    _, checked, _ = vb("check", job)
    _, rehearsed, _ = vb("run", job, "--dry-run")
    workshop.rows(1)
    _, _, ran = vb("run", job)

    for text in (checked, rehearsed, ran):
        assert not {"ready to run", "vbatch: finished"} & set(text.splitlines())


def test_every_word_to_the_terminal_goes_through_one_door():
    """Beside it progress writes, and what the library says of Ctrl-C: both make text printable."""
    ways = re.compile(r"click\.(echo|secho)|(?<![\w.])print\(|std(out|err)\.write")
    talking = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "vbatch").rglob("*.py")
        if ways.search(path.read_text())
    }

    assert talking == {"vbatch/cli/screen.py", "vbatch/api/blocking.py"}
