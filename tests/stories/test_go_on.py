"""The same command again: what is answered stays, what is new is asked, what changed is said."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time

import pyarrow.compute as pc
import pytest

import vbatch
from vbatch import api
from vbatch.errors import Mismatch
from vbatch.server import parse_faults


def tables(workshop):
    return vbatch.open_run(workshop.folder / "run")


def test_a_grown_and_reordered_manifest_asks_only_what_is_new(endpoint, workshop):
    server = endpoint(dialect="openai")
    path = workshop.rows(10)
    job = workshop.job(server.base_url)
    assert vbatch.run(job).answered == 10
    lines = path.read_text().splitlines()
    new = json.dumps({"id": "new", "image": "one.jpg", "prompt": "row new"})
    path.write_text("\n".join([new, *reversed(lines)]) + "\n")

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered, summary.total_answered) == (0, 1, 11)
    assert server.sums["requests"] == 11


def test_nothing_to_do_sends_nothing(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    job = workshop.job(server.base_url)
    vbatch.run(job)

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered, summary.left) == (0, 0, 0)
    assert "nothing to do" in summary.line()
    assert server.sums["requests"] == 3


def test_a_changed_row_is_asked_again_and_its_old_answer_kept_aside(endpoint, workshop):
    server = endpoint(dialect="openai")
    path = workshop.rows(3)
    job = workshop.job(server.base_url)
    vbatch.run(job)
    path.write_text(path.read_text().replace("row 1", "row one"))

    summary = vbatch.run(job)

    assert summary.answered == 1
    results = {row["id"]: row["prompt"] for row in tables(workshop).results().to_pylist()}
    assert results == {"r0": "row 0", "r1": "row one", "r2": "row 2"}
    assert [row["prompt"] for row in tables(workshop).superseded().to_pylist()] == ["row 1"]


def test_another_question_is_refused_with_the_differences(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    job = workshop.job(server.base_url)
    vbatch.run(job)

    with pytest.raises(Mismatch, match=r"(?s)request\.temperature.*--fresh.*--accept-change"):
        vbatch.run(job, overrides=["request.temperature=0.5"])

    assert server.sums["requests"] == 3


def test_an_accepted_change_leaves_answered_rows_alone(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    path = workshop.manifest([{"id": "a", "image": "one.jpg", "page": 1}])
    job = workshop.job(server.base_url, request={"prompt": "Look."})
    vbatch.run(job)
    with path.open("a") as file:
        file.write(json.dumps({"id": "b", "image": "one.jpg", "page": 2}) + "\n")

    summary = vbatch.run(job, overrides=["request.prompt=Page {{ page }}."], accept_change=True)

    assert summary.answered == 1
    assert server.answered_prompts() == ["Look.", "Page 2."]
    again = vbatch.run(job, overrides=["request.prompt=Page {{ page }}."])
    assert (again.exit_code, again.answered) == (0, 0)


def test_a_change_before_the_first_answer_is_simply_taken(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "late.jpg", "prompt": "hello"}])
    job = workshop.job(server.base_url)
    assert vbatch.run(job).failed == 1
    workshop.picture("late.jpg")

    summary = vbatch.run(job, overrides=["request.max_tokens=50"])

    assert (summary.exit_code, summary.answered) == (0, 1)


def test_fresh_renames_the_old_run_and_starts_over(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    job = workshop.job(server.base_url)
    vbatch.run(job)

    summary = vbatch.run(job, fresh=True)

    assert summary.answered == 2
    (old,) = [path for path in workshop.folder.glob("run*") if path.name != "run"]
    assert vbatch.open_run(old).results().num_rows == 2


def test_retry_of_cut_answers_replaces_only_those_and_keeps_the_old(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    workshop.manifest(
        [
            {"id": "short", "image": "one.jpg", "prompt": "row", "params": {"max_tokens": 400}},
            {"id": "cut", "image": "one.jpg", "prompt": "a long story"},
        ]
    )
    job = workshop.job(server.base_url, request={"max_tokens": 5})
    vbatch.run(job)
    reasons = {r["id"]: r["finish_reason"] for r in tables(workshop).results().to_pylist()}
    assert reasons == {"short": "stop", "cut": "length"}

    summary = vbatch.retry(
        workshop.folder / "run", finish_reason="length", overrides=["request.max_tokens=800"]
    )

    assert (summary.exit_code, summary.answered) == (0, 1)
    run = tables(workshop)
    assert {r["id"]: r["finish_reason"] for r in run.results().to_pylist()} == {
        "short": "stop",
        "cut": "stop",
    }
    (old,) = run.superseded().to_pylist()
    assert (old["id"], old["finish_reason"]) == ("cut", "length")
    kept = sum(pc.sum(t["total_tokens"]).as_py() for t in (run.results(), run.superseded()))
    wasted = pc.sum(run.usage()["wasted_tokens"]).as_py()
    assert pc.sum(run.usage()["total_tokens"]).as_py() == kept + wasted
    assert kept + wasted == server.sums["total_tokens"]
    assert vbatch.run(job).answered == 0, "the job itself has not changed"


def test_retry_asks_failed_rows_of_a_code_only(endpoint, workshop):
    server = endpoint(dialect="openai")
    (workshop.folder / "svg.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    workshop.manifest(
        [
            {"id": "gone", "image": "gone.png", "prompt": "hello"},
            {"id": "svg", "image": "svg.png", "prompt": "hello"},
        ]
    )
    job = workshop.job(server.base_url)
    assert vbatch.run(job).failed == 2
    workshop.picture("gone.png", "red", (9, 9), "PNG")
    workshop.picture("svg.png", "red", (9, 9), "PNG")

    assert vbatch.retry(workshop.folder / "run", only=["image_unsupported"]).answered == 1
    assert [row["id"] for row in tables(workshop).failures().to_pylist()] == ["gone"]
    assert vbatch.run(job).answered == 1, "what is retryable is asked again by itself"


def test_an_empty_first_night_settles_no_types(endpoint, workshop):
    server = endpoint(dialect="openai")
    path = workshop.manifest([])
    job = workshop.job(server.base_url)
    assert vbatch.run(job).exit_code == 0
    workshop.picture("one.jpg")
    path.write_text(json.dumps({"id": "a", "image": "one.jpg", "prompt": "hi", "page": 7}) + "\n")

    assert vbatch.run(job).answered == 1

    (row,) = tables(workshop).results().to_pylist()
    assert (row["page"], row["extra"]) == (7, None)


def test_types_stay_settled_and_what_no_longer_fits_stands_in_extra(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    row = {"id": "a", "image": "one.jpg", "prompt": "hi", "page": 7}
    path = workshop.manifest([row])
    job = workshop.job(server.base_url)
    vbatch.run(job)
    with path.open("a") as file:
        file.write(json.dumps(row | {"id": "b", "page": "seven", "late": [1]}) + "\n")

    assert vbatch.run(job).answered == 1

    new = tables(workshop).results().sort_by("id").to_pylist()[1]
    assert new["page"] is None
    assert json.loads(new["extra"]) == {"page": "seven", "late": [1]}


def test_a_replaced_picture_is_noticed_when_asked_for_and_a_touched_one_costs_nothing(
    endpoint, workshop
):
    server = endpoint(dialect="openai")
    names = [workshop.picture(f"{n}.png", "red", (20, 10), "PNG") for n in range(3)]
    workshop.manifest([{"id": name, "image": name, "prompt": f"row {name}"} for name in names])
    job = workshop.job(server.base_url)
    vbatch.run(job)
    time.sleep(0.02)
    (workshop.folder / "1.png").touch()
    workshop.picture("2.png", "blue", (30, 10), "PNG")

    assert vbatch.run(job).answered == 0
    assert vbatch.run(job, changed_images=True).answered == 1
    assert vbatch.run(job, changed_images=True).answered == 0

    texts = {row["id"]: row["text"] for row in tables(workshop).results().to_pylist()}
    assert "30x10" in texts["2.png"]
    assert server.answered_prompts().count("row 2.png") == 2


def test_a_replaced_picture_that_is_refused_is_not_asked_again_every_night(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    job = workshop.job(server.base_url)
    assert vbatch.run(job).answered == 1
    time.sleep(0.02)
    workshop.picture("one.jpg", "blue", (30, 10))
    refusing = endpoint(dialect="openai", faults=parse_faults("400:1"))
    there = [f"endpoint.base_url={refusing.base_url}"]

    nights = [vbatch.run(job, overrides=there, changed_images=True).failed for _ in range(3)]

    assert nights == [1, 0, 0]
    assert refusing.sums["requests"] == 1
    assert tables(workshop).results().num_rows == 1, "the answer to the former picture stands"


async def test_a_retry_that_fails_rows_and_is_interrupted_asks_none_of_them_twice(
    endpoint, workshop
):
    server = endpoint(dialect="openai")
    workshop.rows(8)
    job = workshop.job(server.base_url, request={"max_tokens": 3}, limits={"max_in_flight": 1})
    await vbatch.arun(job)
    refusing = endpoint(dialect="openai", faults=parse_faults("400:1"), latency_s=0.01)
    words = {"finish_reason": "length", "overrides": [f"endpoint.base_url={refusing.base_url}"]}
    for _ in range(2):
        async with api.retry_session(workshop.folder / "run", **words) as session:
            async for _ in session:
                break
    assert 0 < refusing.sums["requests"] < 8

    await asyncio.to_thread(vbatch.retry, workshop.folder / "run", **words)

    assert sorted(entry.prompt for entry in refusing.entries) == [f"row {n}" for n in range(8)]


def test_an_interrupted_retry_goes_on_and_asks_nothing_twice(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(6)
    job = workshop.job(server.base_url, request={"max_tokens": 3}, limits={"max_in_flight": 1})
    vbatch.run(job)
    words = {
        "finish_reason": "length",
        "overrides": ["request.max_tokens=4", "limits.max_tokens_total=400"],
    }

    codes = [vbatch.retry(workshop.folder / "run", **words).exit_code for _ in range(6)]

    assert codes[0] == 4, "the budget is too small for all rows at once"
    assert 0 in codes
    finished = codes.index(0)
    prompts = server.answered_prompts()[: 6 + 6]
    assert sorted(prompts) == sorted(2 * [f"row {n}" for n in range(6)])
    assert len(codes) > finished >= 1


def test_a_manifest_that_shrinks_under_us_stops_the_run_and_loses_nothing(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.01)
    path = workshop.rows(1_500)
    whole = path.read_bytes()
    job = workshop.job(server.base_url)

    def shrink():
        while server.sums["requests"] < 50:
            time.sleep(0.005)
        os.truncate(path, 9_000)

    thread = threading.Thread(target=shrink, daemon=True)
    thread.start()
    summary = vbatch.run(job)
    thread.join()

    assert summary.exit_code == 2
    assert "manifest.jsonl: the file shrank" in summary.line()
    path.write_bytes(whole)
    again = vbatch.run(job)
    assert (again.exit_code, again.total_answered) == (0, 1_500)
    assert server.sums["answered"] == 1_500
