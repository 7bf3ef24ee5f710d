"""The same question is paid for once: within a run, and with a cache in all runs."""

from __future__ import annotations

import json

import pytest

import vbatch
from vbatch.errors import JobError
from vbatch.server.faults import parse_faults


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


def test_where_the_first_fails_the_next_one_asks(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05, faults=parse_faults("400@1"))
    workshop.picture("one.jpg")
    workshop.manifest([{"id": f"r{n}", "image": "one.jpg", "prompt": "ask"} for n in range(4)])

    summary = vbatch.run(workshop.job(server.base_url), overrides=["dedupe=true"])

    assert (summary.answered, summary.failed) == (3, 1)
    assert server.sums["requests"] == 2


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
