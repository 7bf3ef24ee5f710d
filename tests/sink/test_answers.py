"""Answers are found again, and whatever happens to their file costs no more than asking anew."""

from __future__ import annotations

import sqlite3
import threading
import time
from decimal import Decimal

import orjson
import pytest

from vbatch.errors import JobError
from vbatch.records import Completion, Usage
from vbatch.sink.answers import AnswerCache

KEY = b"a digest"


def answer(text="teal"):
    return Completion(
        text=text, finish_reason="stop", usage=Usage(total_tokens=7), parsed={"colour": [text]}
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.sqlite"


@pytest.fixture
def cache(path):
    cache = AnswerCache(path)
    yield cache
    cache.close()


@pytest.fixture
def other(path, cache):
    """Another program with the file that ``cache`` has made."""
    assert cache.get(KEY) is None
    file = sqlite3.connect(path, isolation_level=None)
    yield file
    file.close()


def test_an_answer_is_found_by_its_key_and_costs_nothing(cache):
    cache.keep({KEY: answer(), b"another": answer("red")})

    found = cache.get(KEY)

    assert (found.text, found.parsed) == ("teal", {"colour": ["teal"]})
    assert (found.usage.total_tokens, found.usage.cost) == (0, Decimal(0))
    assert cache.get(b"a third") is None


def test_a_later_answer_takes_the_place_of_an_earlier_one(cache):
    cache.keep({KEY: answer()})
    cache.keep({KEY: answer("red")})

    assert cache.get(KEY).text == "red"


@pytest.mark.parametrize(
    "kept",
    [
        orjson.dumps({"text": 5, "finish_reason": "stop"}),
        orjson.dumps({"text": "a", "finish_reason": ["stop"]}),
        orjson.dumps({"text": "a", "finish_reason": "stop", "refusal": False}),
        orjson.dumps({"text": "a", "finish_reason": "stop", "tool_calls": []}),
        orjson.dumps({"text": "a", "finish_reason": "stop", "raw": {}}),
        orjson.dumps({"text": "a"}),
        orjson.dumps({"text": "a", "finish_reason": "stop", "mood": "good"}),
        orjson.dumps(["a"]),
        b"\xff{",
        5,
    ],
)
def test_a_row_that_holds_something_else_counts_as_absent_until_it_is_replaced(cache, other, kept):
    other.execute("INSERT INTO vbatch_answers_1 VALUES (?, ?)", (KEY, kept))

    assert cache.get(KEY) is None

    cache.keep({KEY: answer()})
    assert cache.get(KEY) == cache.get(KEY) is not None


def test_an_answer_that_json_cannot_hold_is_left_out_and_the_others_are_kept(cache):
    cache.keep({b"odd": answer("\ud800"), KEY: answer()})

    assert cache.get(b"odd") is None
    assert cache.get(KEY).text == "teal"


def test_a_lookup_does_not_wait_for_answers_that_are_being_written(cache, other):
    cache.keep({KEY: answer()})
    other.execute("BEGIN IMMEDIATE")
    writing = threading.Thread(target=cache.keep, args=({b"another": answer("red")},))
    writing.start()
    started = time.monotonic()

    found = cache.get(KEY)

    assert found.text == "teal"
    assert time.monotonic() - started < 2
    other.execute("COMMIT")
    writing.join()
    assert cache.get(b"another").text == "red"


def test_a_table_of_another_shape_answers_nothing(path):
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE vbatch_answers_1 (question)")
    file.close()
    cache = AnswerCache(path)

    cache.keep({KEY: answer()})

    assert cache.get(KEY) is None
    cache.close()


def test_after_it_is_closed_nothing_is_found_and_nothing_raises(cache):
    cache.close()

    cache.keep({KEY: answer()})

    assert cache.get(KEY) is None


def test_what_a_kill_left_beside_a_damaged_file_does_not_spoil_the_new_one(
    tmp_path, path, cache, other
):
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cache.keep({KEY: answer()})  # is now in the log alone
    killed = tmp_path / "killed" / "answers.sqlite"
    killed.parent.mkdir()
    for end in ("", "-wal", "-shm"):
        beside = path.with_name(path.name + end)
        killed.with_name(killed.name + end).write_bytes(beside.read_bytes())
    killed.write_bytes(b"not what SQLite writes there" * 99)

    after = AnswerCache(killed, own=True)
    after.keep({KEY: answer("red")})

    assert after.get(KEY).text == "red"
    after.close()
    with sqlite3.connect(killed) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    file.close()
    assert killed.with_name("answers.sqlite.damaged").exists()


def test_advice_names_what_the_user_set(tmp_path):
    (tmp_path / "file").write_text("in the way of a folder")

    with pytest.raises(JobError, match=r"Name another file in cache\.path"):
        AnswerCache(tmp_path / "file" / "answers.sqlite")
    with pytest.raises(JobError, match=r"Take it away, or run with dedupe = false") as refused:
        AnswerCache(tmp_path / "file" / "answers.sqlite", own=True)
    assert "cache.path" not in str(refused.value)


def test_a_file_of_its_own_that_cannot_be_opened_is_not_taken_for_damaged(path):
    path.mkdir()

    with pytest.raises(JobError, match="unable to open"):
        AnswerCache(path, own=True)
    assert path.is_dir()


def test_a_file_that_another_program_has_to_itself_is_said_to_be_locked(path, monkeypatch):
    monkeypatch.setattr("vbatch.sink.answers._WAIT_S", 0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    with pytest.raises(JobError, match="Wait until the other program is done"):
        AnswerCache(path)
    holder.close()
