"""A run stops asking while the disk still has room for what is on its way."""

from __future__ import annotations

from tests.sink import rows
from vbatch.sink import codec
from vbatch.sink.room import Room


def asked(*names):
    return [codec.entry(rows.asked(name)) for name in names]


def answered(*names):
    return [codec.entry(rows.completed(name)) for name in names]


def test_requests_are_refused_once_their_answers_may_not_fit():
    room = Room(lambda: 100_000)
    assert room.lack(asked("a", "b", "c", "d"), 400) is None

    lack = room.lack(asked("e", "f", "g"), 300)

    assert "7 answers on their way: 100,000 bytes are free" in lack.message
    assert "Make room" in lack.message


def test_answers_that_came_need_no_more_room():
    room = Room(lambda: 100_000)
    room.lack(asked("a", "b", "c", "d"), 400)
    room.lack(answered("a", "b", "c", "d"), 4_000)

    assert room.lack(asked("e", "f", "g"), 300) is None


def test_long_answers_teach_caution():
    room = Room(lambda: 100_000)
    room.lack(asked("a"), 100)
    room.lack(answered("a"), 60_000)

    assert room.lack(asked("b"), 100) is not None
