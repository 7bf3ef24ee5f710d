"""What the last line and run.json say is what the tables say."""

from __future__ import annotations

import asyncio
import json

import pytest

import vbatch
from vbatch import api
from vbatch.server import parse_faults


def run_json(workshop) -> dict:
    return json.loads((workshop.folder / "run" / "run.json").read_text())


def rows(workshop, names, prompt="row {}"):
    workshop.picture("one.jpg")
    return workshop.manifest(
        [{"id": name, "image": "one.jpg", "prompt": prompt.format(name)} for name in names]
    )


def test_left_counts_this_manifests_rows_whatever_the_run_answered_before(endpoint, workshop):
    server = endpoint(dialect="openai")
    rows(workshop, [f"old-{n}" for n in range(10)])
    job = workshop.job(server.base_url)
    assert vbatch.run(job).answered == 10
    rows(workshop, [f"new-{n}" for n in range(10)])

    summary = vbatch.run(job, limit=1)

    assert (summary.answered, summary.left) == (1, 9)
    assert run_json(workshop)["counts"]["left"] == 9


def test_changed_rows_are_left_until_they_are_asked_again(endpoint, workshop):
    server = endpoint(dialect="openai")
    rows(workshop, "abcdef")
    job = workshop.job(server.base_url)
    vbatch.run(job)
    rows(workshop, "abcdef", prompt="changed {}")

    assert vbatch.run(job, limit=2).left == 4


def test_a_retry_leaves_the_rest_of_the_run_to_do(endpoint, workshop):
    server = endpoint(dialect="openai")
    rows(workshop, "abcdef")
    job = workshop.job(server.base_url, request={"max_tokens": 3})
    assert vbatch.run(job, limit=2).left == 4

    again = vbatch.retry(
        workshop.folder / "run", finish_reason="length", overrides=["request.max_tokens=500"]
    )

    assert (again.exit_code, again.answered, again.left) == (0, 2, 4)


async def test_outcomes_nobody_took_are_counted_too(endpoint, workshop):
    server = endpoint(dialect="openai")
    rows(workshop, map(str, range(40)))
    session = api.session(workshop.job(server.base_url))

    async with session:
        async for _ in session:
            break

    kept = vbatch.open_run(workshop.folder / "run").results().num_rows
    assert session.summary.answered == kept == run_json(workshop)["counts"]["answered"]
    assert session.summary.left == 40 - kept


async def test_progress_that_breaks_costs_nothing(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05)
    rows(workshop, map(str, range(100)))
    job = workshop.job(server.base_url, limits={"max_in_flight": 2, "max_duration": "2s"})
    session = api.session(job)

    def broken():
        raise ZeroDivisionError

    session.on_tick = broken
    async with asyncio.timeout(30), session:
        async for _ in session:
            pass

    assert session.summary.exit_code == 5, "the time limit still holds"
    log = (workshop.folder / "run" / ".vbatch" / "log").read_text()
    assert "no more progress is shown: ZeroDivisionError" in log


def test_a_failed_retry_keeps_the_answer_also_under_another_template(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    workshop.manifest([{"id": "a", "image": "one.jpg", "page": 1}])
    job = workshop.job(server.base_url, request={"prompt": "Look."})
    vbatch.run(job)
    template = "request.prompt=Page {{ page }}."
    vbatch.run(job, overrides=[template], accept_change=True)
    (workshop.folder / "one.jpg").unlink()

    summary = vbatch.retry(workshop.folder / "run", finish_reason="stop")

    assert summary.failed == 1
    run = vbatch.open_run(workshop.folder / "run")
    assert (run.results().num_rows, run.failures().num_rows, run.superseded().num_rows) == (1, 0, 0)
    assert summary.total_answered == 1


def test_a_retry_with_another_template_is_not_paid_for_again_by_the_next_run(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "late.jpg", "page": 1}])
    job = workshop.job(server.base_url, request={"prompt": "Look."})
    vbatch.run(job)
    workshop.picture("late.jpg")
    vbatch.retry(workshop.folder / "run", overrides=["request.prompt=Page {{ page }}."])
    assert server.sums["requests"] == 1

    assert vbatch.run(job).answered == 0
    assert server.sums["requests"] == 1


def test_a_root_set_after_all_images_were_forbidden_makes_the_rows_to_do(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    (workshop.folder / "lists").mkdir()
    workshop.manifest(
        [
            {"id": str(n), "image": str(workshop.folder / "one.jpg"), "prompt": "hi"}
            for n in range(30)
        ],
        name="lists/m.jsonl",
    )
    job = workshop.job(server.base_url)
    words = [f"manifest={workshop.folder}/lists/m.jsonl"]
    stopped = vbatch.run(job, overrides=words)
    assert (stopped.exit_code, server.sums["requests"]) == (2, 0)
    assert "images.root" in stopped.line()
    assert vbatch.run(job, overrides=words).answered == 0, "nothing has changed yet"

    mended = vbatch.run(job, overrides=[*words, f"images.root={workshop.folder}"])

    assert (mended.exit_code, mended.answered) == (0, 30)


def test_a_root_that_is_not_there_is_refused(endpoint, workshop):
    server = endpoint(dialect="openai")
    rows(workshop, "ab")
    with pytest.raises(vbatch.errors.JobError, match=r"images\.root: there is no folder"):
        vbatch.run(workshop.job(server.base_url), overrides=["images.root=nowhere"])


def test_a_batch_line_counts_under_the_model_it_asks(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("null@1"))
    workshop.manifest(
        [
            {
                "custom_id": "a",
                "body": {
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
                },
            }
        ]
    )
    vbatch.run(workshop.job(server.base_url))
    (usage,) = vbatch.open_run(workshop.folder / "run").usage().to_pylist()
    assert (usage["model"], usage["requests"], usage["failed"]) == ("gpt-4o-mini", 1, 1)


def test_a_secret_given_on_the_command_line_is_not_said_back(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("429:1"), retry_after="86400")
    rows(workshop, "ab")
    job = workshop.job(server.base_url)
    secret = "endpoint.headers.X-Api-Key=hunter2secret"
    session = api.session(job, overrides=[secret], again=f"vbatch run {job} -s {secret}")

    async def through():
        async with session:
            async for _ in session:
                pass

    asyncio.run(through())
    assert session.summary.exit_code == 5
    assert "hunter2secret" not in session.summary.line()
    assert "vbatch run" in session.summary.line()


def test_possibly_billed_requests_of_all_invocations_are_told(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("reset-after@1"))
    rows(workshop, "ab")
    job = workshop.job(server.base_url, limits={"max_in_flight": 1})
    assert vbatch.run(job).possibly_billed == 1
    rows(workshop, "abc")

    summary = vbatch.run(job)

    assert "1 (+0 now) possibly billed" in summary.line()
    assert run_json(workshop)["counts"]["possibly_billed"] == 1
