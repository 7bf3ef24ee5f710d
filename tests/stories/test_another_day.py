"""A job that reads the environment, retried on a day when that says something else."""

from __future__ import annotations

import pytest

import vbatch
from vbatch.errors import Mismatch

FIRST, OTHER = "2026-11-20", "2026-11-21"


@pytest.fixture
def daily(endpoint, workshop, monkeypatch):
    """``daily(changes)`` makes a job of the pattern ``${DAY}``, run on the first day."""
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    for day in (FIRST, OTHER):
        rows = [{"id": name, "image": "one.jpg", "prompt": f"{day} {name}"} for name in "ab"]
        rows[0]["image"] = "late.jpg"
        workshop.manifest(rows, name=f"m-{day}.jsonl")

    def make(*changes, **tables):
        path = workshop.job(server.base_url, **tables)
        text = path.read_text()
        for old, new in changes:
            text = text.replace(old, new)
        path.write_text(text)
        monkeypatch.setenv("DAY", FIRST)
        assert vbatch.run(path).failed == 1
        workshop.picture("late.jpg")
        monkeypatch.setenv("DAY", OTHER)
        return server

    return make


def test_another_days_manifest_is_not_asked_under_the_ids_of_this_one(daily, workshop, monkeypatch):
    server = daily(("manifest.jsonl", "m-${DAY}.jsonl"), ('"run"', '"run-${DAY}"'))
    run = workshop.folder / f"run-{FIRST}"

    with pytest.raises(Mismatch, match=rf"manifest: now .*m-{OTHER}\.jsonl"):
        vbatch.retry(run)

    assert server.sums["requests"] == 1
    monkeypatch.setenv("DAY", FIRST)
    assert vbatch.retry(run).answered == 1
    assert server.answered_prompts() == [f"{FIRST} b", f"{FIRST} a"]


def test_another_question_is_not_asked_for_the_rows_of_this_one(daily, workshop):
    server = daily(
        ("manifest.jsonl", f"m-{FIRST}.jsonl"), request={"system": "Today it is ${DAY}."}
    )

    with pytest.raises(Mismatch, match=r"(?s)request\.system.*Set these environment variables"):
        vbatch.retry(workshop.folder / "run", overrides=["request.system=It is today."])

    assert server.sums["requests"] == 1


def test_another_folder_of_images_is_not_read_for_the_rows_of_this_one(daily, workshop):
    for day in (FIRST, OTHER):
        (workshop.folder / day).mkdir()
        workshop.picture(f"{day}/one.jpg")
    server = daily(
        ("manifest.jsonl", f"m-{FIRST}.jsonl"),
        images={"root": "${DAY}"},
    )

    with pytest.raises(Mismatch, match=rf"images\.root: now .*{OTHER}"):
        vbatch.retry(workshop.folder / "run")

    assert server.sums["requests"] == 1


def test_where_the_run_goes_is_no_question(daily, workshop, monkeypatch):
    daily(("manifest.jsonl", f"m-{FIRST}.jsonl"), ('"run"', '"run-${DAY}"'))
    monkeypatch.delenv("DAY")

    assert vbatch.retry(workshop.folder / f"run-{FIRST}").answered == 1


@pytest.mark.parametrize("name", ["two$$dollars", "${HOME}", "$"])
def test_a_run_may_be_called_what_a_job_file_would_fill_in(endpoint, workshop, name):
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "late.jpg", "prompt": "hi"}])
    job = workshop.job(server.base_url)
    vbatch.run(job)
    workshop.picture("late.jpg")
    moved = (workshop.folder / "run").rename(workshop.folder / name)

    assert vbatch.retry(moved).answered == 1
    assert vbatch.open_run(moved).results().num_rows == 1
    assert not (workshop.folder / "run").exists()
