import json
from pathlib import Path

import pytest

from vbatch.errors import JobError
from vbatch.server.ledger import Entry, Ledger
from vbatch.server.refusals import Refusal

FULL = Path("/dev/full")


def test_the_summary_adds_up_requests_answers_tokens_and_statuses():
    ledger = Ledger()
    for status, answered in ((200, True), (200, True), (None, True), (429, False)):
        number = ledger.came()
        fault = None if status else "reset-after"
        tokens = {"prompt_tokens": 10, "completion_tokens": 3} if answered else {}
        ledger.record(
            Entry(n=number, at=1.0, status=status, fault=fault, answered=answered, **tokens)
        )
        ledger.went()
    assert ledger.summary() == {
        "requests": 4,
        "answered": 3,
        "prompt_tokens": 30,
        "completion_tokens": 9,
        "total_tokens": 39,
        "peak_in_flight": 1,
        "by_status": {"200": 2, "reset-after": 1, "429": 1},
    }


def test_in_flight_and_its_peak_are_counted():
    ledger = Ledger()
    assert [ledger.came(), ledger.came()] == [1, 2]
    ledger.went()
    assert ledger.in_flight == 1
    assert ledger.summary()["peak_in_flight"] == 2


def test_each_line_stands_in_the_file_before_the_next_is_written(tmp_path):
    path = tmp_path / "deep" / "ledger.jsonl"
    ledger = Ledger(path)
    for number in (1, 2):
        ledger.record(Entry(n=number, at=1.5, prompt="“é”", image_sha256=("ab",), urls=(None,)))
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) == number
    assert json.loads(lines[0]) == {
        "n": 1,
        "at": 1.5,
        "model": None,
        "status": None,
        "fault": None,
        "answered": False,
        "prompt": "“é”",
        "image_sha256": ["ab"],
        "media_types": [],
        "urls": [None],
        "prompt_tokens": 0,
        "completion_tokens": 0,
    }
    ledger.close()


def test_a_ledger_that_is_there_is_gone_on_with(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        ledger = Ledger(path)
        ledger.record(Entry(n=1, at=1.0, status=200))
        ledger.close()
    assert len(path.read_text().splitlines()) == 2


def test_a_ledger_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    with pytest.raises(JobError, match=r"ledger .* cannot be written"):
        Ledger(tmp_path)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_a_full_disk_becomes_a_refusal_and_closes_quietly():
    ledger = Ledger(FULL)
    with pytest.raises(Refusal, match="No space left") as caught:
        ledger.record(Entry(n=1, at=1.0, status=200))
    assert caught.value.status == 500
    ledger.close()
    assert ledger.summary()["by_status"] == {}
