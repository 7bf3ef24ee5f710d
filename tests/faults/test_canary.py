"""Where secrets may be found: in answers those that are words, anywhere else none."""

from __future__ import annotations

import pytest

from tests.faults import canary
from tests.faults.runs import prompt
from tests.faults.wire import chat, refuses, says

WORD = "Quokka-Word-91"
ROWS = 6


@pytest.fixture
def told(runs, monkeypatch):
    """An endpoint that repeats a secret of ours in every answer, and in a refusal of row 3."""
    monkeypatch.setenv("WORD", WORD)
    answer = chat(f"saw $PROMPT, a {WORD}") | {"model": WORD}

    def run(*words, **tables):
        runs.job(ROWS, tables)
        for n in range(ROWS):
            fault = refuses(400, f"no {WORD} here", WORD) if n == 3 else says(answer)
            runs.server.meet(fault, {prompt(n)})
        ended = runs.run(*words)
        assert (ended.exit_code, ended.said["answered"]) == (3, ROWS - 1)
        assert WORD not in ended.out + ended.err

    return run


def holding(runs, secret) -> set[str]:
    """Where in the run's folder ``secret`` stands."""
    return {
        str(path.relative_to(runs.folder).parent)
        for path, content in canary.texts(runs.folder)
        if secret in content
    }


def test_a_secret_that_is_a_word_of_the_question_stays_in_answers_only(told, runs):
    told(request={"system": "Speak of a ${WORD}."})

    assert holding(runs, WORD) == {"results"}
    assert {row["text"] for row in runs.results().values()} == {
        f"saw {prompt(n)}, a {WORD}" for n in range(ROWS) if n != 3
    }
    assert runs.failures()["r3"]["message"].startswith("HTTP 400: no [redacted] here")


def test_a_secret_that_lets_us_in_is_lost_in_answers_too(told, runs):
    told("-s", "endpoint.headers.X-Token=${WORD}")

    assert holding(runs, WORD) == set()
    assert runs.results()["r0"]["text"] == "saw row 0, a [redacted]"
    assert runs.results()["r0"]["model"] == "[redacted]"


def test_a_key_that_is_a_word_takes_nothing_out_of_answers(runs, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "EMPTY")
    runs.job(ROWS, {})
    runs.server.meet(says(chat("The street is EMPTY.")), {prompt(0)})
    runs.server.meet(refuses(400, "No such street:"), {prompt(1)})
    ended = runs.run()

    assert runs.results()["r0"]["text"] == "The street is EMPTY."
    assert runs.failures()["r1"]["message"] == "HTTP 400: No such street: ([redacted])"
    assert "EMPTY" not in ended.out + ended.err


def test_the_journal_of_a_run_under_way_holds_no_key(runs):
    runs.job(ROWS, {})
    runs.server.meet(refuses(400, "$KEY"), {prompt(n) for n in range(4)})
    seen = []
    segments = runs.folder / ".vbatch" / "journal"

    def look(count):
        seen.extend(path.read_text() for path in segments.glob("*.seg"))

    runs.server.on_request = look
    assert runs.run().exit_code == 3

    assert len(seen) >= ROWS
    assert "[redacted]" in seen[-1]
    assert [canary.hits(text) for text in seen if canary.hits(text)] == []
