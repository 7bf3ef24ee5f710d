"""Who asks, who waits and who is answered where several rows ask the same."""

from __future__ import annotations

import asyncio
import threading

import pytest

from vbatch.endpoint.body import Splice
from vbatch.engine.same import Same
from vbatch.errors import AmbiguousError, TransientError
from vbatch.records import Completion

KEY = b"a digest"
WHOLE = Completion(text="teal", finish_reason="stop")
CUT = Completion(text="tea", finish_reason="length")


class Shelf:
    """Keeps answers in memory; ``open`` is cleared to hold up what is written."""

    def __init__(self) -> None:
        self.answers: dict[bytes, Completion] = {}
        self.open = threading.Event()
        self.open.set()
        self.looked = 0
        self.written: list[int] = []
        self.closed = False

    def get(self, key):
        self.looked += 1
        return self.answers.get(key)

    def keep(self, answers):
        self.open.wait(10)
        self.written.append(len(answers))
        self.answers.update(answers)

    def close(self):
        self.closed = True


class Endpoint:
    """Answers in the order of asking with what ``ends`` says, the last of them for ever."""

    def __init__(self, same, *ends) -> None:
        self._same = same
        self._ends = list(ends)
        self.asked = self.at_once = self.peak = 0
        self.began = asyncio.Event()

    async def row(self, key=KEY, fit=lambda kept: kept):
        async with self._same.turn(key, fit) as turn:
            if turn.known is not None:
                return turn.known.text
            turn.answer = await self._ask()
            return "asked"

    async def _ask(self):
        self.asked += 1
        self.began.set()
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        end = self._ends.pop(0) if len(self._ends) > 1 else self._ends[0]
        await asyncio.sleep(0.02)
        self.at_once -= 1
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
async def same(shelf):
    same = Same(shelf, where="here", unpaid=lambda completion: completion)
    yield same
    shelf.open.set()
    await same.close()


async def rows(endpoint, count):
    return await asyncio.gather(*(endpoint.row() for _ in range(count)), return_exceptions=True)


async def test_one_asks_and_all_others_take_its_answer(same):
    endpoint = Endpoint(same, WHOLE)

    assert sorted(await rows(endpoint, 20)) == ["asked", *["teal"] * 19]


async def test_rows_that_come_before_an_answer_is_written_take_it_and_do_not_wait(same, shelf):
    shelf.open.clear()
    endpoint = Endpoint(same, WHOLE)
    await endpoint.row()

    async with asyncio.timeout(5):
        assert [await endpoint.row() for _ in range(5)] == ["teal"] * 5

    assert (endpoint.asked, shelf.written) == (1, [])


async def test_answers_that_come_while_others_are_written_go_together(same, shelf):
    shelf.open.clear()
    endpoint = Endpoint(same, WHOLE)
    await asyncio.gather(*(endpoint.row(bytes([n])) for n in range(9)))
    shelf.open.set()
    await same.close()

    assert len(shelf.answers) == sum(shelf.written) == 9
    assert len(shelf.written) <= 2
    assert shelf.closed


async def test_after_it_was_written_an_answer_is_looked_up(same, shelf):
    endpoint = Endpoint(same, WHOLE)
    await endpoint.row()
    await asyncio.gather(same._keeping)  # the moment shows nowhere else
    looked = shelf.looked

    assert await endpoint.row() == "teal"

    assert shelf.looked == looked + 1


@pytest.mark.parametrize(
    "end", [CUT, None, AmbiguousError("timeout", "late"), TransientError("server_error", "down")]
)
async def test_after_an_end_that_is_not_shared_all_who_waited_ask_at_once(same, end):
    endpoint = Endpoint(same, end)

    await rows(endpoint, 20)

    assert (endpoint.asked, endpoint.peak) == (20, 19)


async def test_a_whole_answer_after_others_is_shared_again(same):
    endpoint = Endpoint(same, CUT, WHOLE)
    await rows(endpoint, 3)

    assert await rows(endpoint, 5) == ["teal"] * 5


async def test_where_the_endpoint_refuses_everybody_only_the_next_one_asks(same):
    throttled = TransientError("rate_limited", "slow down")
    endpoint = Endpoint(same, throttled, throttled, WHOLE)

    ends = await rows(endpoint, 20)

    assert (endpoint.asked, endpoint.peak) == (3, 1)
    assert ends.count("teal") == 17


async def test_where_the_one_who_asks_is_cancelled_the_next_one_asks(same):
    endpoint = Endpoint(same, WHOLE)
    first = asyncio.create_task(endpoint.row())
    await endpoint.began.wait()
    others = asyncio.gather(*(endpoint.row() for _ in range(5)))
    await asyncio.sleep(0)
    first.cancel()

    assert sorted(await others) == ["asked", *["teal"] * 4]


async def test_a_kept_answer_that_does_not_do_is_asked_for_anew_and_replaced(same, shelf):
    shelf.answers[KEY] = Completion(text="no colour", finish_reason="stop")
    endpoint = Endpoint(same, WHOLE)

    assert await endpoint.row(fit=lambda _: None) == "asked"

    await same.close()
    assert shelf.answers[KEY] == WHOLE


async def test_a_kept_answer_that_is_not_whole_is_asked_for_anew(same, shelf):
    shelf.answers[KEY] = CUT

    assert await Endpoint(same, WHOLE).row() == "asked"


async def test_nothing_is_remembered_of_questions_that_nobody_is_at(same):
    endpoint = Endpoint(same, CUT)
    await asyncio.gather(*(endpoint.row(bytes([n % 3])) for n in range(9)))

    assert same._questions == {}  # what is left behind shows nowhere else


def test_keys_tell_apart_what_is_sent_and_where_to():
    def key(where, text):
        splice = Splice()
        splice.write(text)
        body = splice.body(model="m", token_field="max_tokens")
        return Same(Shelf(), where=where, unpaid=lambda completion: completion).key(body, ())

    assert key("here", b"{}") == key("here", b"{}")
    assert len({key("here", b"{}"), key("there", b"{}"), key("here", b"[]")}) == 3
