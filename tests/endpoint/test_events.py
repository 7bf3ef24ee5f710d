"""A stream of events comes together as the answer it would have been at once."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbatch.endpoint import replies
from vbatch.endpoint.events import BrokenStreamError, Collector
from vbatch.endpoint.reply import Reply
from vbatch.server.streams import events

ANSWER = {
    "id": "c-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Ein großes Schiff im Hafen, bei Nacht."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
}


def data(*documents) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in documents)


def delta(finish=None, **said):
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def collected(stream: bytes) -> Collector:
    collector = Collector()
    collector.feed(stream)
    return collector


def read(document):
    return replies.read(Reply(status=200, body=json.dumps(document).encode()))


@given(st.lists(st.integers(0, 2_000)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_wherever_it_is_cut_and_however_lines_end_it_is_the_same_answer(cuts, end):
    stream = b"".join(events(ANSWER, with_usage=True)).replace(b"\n", end)
    collector = Collector()
    places = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    for start, stop in pairwise(places):
        collector.feed(stream[start:stop])

    assert read(collector.document()) == read(ANSWER)
    assert collector.whole
    assert collector.begun


def test_comments_names_and_an_order_mark_are_no_data():
    stream = b"\xef\xbb\xbf: ping\n\nevent: x\nid: 5\nretry: 9\n" + data(
        delta(content="a"), delta(finish="stop")
    )

    assert read(collected(stream).document()).text == "a"


def test_an_event_of_several_lines_is_one_document():
    text = json.dumps(delta("stop", content="a"), indent=1)
    stream = "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"

    assert read(collected(stream.encode()).document()).text == "a"


def test_the_last_event_may_lack_its_empty_line():
    assert read(collected(data(delta("stop", content="a"))[:-2]).document()).text == "a"


@pytest.mark.parametrize(
    "stream",
    [
        data(delta(content="half a wo")),
        data(delta(role="assistant", content="")),
        data({"type": "response.output_text.delta", "delta": "half"}),
        b": ping\n\n",
        b"",
    ],
)
def test_what_does_not_say_how_it_ended_is_not_whole(stream):
    assert not collected(stream).whole


def test_done_is_an_end_too():
    collector = collected(data(delta(content="a")) + b"data: [DONE]\n\n")

    assert collector.whole
    assert read(collector.document()).text == "a"


def test_calls_grow_by_their_pieces():
    first = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}
    other = {
        "index": 1,
        "id": "y",
        "type": "function",
        "function": {"name": "g", "arguments": "{}"},
    }
    collector = collected(
        data(
            delta(tool_calls=[first]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}]),
            delta(tool_calls=[other]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
            delta("tool_calls"),
        )
    )

    calls = json.loads(read(collector.document()).tool_calls)
    assert [call["function"] for call in calls] == [
        {"name": "f", "arguments": '{"a": 1}'},
        {"name": "g", "arguments": "{}"},
    ]


def test_several_answers_are_kept_apart_and_all_must_end():
    two = [{"index": n, "delta": {"content": "ab"[n]}, "finish_reason": None} for n in (1, 0)]
    ends = [{"index": n, "delta": {}, "finish_reason": "stop"} for n in (0, 1)]
    collector = collected(data({"choices": two}, {"choices": ends[:1]}))
    assert not collector.whole
    collector.feed(data({"choices": ends[1:]}))

    assert collector.whole
    texts = [one["message"]["content"] for one in collector.document()["choices"]]
    assert texts == ["a", "b"]


def test_events_of_responses_end_with_the_whole_answer():
    whole = {
        "id": "r-1",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello."}]}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    collector = collected(
        data(
            {"type": "response.created", "response": {"id": "r-1"}},
            {"type": "response.output_text.delta", "delta": "Hello"},
            {"type": "response.completed", "response": whole},
        )
    )

    assert (collector.begun, collector.whole) == (True, True)
    answer = read(collector.document())
    assert (answer.text, answer.usage.total_tokens) == ("Hello.", 5)


def test_an_error_in_the_middle_is_the_answer():
    collector = collected(data(delta(content="a"), {"error": {"message": "overloaded"}}))

    assert collector.whole
    assert collector.document() == {"error": {"message": "overloaded"}}


@pytest.mark.parametrize("error", [{}, "", None, {"code": 0, "message": "success"}])
def test_an_error_that_is_none_changes_nothing(error):
    chunks = [{**delta(content=word), "error": error} for word in ("A ", "cat ", "sits")]
    collector = collected(data(*chunks, {**delta("stop"), "error": error}))

    assert read(collector.document()).text == "A cat sits"


def test_text_in_parts_grows_too():
    parts = [[{"type": "text", "text": "wor"}], [{"type": "text", "text": "ld"}]]

    assert read(collected(data(*(delta(content=p) for p in parts))).document()).text == "world"


def test_a_call_may_begin_with_nothing_and_go_without_an_index():
    collector = collected(
        data(
            delta(tool_calls=[{"id": "x", "function": {"name": "f", "arguments": None}}]),
            delta(tool_calls=[{"function": {"arguments": '{"a"'}}]),
            delta(tool_calls=[{"id": "x", "function": {"arguments": ": 1}"}}]),
            delta(tool_calls=[{"id": "y", "function": {"name": "g", "arguments": "{}"}}]),
        )
    )

    calls = json.loads(read(collector.document()).tool_calls)
    assert [call["function"]["arguments"] for call in calls] == ['{"a": 1}', "{}"]


def test_the_older_form_of_a_call_grows_too():
    pieces = [{"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ": 1}"}]
    collector = collected(data(*(delta(function_call=piece) for piece in pieces)))

    assert json.loads(read(collector.document()).tool_calls) == {
        "name": "f",
        "arguments": '{"a": 1}',
    }


def test_what_came_at_once_under_the_name_of_a_stream_is_read_as_it_is():
    collector = collected(json.dumps(ANSWER).encode())

    assert read(collector.document()) == read(ANSWER)
    assert collector.whole


def test_a_message_in_the_place_of_a_delta_is_the_answer():
    collector = collected(data({"choices": ANSWER["choices"]}))

    assert read(collector.document()).text == ANSWER["choices"][0]["message"]["content"]


@pytest.mark.parametrize("odd", ["NaN", "1" * 5_000, '"\\ud800"'])
def test_json_that_plain_answers_survive_is_survived_here_too(odd):
    stream = b'data: {"choices": [{"delta": {"content": "a"}}], "x": %s}\n\n' % odd.encode()
    collector = Collector()
    try:
        collector.feed(stream)
    except BrokenStreamError as error:
        assert "digits" in str(error)  # noqa: PT017 - only what nobody can hold
    else:
        assert read(collector.document()).text == "a"


def test_a_long_line_in_small_pieces_takes_no_longer_than_it_is():
    event = data(delta("stop", content="x" * 4_000_000))
    collector = Collector()
    for start in range(0, len(event), 1_400):
        collector.feed(event[start : start + 1_400])

    assert len(read(collector.document()).text) == 4_000_000


@pytest.mark.parametrize("stream", [b"data: {\n\n", b"data: 5\n\n", b"data: \xff\n\n"])
def test_what_is_no_stream_of_objects_is_said(stream):
    with pytest.raises(BrokenStreamError, match="an event"):
        collected(stream)


def test_a_stream_without_events_is_said():
    with pytest.raises(BrokenStreamError, match="without events"):
        collected(b": ping\n\n").document()


def said_of(stream: bytes) -> str:
    """What a stream that cannot be read is refused with; empty where it can."""
    collector = Collector()
    try:
        collector.feed(stream)
        collector.document()
    except BrokenStreamError as error:
        return str(error)
    return ""


@given(st.binary())
def test_no_bytes_are_too_odd(stream):
    assert said_of(b"data: " + stream) in ("", "a stream without events") or said_of(
        b"data: " + stream
    ).startswith("an event")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda v: (
            st.lists(v)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "index",
                        "tool_calls",
                        "function",
                        "arguments",
                        "error",
                        "type",
                    ]
                ),
                v,
            )
        ),
        max_leaves=12,
    )
)
def test_no_document_is_too_odd(document):
    assert said_of(data(document)) in ("", "an event that is no object")
