"""Bad weather between us and the endpoint, and bad rows in the manifest."""

from __future__ import annotations

import json

import pytest

import vbatch
from vbatch.server import parse_faults

QUARTER = (
    "429:0.05,500:0.04,503:0.04,reset:0.03,close:0.03,cut:0.02,garbage:0.01,empty:0.01,"
    "error200:0.01,html:0.01"
)


@pytest.mark.slow
def test_a_quarter_of_all_requests_failing_costs_no_row(endpoint, workshop):
    server = endpoint(faults=parse_faults(QUARTER), retry_after="0.02", dialect="openai")
    workshop.rows(400)
    job = workshop.job(
        server.base_url,
        retry={"max_ambiguous": 8, "max_attempts": 12, "max_wait": "5ms", "timeout": "10s"},
    )

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered, summary.failed) == (0, 400, 0)
    run = vbatch.open_run(workshop.folder / "run")
    assert {row["id"] for row in run.results().to_pylist()} == {f"r{n}" for n in range(400)}
    assert all(row["text"] and row["prompt"] in row["text"] for row in run.results().to_pylist())
    (usage,) = run.usage().to_pylist()
    assert usage["requests"] == server.sums["requests"]
    assert usage["retries"] == usage["requests"] - 400
    by_status = server.sums["by_status"]
    assert usage["throttled"] == by_status["429"]
    maybe = sum(
        entry.status is None or entry.fault in {"garbage", "empty", "html", "cut", "error200"}
        for entry in server.entries
    )
    assert usage["possibly_billed"] == maybe


def test_damaged_rows_and_images_stand_in_failures_with_their_codes(endpoint, workshop):
    server = endpoint(dialect="openai")
    good = workshop.picture("good.png", "red", (20, 20), "PNG")
    (workshop.folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (workshop.folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    workshop.manifest(
        [
            {"id": "good", "image": good, "prompt": "hello", "page": 1},
            {"id": "gone", "image": "nowhere.png", "prompt": "hello", "page": 2},
            {"id": "cut", "image": "cut.jpg", "prompt": "hello", "page": 3},
            {"id": "svg", "image": "drawing.svg", "prompt": "hello", "page": 4},
            {"id": "out", "image": "../../etc/passwd", "prompt": "hello", "page": 5},
            {"id": "mute", "image": good, "page": 6},
            "{not json",
        ]
    )

    summary = vbatch.run(workshop.job(server.base_url))

    assert (summary.exit_code, summary.answered, summary.failed) == (3, 1, 6)
    failures = {
        row["id"]: row for row in vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    }
    codes = {name: row["code"] for name, row in failures.items() if not name.startswith("bad-")}
    assert codes == {
        "gone": "image_not_found",
        "cut": "image_unreadable",
        "svg": "image_unsupported",
        "out": "image_forbidden",
        "mute": "bad_row",
    }
    (broken,) = [row for name, row in failures.items() if name.startswith("bad-")]
    assert (broken["code"], broken["line"], broken["stage"]) == ("bad_row", 7, "manifest")
    assert failures["gone"]["page"] == 2
    assert failures["gone"]["image"] == "nowhere.png"
    assert failures["gone"]["retryable"] is True
    assert failures["svg"]["retryable"] is False
    assert server.sums["requests"] == 1


def test_failures_are_a_manifest_of_their_own(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("later.png", "red", (20, 20), "PNG")
    (workshop.folder / "later.png").rename(workshop.folder / "hidden.png")
    workshop.manifest([{"id": "a", "image": "later.png", "prompt": "hello", "code": "mine"}])
    job = workshop.job(server.base_url)
    assert vbatch.run(job).exit_code == 3
    (workshop.folder / "hidden.png").rename(workshop.folder / "later.png")

    again = vbatch.run(
        job,
        overrides=[
            f"manifest={workshop.folder}/run/failures",
            f"output={workshop.folder}/second",
            f"images.root={workshop.folder}",
        ],
    )

    assert (again.exit_code, again.answered) == (0, 1)
    (row,) = vbatch.open_run(workshop.folder / "second").results().to_pylist()
    assert (row["id"], row["prompt"], row["in_code"]) == ("a", "hello", "mine")


def test_what_fitted_no_column_survives_the_way_through_failures(endpoint, workshop):
    server = endpoint(dialect="openai")
    rows = [{"id": f"r{n}", "image": "one.jpg", "prompt": "hi", "page": n} for n in range(3)]
    workshop.manifest(rows)
    job = workshop.job(server.base_url)
    assert vbatch.run(job).failed == 3
    workshop.manifest([*rows, {"id": "odd", "image": "one.jpg", "prompt": "hi", "page": "seven"}])
    assert vbatch.run(job).failed == 4
    workshop.picture("one.jpg")

    summary = vbatch.run(
        job,
        overrides=[
            f"manifest={workshop.folder}/run/failures",
            f"output={workshop.folder}/second",
            f"images.root={workshop.folder}",
        ],
    )

    assert summary.answered == 4
    results = vbatch.open_run(workshop.folder / "second").results().to_pylist()
    odd = next(row for row in results if row["id"] == "odd")
    assert odd["page"] == "seven" or json.loads(odd["extra"]) == {"page": "seven"}


@pytest.mark.parametrize(
    ("settings", "job", "exit_code", "says"),
    [
        ({"api_key": "another-key"}, {}, 4, "key"),
        (
            {"dialect": "flexai", "token_budget": 0},
            {"model": "phi-4-multimodal-instruct"},
            4,
            "quota",
        ),
        ({}, {"model": "no-such-model"}, 4, "no-such-model"),
        ({}, {"path": "/nothing/here"}, 2, "URL"),
    ],
    ids=["wrong key", "empty quota", "unknown model", "wrong URL"],
)
def test_what_no_row_can_survive_stops_the_run_after_a_handful_of_requests(
    settings, job, exit_code, says, endpoint, workshop
):
    server = endpoint(**{"dialect": "openai"} | settings)
    workshop.rows(200)
    path = workshop.job(
        server.base_url + job.pop("path", ""),
        profile=settings.get("dialect", "openai"),
        endpoint=job,
    )

    summary = vbatch.run(path)

    assert summary.exit_code == exit_code
    assert says in summary.line()
    assert server.sums["requests"] <= 12
    assert summary.left == 200 - summary.total_answered


def test_nobody_there_stops_the_run_to_try_later(workshop, unused_tcp_port):
    workshop.rows(50)

    summary = vbatch.run(workshop.job(f"http://127.0.0.1:{unused_tcp_port}/v1"))

    assert summary.exit_code == 5
    assert f"127.0.0.1:{unused_tcp_port}" in summary.line()
    assert (summary.answered, summary.failed, summary.left) == (0, 0, 50)
