"""The command that a closing line ends with goes on, typed as it stands there."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys

import pytest

import vbatch
from vbatch.cli import main
from vbatch.server import parse_faults


@pytest.fixture
def typed(monkeypatch):
    """Type a command as a line; returns its exit code and last words."""

    def type_it(line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        codes: list[int] = []
        with contextlib.redirect_stderr(io.StringIO()) as said:
            main(leave=codes.append)
        return codes[0], said.getvalue().strip().splitlines()[-1]

    return type_it


def next_command(line: str) -> str:
    return line.partition(" · next: ")[2]


def folder(run):
    return vbatch.open_run(run)


def test_of_a_run_whose_place_comes_from_the_environment(endpoint, workshop, typed, monkeypatch):
    monkeypatch.setenv("DAY", "2026-11-20")
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "late.jpg", "prompt": "On ${DAY}."}])
    job = workshop.job(server.base_url, request={"system": "Today is ${DAY}."})
    job.write_text(job.read_text().replace('"run"', '"runs/${DAY}"'))

    code, last = typed(f"vbatch run {job}")

    assert code == 3
    workshop.picture("late.jpg")
    assert typed(next_command(last))[0] == 0
    assert folder(workshop.folder / "runs" / "2026-11-20").results().num_rows == 1


def test_a_place_named_by_a_key_is_still_not_said(endpoint, workshop, typed, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "canary-0123")
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "late.jpg", "prompt": "hi"}])
    job = workshop.job(server.base_url)
    job.write_text(job.read_text().replace('"run"', '"runs/${MY_TOKEN}"'))

    code, last = typed(f"vbatch run {job}")

    assert code == 3
    assert "canary-0123" not in last


def test_of_a_retry_that_is_through_while_rows_were_never_asked(endpoint, workshop, typed):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    workshop.manifest(
        [{"id": name, "image": f"{name}.jpg", "prompt": "hi"} for name in ("late", "one", "gone")]
    )
    job = workshop.job(server.base_url)
    typed(f"vbatch run {job} --limit 2")
    workshop.picture("late.jpg")

    code, last = typed(f"vbatch retry {workshop.folder / 'run'}")

    assert (code, "1 left" in last) == (0, True)
    workshop.picture("gone.jpg")
    assert typed(next_command(last))[0] == 0
    assert folder(workshop.folder / "run").results().num_rows == 3


def test_of_such_a_retry_of_a_job_without_a_file(workshop, typed):
    pictures = workshop.folder / "pictures"
    pictures.mkdir()
    for name in ("a.jpg", "b.jpg"):
        workshop.picture(f"pictures/{name}")
    (pictures / "a.jpg").write_bytes(b"")
    words = f"--manifest {pictures} --profile local --output {workshop.folder / 'run'}"
    typed(f"vbatch run {words} --prompt 'What does $5 buy, in two\n\"lines\"?' --limit 1")
    workshop.picture("pictures/a.jpg")
    moved = (workshop.folder / "run").rename(workshop.folder / "moved")

    code, last = typed(f"vbatch retry {moved}")

    assert (code, "1 left" in last) == (0, True)
    assert typed(next_command(last))[0] == 0
    assert folder(moved).results().num_rows == 2


def test_of_a_run_that_looked_for_changed_images(endpoint, workshop, typed):
    server = endpoint(dialect="openai")
    names = [workshop.picture(f"{n}.png", "red", (20, 10), "PNG") for n in range(2)]
    workshop.manifest([{"id": name, "image": name, "prompt": f"row {name}"} for name in names])
    job = workshop.job(server.base_url)
    typed(f"vbatch run {job}")
    for name in names:
        workshop.picture(name, "blue", (30, 10), "PNG")

    code, last = typed(f"vbatch run {job} --changed-images --limit 1")

    assert (code, "1 left" in last) == (0, True)
    assert typed(next_command(last))[0] == 0
    assert server.sums["requests"] == 4


@pytest.mark.parametrize("loaded", [False, True])
def test_of_a_run_from_python_with_settings_of_its_own(endpoint, workshop, typed, loaded):
    server = endpoint(dialect="openai")
    names = [workshop.picture(f"{n}.png", "red", (20, 10), "PNG") for n in range(3)]
    workshop.manifest([{"id": name, "image": name, "prompt": f"row {name}"} for name in names])
    job, words = workshop.job(server.base_url), ["request.max_tokens=50"]
    given = {"overrides": words}
    if loaded:
        job, given = vbatch.api.load(job, overrides=words), {}

    summary = vbatch.run(job, limit=1, changed_images=True, **given)

    assert typed(summary.again)[0] == 0
    assert folder(workshop.folder / "run").results().num_rows == 3


def test_rows_refused_before_a_stop_are_named_until_they_are_answered(endpoint, workshop, typed):
    refusing = endpoint(dialect="openai", faults=parse_faults("400:1"))
    workshop.rows(30)
    path = workshop.job(refusing.base_url)
    retry = f"vbatch retry {workshop.folder / 'run'}"

    code, last = typed(f"vbatch run {path}")
    assert code == 4
    assert f"failed rows are asked again by: {retry} · next: vbatch run {path}" in last

    mended = endpoint(dialect="openai")
    address = f"-s endpoint.base_url={mended.base_url}"
    code, last = typed(f"{next_command(last)} {address}")
    assert (code, next_command(last)) == (0, retry)
    failed = folder(workshop.folder / "run").failures().num_rows
    assert failed >= 20

    code, last = typed(f"vbatch run {path} {address}")
    assert (code, next_command(last)) == (0, retry), "also where nothing was to do"
    assert typed(f"{next_command(last)} {address}")[0] == 0
    assert mended.sums["requests"] == 30


def test_nothing_is_next_where_every_row_is_answered(endpoint, workshop, typed):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    assert next_command(typed(f"vbatch run {workshop.job(server.base_url)}")[1]) == ""
