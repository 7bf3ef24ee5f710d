"""Dry runs, checks and lists say what a run would meet, and touch nothing."""

from __future__ import annotations

import socket
from decimal import Decimal

import pytest

import vbatch
from tests.conftest import as_nobody, picture
from vbatch import api
from vbatch.errors import EndpointError, JobError, Mismatch, StorageFull
from vbatch.job import load_job

OTHER = ["request.temperature=0.5"]


@pytest.fixture
def answered(endpoint, workshop):
    """A job that is answered, and its server."""
    server = endpoint(dialect="openai")
    workshop.rows(2)
    job = workshop.job(server.base_url)
    assert vbatch.run(job).answered == 2
    return server, job


def test_a_dry_run_refuses_another_question_as_the_run_would(answered):
    _, job = answered
    changed = api.load(job, overrides=OTHER)

    with pytest.raises(Mismatch, match=r"(?s)request\.temperature.*--fresh.*--accept-change"):
        api.rehearse(changed)

    assert api.rehearse(changed, accept_change=True).done == 2
    assert api.rehearse(changed, fresh=True).requests == 2


def test_a_dry_run_refuses_a_missing_key_as_the_run_would(answered, monkeypatch):
    _, job = answered
    monkeypatch.delenv("TEST_KEY")

    with pytest.raises(JobError, match="TEST_KEY"):
        api.rehearse(api.load(job))


def test_a_check_names_another_question_and_looks_further(answered):
    _, job = answered

    found = api.check(api.load(job, overrides=OTHER))

    (problem,) = found.problems
    assert "request.temperature" in problem
    assert any(note.startswith("manifest: 2 rows") for note in found.notes)


def local_job(folder, output):
    return load_job(
        None,
        flags={
            "manifest": str(folder / "pictures"),
            "output": str(output),
            "profile": "local",
            "prompt": "x",
        },
        env={},
        cwd=folder,
    )


def test_a_check_of_a_run_that_can_only_be_read_says_so_and_looks_further(commons):
    (commons / "pictures").mkdir()
    (commons / "pictures" / "a.jpg").write_bytes(picture())
    job = local_job(commons, commons / "run")
    assert vbatch.run(job).answered == 1
    for path in (commons / "run", *(commons / "run").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)

    with as_nobody():
        found = api.check(job)

    assert any("which rows are done cannot be told" in problem for problem in found.problems)
    assert any(note.startswith("manifest: 1 rows") for note in found.notes)
    for path in (commons / "run", *(commons / "run").rglob("*")):
        path.chmod(0o755)


def test_an_output_in_a_folder_that_is_closed_to_us_is_a_matter_of_storage(commons):
    (commons / "job.toml").write_text(
        'manifest = "pictures"\noutput = "locked/run"\nendpoint.profile = "local"\n'
    )
    closed = pytest.raises(StorageFull, match=r"locked/run.*: Permission denied")

    with closed, as_nobody():
        vbatch.run(commons / "job.toml")
    with closed, as_nobody():
        vbatch.retry(commons / "locked" / "run")


def test_a_run_among_the_pictures_it_reads_is_refused_before_anything_lies_there(workshop):
    workshop.picture("one.jpg")
    job = workshop.folder / "job.toml"
    job.write_text('manifest = "."\noutput = "."\nendpoint.profile = "local"\n')

    with pytest.raises(JobError, match="is the manifest's own folder"):
        vbatch.run(job)

    assert {path.name for path in workshop.folder.iterdir()} == {"one.jpg", "job.toml"}


def models_at(base_url):
    return api.models("openai", overrides=[f"endpoint.base_url={base_url}"])


def test_a_list_of_models_that_cannot_be_reached_is_for_later(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(EndpointError) as caught:
        models_at(f"http://127.0.0.1:{port}/v1")

    assert caught.value.exit_code == 5


def test_a_list_of_models_at_a_wrong_address_is_bad_usage(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    server = endpoint(dialect="openai")

    with pytest.raises(EndpointError) as caught:
        models_at(f"{server.base_url}/nowhere")

    assert caught.value.exit_code == 2


def test_a_list_of_models_keeps_what_came_from_outside(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("PLACE", "canary.invalid")

    with pytest.raises(EndpointError) as caught:
        models_at("http://${PLACE}/v1")

    assert "canary" not in str(caught.value)
    assert "canary" not in caught.value.message


def test_a_dry_run_tells_what_it_would_cost_at_most(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(4)
    job = workshop.job(
        server.base_url, request={"max_tokens": 100}, price={"input": 10, "output": 20}
    )

    ahead = api.rehearse(api.load(job))
    paid = vbatch.run(job).cost

    assert paid <= ahead.cost <= paid + 4 * (100 * 20 + 10 * 10) / Decimal(1_000_000)
    assert f"tokens and ${ahead.cost:.4f}" in ahead.line()
    assert ahead.as_json()["cost"] == float(ahead.cost)


def test_a_dry_run_at_an_unknown_price_says_that_it_is_not_known(workshop):
    workshop.rows(1)
    job = workshop.job("https://api.openai.com/v1", endpoint={"model": "in-house-7b"})
    ahead = api.rehearse(api.load(job))
    assert ahead.cost is None
    assert "at a price that is not known" in ahead.line()
