"""The verbs as they are typed: what they print, where, and how they exit."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import vbatch
from tests.cli.conftest import last_line
from vbatch.server import parse_faults


def test_help_names_every_verb_and_ends_with_an_example(vb):
    code, out, _ = vb("--help")
    assert code == 0
    for verb in (
        "run",
        "retry",
        "check",
        "estimate",
        "status",
        "serve",
        "profiles",
        "models",
        "init",
    ):
        assert re.search(rf"^  {verb} +\S", out, re.MULTILINE)
    assert last_line(out).strip().startswith("Example: vbatch ")


@pytest.mark.parametrize(
    "verb",
    [
        *("run", "retry", "check", "estimate", "status", "profiles", "models", "manifest"),
        *("init", "serve"),
    ],
)
def test_help_of_each_verb_ends_with_an_example(verb, vb):
    code, out, _ = vb(verb, "--help")
    assert code == 0
    assert last_line(out).strip().startswith(f"Example: vbatch {verb}")


def test_an_unknown_verb_and_a_missing_job_are_bad_usage(vb, tmp_path):
    assert vb("fly")[0] == 2
    code, out, err = vb("run", tmp_path / "no.toml")
    assert (code, out) == (2, "")
    assert "no.toml" in err
    assert "Traceback" not in err


def test_a_run_keeps_standard_output_clean_and_says_how_it_ended(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    code, out, err = vb("run", workshop.job(server.base_url))
    assert (code, out) == (0, "")
    assert "3 answered, 0 failed, 0 left, 0 possibly billed" in last_line(err)


def test_json_gives_one_document_and_quiet_says_nothing_else(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    code, out, err = vb("run", workshop.job(server.base_url), "--json", "--quiet")
    summary = json.loads(out)
    assert (code, err) == (0, "")
    assert (summary["answered"], summary["exit_code"]) == (2, 0)
    assert summary["total_tokens"] == server.sums["total_tokens"]


def test_a_job_without_a_file(vb, workshop):
    workshop.picture("a.png", "red", (9, 9), "PNG")
    out_folder = workshop.folder / "somewhere"
    code, _, err = vb(
        *("run", "--manifest", workshop.folder, "--prompt", "What is it?"),
        *("--profile", "local", "--output", out_folder),
    )
    assert code == 0, err
    (row,) = vbatch.open_run(out_folder).results().to_pylist()
    assert (row["id"], row["endpoint"]) == ("a.png", "local")


def test_a_limit_ends_well_and_the_next_run_goes_on(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(5)
    job = workshop.job(server.base_url)
    code, _, err = vb("run", job, "--limit", 2)
    assert code == 0
    assert "2 answered, 0 failed, 3 left" in last_line(err)
    assert vb("run", job)[0] == 0
    assert server.sums["requests"] == 5


def test_a_dry_run_sends_nothing_and_leaves_nothing(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(5)
    code, out, _ = vb("run", workshop.job(server.base_url), "--dry-run")
    assert code == 0
    assert "would send 5 requests with 5 images" in out
    assert server.sums["requests"] == 0
    assert not (workshop.folder / "run").exists()


def test_a_changed_job_is_refused_with_its_ways_out(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    job = workshop.job(server.base_url)
    vb("run", job)
    code, _, err = vb("run", job, "-s", "request.max_tokens=9")
    assert code == 2
    assert "request.max_tokens" in err
    assert "--accept-change" in err
    assert vb("run", job, "-s", "request.max_tokens=9", "--accept-change")[0] == 0


def test_all_mistakes_in_a_job_are_told_at_once(vb, workshop):
    job = workshop.folder / "bad.toml"
    job.write_text('manifset = "x"\n[request]\ntemperature = 9\nstream = 5\n')
    code, _, err = vb("run", job)
    assert code == 2
    for said in ("manifset", "manifest", "temperature", "stream", "profile"):
        assert said in err


def test_check_says_what_is_ready_and_what_is_not(vb, endpoint, workshop, monkeypatch):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    job = workshop.job(server.base_url)
    code, out, _ = vb("check", job)
    assert (code, last_line(out)) == (0, "ready to run")
    assert server.sums["requests"] == 0
    (workshop.folder / "one.jpg").unlink()
    monkeypatch.delenv("TEST_KEY")
    code, out, _ = vb("check", job, "--json")
    problems = json.loads(out)["problems"]
    assert code == 2
    assert any("TEST_KEY" in problem for problem in problems)
    assert any("image_not_found" in problem for problem in problems)


def test_status_tells_how_a_run_stands(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    vb("run", workshop.job(server.base_url))
    code, out, _ = vb("status", workshop.folder / "run")
    assert code == 0
    assert "2 answered, 0 failed, 0 left of 2 rows" in out
    stands = json.loads(vb("status", workshop.folder / "run", "--json")[1])
    assert (stands["state"], stands["exit_code"]) == ("finished", 0)
    assert vb("status", workshop.folder / "nothing")[0] == 2


def test_profiles_and_models_are_listed(vb, endpoint):
    code, out, _ = vb("profiles")
    assert code == 0
    for name in ("indoxhub", "indoxhub-openai", "aimlapi", "vision", "infinityblue", "flexai"):
        assert re.search(rf"^{name} ", out, re.MULTILINE)
    server = endpoint(dialect="flexai", api_key="sk-test-0123456789")
    os.environ["FLEXAI_API_KEY"] = "sk-test-0123456789"
    try:
        code, out, err = vb(
            "models", "--profile", "flexai", "-s", f"endpoint.base_url={server.base_url}"
        )
    finally:
        del os.environ["FLEXAI_API_KEY"]
    assert code == 0, err
    assert re.search(r"^phi-4-multimodal-instruct +sees images$", out, re.MULTILINE)
    assert re.search(r"^stand-in/text-only$", out, re.MULTILINE)


def test_init_writes_a_job_that_check_accepts_and_never_overwrites(
    vb, workshop, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    workshop.picture("photos/a.jpg")
    assert vb("init", "mine")[0] == 0
    code, out, _ = vb("check", "mine.toml")
    assert (code, last_line(out)) == (0, "ready to run")
    assert vb("run", "mine.toml")[0] == 0
    code, _, err = vb("init", "mine")
    assert code == 2
    assert "nothing was written" in err


def test_a_manifest_is_made_from_a_folder_and_runs(vb, workshop):
    (workshop.folder / "pictures").mkdir()
    workshop.picture("pictures/b.jpg")
    workshop.picture("pictures/a.png", "red", (9, 9), "PNG")
    made = workshop.folder / "pictures" / "made.jsonl"
    code, out, _ = vb("manifest", workshop.folder / "pictures", "-o", made)
    assert code == 0
    assert "2 rows" in out
    code, _, err = vb(
        *("run", "--manifest", made, "--prompt", "hello", "--profile", "local"),
        *("--output", workshop.folder / "run"),
    )
    assert code == 0, err


def test_retry_takes_codes_and_refuses_unknown_ones(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "late.jpg", "prompt": "hello"}])
    job = workshop.job(server.base_url)
    assert vb("run", job)[0] == 3
    code, _, err = vb("retry", workshop.folder / "run", "--only", "image_not_fuond")
    assert code == 2
    assert "image_not_found" in err
    workshop.picture("late.jpg")
    assert vb("retry", workshop.folder / "run", "--only", "image_not_found")[0] == 0
    assert vb("retry", workshop.folder / "nowhere")[0] == 2


def spawn(*words):
    command = [sys.executable, "-m", "vbatch", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_requests(server, count, process):
    while server.sums["requests"] < count and process.poll() is None:
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_one_signal_drains_and_wastes_no_answer(number, code, endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.2)
    workshop.rows(2_000)
    process = spawn("run", workshop.job(server.base_url))
    wait_for_requests(server, 30, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    answered = vbatch.open_run(workshop.folder / "run").results().num_rows
    assert answered == server.sums["answered"] == server.sums["requests"]
    assert f"{2_000 - answered:,} left, 0 possibly billed" in last_line(err)
    assert f"next: vbatch run {workshop.folder}/job.toml" in last_line(err)


@pytest.mark.slow
def test_a_second_signal_gives_up_and_says_what_may_have_been_billed(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("hang:1"))
    workshop.rows(100)
    process = spawn("run", workshop.job(server.base_url))
    wait_for_requests(server, 4, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == 130
    assert "100 left, 4 possibly billed" in last_line(err)


@pytest.mark.slow
def test_a_second_process_on_one_run_sends_nothing_and_names_the_holder(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.5)
    workshop.rows(40)
    job = workshop.job(server.base_url, limits={"max_in_flight": 3})
    first = spawn("run", job)
    wait_for_requests(server, 1, first)
    second = spawn("run", job, "--json")
    out, err = second.communicate(timeout=30)
    assert second.returncode == json.loads(out)["exit_code"] == 7
    assert str(first.pid) in err
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert server.sums["requests"] == 40


def test_a_dry_run_names_the_rows_that_would_fail(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    workshop.manifest(
        [
            {"id": "good", "image": "one.jpg", "prompt": "hello"},
            {"id": "gone", "image": "two.jpg", "prompt": "hello"},
            "no JSON",
        ]
    )
    job = workshop.job(server.base_url)
    code, out, _ = vb("run", job, "--dry-run")
    assert code == 3
    assert "gone: image_not_found" in out
    assert "would send 1 requests" in last_line(out)
    report = json.loads(vb("run", job, "--dry-run", "--json")[1])
    assert report["codes"] == {"image_not_found": 1, "bad_row": 1}


def test_a_dry_run_leaves_out_what_is_answered(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(4)
    job = workshop.job(server.base_url)
    vb("run", job, "--limit", 3)
    code, out, _ = vb("run", job, "--dry-run")
    assert code == 0
    assert "4 rows, 3 done already; would send 1 requests" in out


def test_check_tells_of_a_changed_job_and_a_blind_model(vb, endpoint, workshop):
    server = endpoint(dialect="flexai")
    workshop.rows(1)
    job = workshop.job(
        server.base_url, profile="flexai", endpoint={"model": "phi-4-multimodal-instruct"}
    )
    vb("run", job)
    code, out, _ = vb("check", job, "-s", "endpoint.model=stand-in/text-only")
    assert code == 2
    assert "holds answers to another question" in out
    assert "model stand-in/text-only does not see images" in out


def test_check_finds_nothing_ready_where_nobody_answers(vb, workshop, unused_tcp_port):
    workshop.rows(1)
    code, out, _ = vb("check", workshop.job(f"http://127.0.0.1:{unused_tcp_port}/v1"))
    assert (code, last_line(out)) == (2, "problems were found")
    assert "✗ the endpoint is not there: " in out
    assert f"127.0.0.1:{unused_tcp_port}" in out


def test_check_goes_on_without_a_list_of_models(vb, endpoint, workshop):
    server = endpoint(dialect="xai")  # whose list lies elsewhere
    workshop.rows(1)
    code, out, _ = vb("check", workshop.job(server.base_url))
    assert (code, last_line(out)) == (0, "ready to run, but see the warnings")
    assert "the list of models could not be read" in out


def test_profiles_and_models_as_json(vb):
    names = [profile["name"] for profile in json.loads(vb("profiles", "--json")[1])]
    assert {"indoxhub", "aimlapi", "vision", "infinityblue", "flexai", "local"} <= set(names)
    listed = json.loads(vb("models", "--json")[1])
    assert {"id": "pixels", "vision": True} in listed


def test_status_says_why_a_run_stopped(vb, workshop, unused_tcp_port):
    workshop.rows(9)
    assert vb("run", workshop.job(f"http://127.0.0.1:{unused_tcp_port}/v1"))[0] == 5
    out = vb("status", workshop.folder / "run")[1]
    assert f"stopped: http://127.0.0.1:{unused_tcp_port}/v1 cannot be reached" in out


def test_a_manifest_elsewhere_says_which_root_a_job_needs(vb, workshop, tmp_path):
    (workshop.folder / "pictures").mkdir()
    workshop.picture("pictures/b.jpg")
    (tmp_path / "lists").mkdir()
    code, out, _ = vb("manifest", workshop.folder / "pictures", "-o", tmp_path / "lists/m.jsonl")
    assert code == 0
    assert "images.root" in out


def test_init_says_where_it_cannot_write(vb):
    code, _, err = vb("init", "/nowhere/at/all")
    assert code == 2
    assert "/nowhere/at/all.toml" in err


def test_serve_answers_until_it_is_told_to_stop(vb, unused_tcp_port, tmp_path):
    def stop_when_up():
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", unused_tcp_port), timeout=1),
            ):
                break
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_when_up, daemon=True)
    thread.start()
    ledger = tmp_path / "ledger.jsonl"
    code, out, _ = vb(
        *("serve", "--port", unused_tcp_port, "--dialect", "flexai", "--ledger", ledger),
        *("--fault", "429:0.1", "--rpm", 60),
    )
    thread.join()
    assert code == 0
    assert f"http://127.0.0.1:{unused_tcp_port}" in out
    assert "no model" in out
    assert ledger.exists()


def test_serve_refuses_what_it_does_not_know(vb):
    for words in (["--fault", "meteor:1"], ["--dialect", "klingon"]):
        code, _, err = vb("serve", *words)
        assert code == 2
        assert "Traceback" not in err


def test_the_log_tells_what_a_run_went_through(vb, endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("429@1"), retry_after="6")
    workshop.rows(3)
    assert vb("run", workshop.job(server.base_url))[0] == 0
    log = (workshop.folder / "run" / ".vbatch" / "log").read_text()
    assert re.search(r"Z [0-9a-f]{12} began, pid \d+: 3 rows", log)
    assert "waiting: endpoint asked to wait until" in log
    assert "finished · 3 answered" in log
    assert "sk-test-0123456789" not in log


def test_check_tells_a_refused_key_before_it_stops_a_run(vb, endpoint, workshop):
    server = endpoint(dialect="openai", api_key="another-key")
    workshop.rows(1)
    code, out, _ = vb("check", workshop.job(server.base_url))
    assert code == 2
    assert "the endpoint refuses us (authentication)" in out


def test_check_knows_a_model_that_is_not_listed_and_names_those_near_it(vb, endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    code, out, _ = vb("check", workshop.job(server.base_url, endpoint={"model": "gpt-4o-min"}))
    assert (code, last_line(out)) == (2, "problems were found")
    assert "model gpt-4o-min: openai lists no such model; near it: gpt-4o-mini, gpt-4o" in out
    assert "vbatch models --profile openai" in out


def test_a_run_refused_before_it_began_says_so(vb, workshop):
    job = workshop.job("http://127.0.0.1:9/v1")
    code, _, err = vb("run", job)
    assert code == 2
    assert "manifest.jsonl: there is no such file or folder" in err
    assert "never begun" in vb("status", workshop.folder / "run")[1]


def test_status_tells_what_was_spent_and_what_of_it_in_vain(vb, endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("null@1"))
    workshop.rows(2)
    job = workshop.job(
        server.base_url, price={"input": 10, "output": 20}, limits={"max_in_flight": 1}
    )
    vb("run", job)

    _, out, _ = vb("status", workshop.folder / "run")

    wasted = server.entries[0]
    cost = (10 * wasted.prompt_tokens + 20 * wasted.completion_tokens) / 1e6
    tokens = wasted.prompt_tokens + wasted.completion_tokens
    assert f"{tokens} tokens wasted (${cost:.6f})" in out
    assert re.search(r"tokens, \$0\.\d+, ", out)
