"""The same question is paid for once: within a run, and with a cache in all runs."""

from __future__ import annotations

import base64
import json
import sqlite3
import time

import pytest

import vbatch
from tests.conftest import picture
from vbatch.errors import JobError
from vbatch.server.faults import parse_faults
from vbatch.sink.answers import AnswerCache


def results(workshop, run="run"):
    return vbatch.open_run(workshop.folder / run).results().to_pylist()


def usage(workshop, run="run"):
    return vbatch.open_run(workshop.folder / run).usage().to_pylist()[-1]


@pytest.fixture
def alike(workshop):
    """Twelve rows of which each question stands four times."""
    workshop.picture("one.jpg", "teal")
    workshop.picture("copy.jpg", "teal")
    workshop.manifest(
        [
            {"id": f"r{n}", "image": ("one.jpg", "copy.jpg")[n % 2], "prompt": f"ask {n % 3}"}
            for n in range(12)
        ]
    )


@pytest.mark.usefixtures("alike")
def test_rows_that_ask_the_same_are_asked_once_and_all_answered(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05)

    summary = vbatch.run(workshop.job(server.base_url), overrides=["dedupe=true"])

    assert (summary.exit_code, summary.answered) == (0, 12)
    assert "9 had been answered to the same question" in summary.line()
    assert server.sums["requests"] == 3
    by_prompt = {}
    for row in results(workshop):
        by_prompt.setdefault(row["prompt"], set()).add((row["text"], row["response_id"]))
    assert [len(texts) for texts in by_prompt.values()] == [1, 1, 1]
    assert usage(workshop)["total_tokens"] == server.sums["total_tokens"]
    assert sum(row["total_tokens"] for row in results(workshop)) == server.sums["total_tokens"]
    assert (usage(workshop)["requests"], usage(workshop)["answered"]) == (3, 12)


@pytest.mark.usefixtures("alike")
def test_without_being_told_every_row_is_asked(endpoint, workshop):
    server = endpoint(dialect="openai")

    vbatch.run(workshop.job(server.base_url))

    assert server.sums["requests"] == 12


@pytest.mark.usefixtures("alike")
def test_a_later_invocation_remembers(endpoint, workshop):
    server = endpoint(dialect="openai")
    job = workshop.job(server.base_url)
    vbatch.run(job, overrides=["dedupe=true"], limit=3)

    assert vbatch.run(job, overrides=["dedupe=true"]).answered == 9

    assert server.sums["requests"] == 3


@pytest.mark.usefixtures("alike")
def test_with_a_cache_another_run_pays_nothing(endpoint, workshop):
    server = endpoint(dialect="openai")
    job = workshop.job(server.base_url, cache={"path": "answers.sqlite"})
    vbatch.run(job)

    vbatch.run(job, overrides=[f"output={workshop.folder}/other"])

    assert server.sums["requests"] == 3
    texts = {row["id"]: row["text"] for row in results(workshop)}
    assert {row["id"]: row["text"] for row in results(workshop, "other")} == texts
    assert usage(workshop, "other")["total_tokens"] == 0


