"""What a run keeps for itself is its owner's only, and nobody else's folder is taken for a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

import vbatch
from tests.guards.conftest import said
from vbatch.errors import VbatchError
from vbatch.sink.kept import keep, read_kept
from vbatch.sink.layout import Layout
from vbatch.sink.storage import Storage

PUBLIC = {"results", "failures", "superseded", "usage.parquet", "run.json", "README.md"}


@pytest.fixture(autouse=True)
def open_house():
    """A umask under which whatever is made carelessly is everybody's."""
    before = os.umask(0)
    yield
    os.umask(before)


def exposed(run) -> list[str]:
    """What of a run's own files somebody else could open, or its folders list."""
    hidden, found = run / ".vbatch", []
    for path in (hidden, *hidden.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a run at work also removes files
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & 0o077:
                found.append(f"{path.relative_to(run)} {mode:o}")
    return found


def watched(job, run):
    """Run ``job``; what stood open to others after it began, at each answer, and at its end."""
    found = []

    async def work():
        async for _ in vbatch.stream(job):
            found.extend(exposed(run))

    asyncio.run(work())
    return [*found, *exposed(run)]


def test_nothing_of_a_run_is_open_to_others_while_it_works_and_after(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(6)
    workshop.manifest(
        [
            *({"id": f"r{n}", "image": "one.jpg", "prompt": "?"} for n in range(3)),
            {"id": "bad", "image": "gone.jpg", "prompt": "?"},
        ]
    )
    run = workshop.folder / "run"

    assert watched(workshop.job(server.base_url), run) == []
    kept = {path.name for path in (run / ".vbatch").iterdir()}
    assert {"lock", "log", "job.toml", "profile.json", "kept.json", "journal", "commits"} <= kept
    assert list((run / ".vbatch" / "failed").iterdir())


def test_what_is_for_everybody_follows_the_umask(endpoint, workshop):
    workshop.rows(1)
    vbatch.run(workshop.job(endpoint(dialect="openai").base_url))

    for path in (workshop.folder / "run").rglob("*"):
        if path.relative_to(workshop.folder / "run").parts[0] in PUBLIC:
            expected = 0o777 if path.is_dir() else 0o666
            assert stat.S_IMODE(path.stat().st_mode) == expected, path


VERBS = {
    "run --fresh": ["run", "{job}", "--fresh"],
    "run again": ["run", "{job}"],
    "run --dry-run": ["run", "{job}", "--dry-run"],
    "check": ["check", "{job}"],
    "status": ["status", "{run}"],
    "retry": ["retry", "{run}"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_opens_it(vb, endpoint, workshop, verb):
    workshop.rows(2)
    workshop.manifest([{"id": "bad", "image": "gone.jpg", "prompt": "?"}])
    job, run = workshop.job(endpoint(dialect="openai").base_url), workshop.folder / "run"
    vb("run", job)

    vb(*[word.format(job=job, run=run) for word in VERBS[verb]])

    runs = list(workshop.folder.glob("run*"))
    assert [exposed(one) for one in runs] == [[]] * len(runs)
    assert len(runs) == (2 if verb == "run --fresh" else 1)


def test_a_retry_that_was_interrupted_is_nobody_elses_either(endpoint, workshop):
    workshop.manifest([{"id": f"bad{n}", "image": "gone.jpg", "prompt": "?"} for n in range(3)])
    run = workshop.folder / "run"
    vbatch.run(workshop.job(endpoint(dialect="openai").base_url))

    async def go():
        async with vbatch.api.retry_session(run) as outcomes:
            remembered = run / ".vbatch" / "retry.json"
            return [(exposed(run), remembered.exists()) async for _ in outcomes]

    assert asyncio.run(go()) == [([], True)] * 3


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o770])
def test_a_run_that_stood_open_is_closed(endpoint, workshop, mode):
    workshop.rows(1)
    job, hidden = workshop.job(endpoint(dialect="openai").base_url), workshop.folder / "run/.vbatch"
    vbatch.run(job)
    hidden.chmod(mode)

    vbatch.run(job)

    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700


PLANTED = [
    ".vbatch",
    ".vbatch/journal",
    ".vbatch/commits",
    ".vbatch/failed",
    ".vbatch/log",
    ".vbatch/lock",
    ".vbatch/kept.json",
    ".vbatch/job.toml",
    ".vbatch/retry.json",
    ".vbatch/journal/reserve",
    ".vbatch/journal/000001.seg.tmp",
    ".vbatch/probe.tmp",
    "results",
    "failures",
    "superseded",
    "results/part-000001.parquet.tmp",
    "results/part-000001.parquet",
    "failures/part-000000.parquet.tmp",
    "usage.parquet",
    "usage.parquet.tmp",
    "run.json",
    "run.json.tmp",
    "README.md",
]


FOLDERS = {".vbatch", "journal", "commits", "failed", "results", "failures", "superseded"}


@pytest.mark.parametrize("name", PLANTED)
def test_a_link_planted_in_a_run_is_never_written_through(endpoint, workshop, name):
    """Whether the run refuses or takes the link away: what it points to stays as it was."""
    workshop.rows(2)
    job, run = workshop.job(endpoint(dialect="openai").base_url), workshop.folder / "run"
    (run / ".vbatch").mkdir(parents=True, mode=0o700)
    elsewhere = workshop.folder / "elsewhere"
    folder = "." not in name.removeprefix(".vbatch") and name.rpartition("/")[2] in FOLDERS
    if folder:
        elsewhere.mkdir()
        if name == ".vbatch":
            (run / ".vbatch").rmdir()
    else:
        elsewhere.write_text("precious")
    (run / name).parent.mkdir(exist_ok=True, parents=True)
    (run / name).symlink_to(elsewhere)

    refusal = None
    try:
        vbatch.run(job)
    except VbatchError as error:
        refusal = error

    assert list(elsewhere.iterdir()) == [] if folder else elsewhere.read_text() == "precious"
    if refusal is not None:
        assert "is a link" in refusal.message
        assert refusal.exit_code == 2


@pytest.fixture
def common_ground():
    """A folder that everybody can write, as on a shared disk."""
    with tempfile.TemporaryDirectory(dir=tempfile.gettempdir()) as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture
def as_user():
    """Be somebody else for a while; only root can."""

    @contextlib.contextmanager
    def be(user):
        os.seteuid(user)
        try:
            yield
        finally:
            os.seteuid(0)

    return be


ME, STRANGER = 4242, 4343


@pytest.fixture
def prepared(common_ground, workshop, listener):
    """A run whose kept profile sends the key to the listener, and a job that names no address."""
    answer = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
    url = listener.chats(200, json.dumps(answer).encode())
    listener.answers["/v1/models"] = said(200, b'{"data": [{"id": "gpt-4o"}]}')
    workshop.folder = common_ground
    workshop.rows(1)
    vbatch.run(workshop.job(url))
    layout = Layout(root=common_ground / "run")
    kept = read_kept(layout)
    keep(replace(kept, profile={**kept.profile, "base_url": url}), layout, Storage())
    job = workshop.job(url)
    job.write_text(job.read_text().replace(f"base_url = {json.dumps(url)}", ""))
    workshop.rows(2)
    listener.accepted.clear()
    return job


def give(run, user):
    for path in [run, *run.rglob("*")]:
        os.chown(path, user, user)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two people")


@needs_root
@pytest.mark.parametrize("verb", ["run", "run --dry-run", "run --fresh", "check", "retry"])
@pytest.mark.parametrize("what", ["run/.vbatch", "run/.vbatch/kept.json"])
def test_a_run_that_somebody_else_prepared_gets_no_key(vb, prepared, listener, as_user, verb, what):
    run = prepared.parent / "run"
    give(run, ME)
    os.chown(prepared.parent / what, STRANGER, STRANGER)
    word, *flags = verb.split()

    with as_user(ME):
        code, _, err = vb(word, run if word == "retry" else prepared, *flags)

    assert code == 2
    assert f"was made by user {STRANGER}" in err
    assert listener.accepted == []


@needs_root
@pytest.mark.parametrize("owner", [ME, 0])
def test_ones_own_run_and_roots_are_gone_on_with(vb, prepared, listener, as_user, owner):
    run = prepared.parent / "run"
    give(run, ME)
    os.chown(run / ".vbatch" / "kept.json", owner, owner)
    (run / ".vbatch" / "kept.json").chmod(0o644)

    with as_user(ME):
        code, _, err = vb("run", prepared)

    assert code == 0, err
    assert listener.accepted == ["/v1/chat/completions"]


@needs_root
def test_root_goes_on_with_anybodys_run(vb, prepared, listener):
    give(prepared.parent / "run", STRANGER)

    assert vb("run", prepared)[0] == 0
    assert listener.accepted == ["/v1/chat/completions"]


@needs_root
def test_how_somebody_elses_run_stands_can_be_asked(vb, prepared, as_user):
    run = prepared.parent / "run"
    give(run, STRANGER)

    with as_user(ME):
        code, out, err = vb("status", run)

    assert code == 0, err
    assert "1 answered" in out
