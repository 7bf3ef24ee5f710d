"""Standard output that takes no more: a reader who has gone, and a disk that is full."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.cli.conftest import last_line

FULL = Path("/dev/full")


@contextlib.contextmanager
def no_reader(redirect=contextlib.redirect_stdout):
    """Standard output is a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with closing_whatever_is_left(os.fdopen(writing, "w")) as stream, redirect(stream):
        yield


@contextlib.contextmanager
def full_disk(redirect=contextlib.redirect_stdout):
    """Standard output is a file on a full disk."""
    if not FULL.exists():
        pytest.skip("there is no /dev/full")
    with closing_whatever_is_left(FULL.open("w")) as stream, redirect(stream):
        yield


@contextlib.contextmanager
def closing_whatever_is_left(stream):
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):
            stream.close()


PLAIN = [["profiles"], ["profiles", "--json"], ["--help"], ["run", "--help"], ["--version"]]


@pytest.mark.parametrize("words", PLAIN)
def test_a_reader_who_has_gone_changes_no_exit_code(vb, words):
    with no_reader():
        assert vb(*words) == (0, "", "")


def test_a_reader_who_has_gone_leaves_a_verb_its_own_exit_code(vb, endpoint, workshop):
    workshop.manifest([{"id": "a", "image": "gone.jpg", "prompt": "hello"}])
    job = workshop.job(endpoint(dialect="openai").base_url)
    with no_reader():
        assert vb("check", job) == (2, "", "")
    with no_reader():
        assert vb("run", job, "--dry-run") == (3, "", "")


@pytest.mark.parametrize("words", PLAIN)
def test_a_full_disk_is_a_line_and_exit_6(vb, words):
    with full_disk():
        code, _, err = vb(*words)

    assert code == 6
    assert len(err.splitlines()) == 1
    assert "No space left on device" in err


def test_a_dry_run_whose_report_is_lost_is_no_success(vb, endpoint, workshop):
    workshop.rows(1)
    job = workshop.job(endpoint(dialect="openai").base_url)
    with full_disk():
        code, _, err = vb("run", job, "--dry-run")

    assert (code, len(err.splitlines())) == (6, 1)


def test_a_run_whose_document_is_lost_is_no_success_and_says_both(vb, endpoint, workshop):
    workshop.rows(2)
    with full_disk():
        code, _, err = vb("run", workshop.job(endpoint(dialect="openai").base_url), "--json")

    *_, closing, complaint = err.splitlines()
    assert code == 6
    assert closing.startswith("vbatch: finished · 2 answered")
    assert complaint == "vbatch: standard output cannot be written: No space left on device"


def test_a_run_that_ends_badly_keeps_its_exit_code_whatever_becomes_of_its_document(
    vb, endpoint, workshop
):
    workshop.manifest([{"id": "a", "image": "gone.jpg", "prompt": "hello"}])
    with full_disk():
        assert vb("run", workshop.job(endpoint(dialect="openai").base_url), "--json")[0] == 3


@pytest.mark.parametrize("broken", [no_reader, full_disk])
def test_a_standard_error_that_takes_nothing_changes_nothing(vb, tmp_path, broken):
    with broken(contextlib.redirect_stderr):
        assert vb("status", tmp_path)[0] == 2
        assert vb("profiles")[0] == 0


def test_quiet_means_quiet_only_where_all_is_well(vb, endpoint, workshop):
    workshop.rows(1)
    job = workshop.job(endpoint(dialect="openai").base_url)
    assert vb("run", job, "-q") == (0, "", "")
    workshop.manifest([{"id": "a", "image": "gone.jpg", "prompt": "hello"}])
    code, out, err = vb("run", job, "-q")

    assert (code, out) == (3, "")
    assert "failed now: 1 image_not_found" in last_line(err)
    assert "next: vbatch retry" in last_line(err)