def test_another_question_is_asked(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    job = workshop.job(server.base_url, cache={"path": "answers.sqlite"})
    changes = [
        "",
        "request.temperature=1",
        "request.system='Be brief.'",
        "endpoint.model=gpt-4o-mini",
    ]

    for number, change in enumerate(changes):
        vbatch.run(
            job, overrides=[f"output={workshop.folder}/run-{number}", *filter(None, [change])]
        )
    workshop.picture("one.jpg", "red")
    vbatch.run(job, overrides=[f"output={workshop.folder}/run-red"])

    assert server.sums["requests"] == 5


@pytest.mark.parametrize("fault", ["length", "refusal", "filter"])
def test_what_is_not_whole_is_never_handed_on(endpoint, workshop, fault):
    server = endpoint(dialect="openai", faults=parse_faults(f"{fault}@1"))
    workshop.picture("one.jpg")
    workshop.manifest([{"id": f"r{n}", "image": "one.jpg", "prompt": "ask"} for n in range(4)])
    job = workshop.job(server.base_url, limits={"max_in_flight": 1})

    vbatch.run(job, overrides=["dedupe=true"])

    assert server.sums["requests"] == 2


def test_where_the_first_fails_those_who_waited_ask_and_later_ones_take_their_answer(
    endpoint, workshop
):
    server = endpoint(dialect="openai", latency_s=0.1, faults=parse_faults("400@1"))
    workshop.picture("one.jpg")
    workshop.manifest([{"id": f"r{n}", "image": "one.jpg", "prompt": "ask"} for n in range(40)])
    job = workshop.job(server.base_url, limits={"max_in_flight": 4})

    summary = vbatch.run(job, overrides=["dedupe=true"])

    assert (summary.answered, summary.failed) == (39, 1)
    assert 2 <= server.sums["requests"] <= 9


def test_answers_cut_at_their_cap_are_asked_for_at_once_not_one_by_one(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.1)
    workshop.picture("one.jpg")
    cut = {"image": "one.jpg", "prompt": "ask", "params": {"max_tokens": 1}}
    workshop.manifest([{"id": f"r{n}", **cut} for n in range(30)])
    job = workshop.job(server.base_url, limits={"max_in_flight": 15})

    summary = vbatch.run(job, overrides=["dedupe=true"])

    assert (summary.answered, server.sums["requests"]) == (30, 30)
    assert server.sums["peak_in_flight"] >= 10


@pytest.mark.usefixtures("alike")
def test_a_retry_asks_anew(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("length@1"))
    job = workshop.job(server.base_url, cache={"path": "a.sqlite"}, limits={"max_in_flight": 1})
    vbatch.run(job)
    before = server.sums["requests"]

    assert vbatch.retry(workshop.folder / "run", finish_reason="length").answered == 1

    assert server.sums["requests"] == before + 1


def test_a_file_that_is_no_cache_is_refused_before_anything_is_sent(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    (workshop.folder / "notes.txt").write_text("no database, but long enough to be looked at" * 9)
    job = workshop.job(server.base_url, cache={"path": "notes.txt"})

    with pytest.raises(JobError, match=r"notes\.txt cannot keep answers"):
        vbatch.run(job)
    assert server.sums["requests"] == 0
    assert (workshop.folder / "notes.txt").read_text().startswith("no database")


def test_parsed_fields_come_from_the_cache_too(endpoint, workshop):
    server = endpoint(dialect="openai")
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"n": {"type": "integer"}},
    }
    (workshop.folder / "n.json").write_text(json.dumps(schema))
    workshop.picture("one.jpg")
    workshop.manifest([{"id": f"r{n}", "image": "one.jpg", "prompt": "ask"} for n in range(3)])
    job = workshop.job(server.base_url, request={"response_schema": "n.json"})

    vbatch.run(job, overrides=["dedupe=true"])

    assert server.sums["requests"] == 1
    assert [row["parsed"] for row in results(workshop)] == [{"n": 32}] * 3


def batch_lines(workshop, count):
    """Lines for OpenAI's Batch endpoint that all ask the same."""
    url = "data:image/jpeg;base64," + base64.b64encode(picture()).decode()
    content = [{"type": "text", "text": "q"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
    line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    workshop.manifest([{"custom_id": f"r{n}", **line} for n in range(count)])


def test_batch_lines_without_a_schema_answer_none_that_must_follow_one(endpoint, workshop):
    server = endpoint(dialect="openai")
    batch_lines(workshop, 2)
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    (workshop.folder / "a.json").write_text(json.dumps(schema))
    job = workshop.job(server.base_url, cache={"path": "answers.sqlite"})
    vbatch.run(job)

    summary = vbatch.run(
        job,
        overrides=[
            f"output={workshop.folder}/other",
            f"request.response_schema={workshop.folder}/a.json",
        ],
    )

    assert (summary.answered, summary.failed) == (0, 2)
    assert server.sums["requests"] > 2


def test_batch_lines_whose_whole_answer_is_wanted_are_asked_for_it(endpoint, workshop):
    server = endpoint(dialect="openai")
    batch_lines(workshop, 1)
    job = workshop.job(server.base_url, cache={"path": "answers.sqlite"})
    vbatch.run(job)

    vbatch.run(job, overrides=[f"output={workshop.folder}/other", "request.raw=true"])

    assert server.sums["requests"] == 2
    assert json.loads(results(workshop, "other")[0]["raw"])["choices"]


def test_a_kept_answer_that_breaks_the_schema_is_asked_for_anew_and_replaced(endpoint, workshop):
    server = endpoint(dialect="openai")
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"n": {"type": "integer"}},
    }
    (workshop.folder / "n.json").write_text(json.dumps(schema))
    workshop.rows(1)
    job = workshop.job(
        server.base_url, cache={"path": "answers.sqlite"}, request={"response_schema": "n.json"}
    )
    vbatch.run(job)
    with sqlite3.connect(workshop.folder / "answers.sqlite") as file:
        bad = json.dumps({"text": "no JSON", "finish_reason": "stop", "parsed": {"n": 1}})
        file.execute("UPDATE vbatch_answers_1 SET answer = ?", (bad.encode(),))
    file.close()

    vbatch.run(job, overrides=[f"output={workshop.folder}/second"])
    vbatch.run(job, overrides=[f"output={workshop.folder}/third"])

    assert server.sums["requests"] == 2
    assert [row["parsed"] for row in results(workshop, "second")] == [{"n": 32}]
    assert [row["parsed"] for row in results(workshop, "third")] == [{"n": 32}]


def test_rows_that_come_while_an_answer_is_being_written_take_it(endpoint, workshop, monkeypatch):
    server = endpoint(dialect="openai", latency_s=0.02)
    workshop.picture("one.jpg")
    workshop.manifest([{"id": f"r{n}", "image": "one.jpg", "prompt": "ask"} for n in range(200)])
    keep = AnswerCache.keep

    def slowly(self, answers):
        time.sleep(0.3)
        keep(self, answers)

    monkeypatch.setattr(AnswerCache, "keep", slowly)
    job = workshop.job(server.base_url, limits={"max_in_flight": 16})

    assert vbatch.run(job, overrides=["dedupe=true"]).answered == 200

    assert server.sums["requests"] == 1


def test_a_cache_that_another_process_writes_to_holds_no_row_up(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.02)
    workshop.picture("one.jpg")
    workshop.manifest(
        [{"id": f"r{n}", "image": "one.jpg", "prompt": f"ask {n % 60}"} for n in range(120)]
    )
    AnswerCache(workshop.folder / "answers.sqlite").close()
    other = sqlite3.connect(workshop.folder / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    job = workshop.job(
        server.base_url, cache={"path": "answers.sqlite"}, limits={"max_in_flight": 4}
    )

    assert vbatch.run(job).answered == 120

    other.close()
    rows = results(workshop)
    asked = [row["finished_at"] for row in rows]
    assert server.sums["requests"] == 60
    assert (max(asked) - min(asked)).total_seconds() < 4


@pytest.mark.parametrize(
    "damage", [b"no database, but long enough to be looked at" * 90, b"\0" * 99]
)
def test_a_damaged_file_of_the_runs_own_is_put_aside(endpoint, workshop, damage):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    hidden = workshop.folder / "run" / ".vbatch"
    job = workshop.job(server.base_url)
    vbatch.run(job, overrides=["dedupe=true"], limit=1)
    (hidden / "answers.sqlite").write_bytes(damage)

    assert vbatch.run(job, overrides=["dedupe=true"]).exit_code == 0

    assert server.sums["requests"] == 2
    assert (hidden / "answers.sqlite.damaged").read_bytes() == damage


def test_another_programs_database_is_refused_and_left_as_it_is(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    with sqlite3.connect(workshop.folder / "bills.db") as file:
        file.execute("CREATE TABLE bills (name)")
    file.close()
    before = (workshop.folder / "bills.db").read_bytes()
    job = workshop.job(server.base_url, cache={"path": "bills.db"})

    with pytest.raises(JobError, match=r"bills\.db cannot keep answers: .* another file in cache"):
        vbatch.run(job)
    assert server.sums["requests"] == 0
    assert (workshop.folder / "bills.db").read_bytes() == before
