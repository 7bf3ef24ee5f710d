from dataclasses import replace

import pytest

from vbatch.server.answers import Answer
from vbatch.server.dialects import DIALECTS
from vbatch.server.shapes import Envelope, body_of, error_inside

_ANSWER = Answer(model="openai/gpt-4o", text="It is.", prompt_tokens=100, completion_tokens=2)


def _envelope(number=1, dialect="indoxhub", shape="rotate", with_usage=True) -> Envelope:
    return Envelope(
        number=number,
        created=1_700_000_000,
        dialect=DIALECTS[dialect],
        shape=shape,
        with_usage=with_usage,
    )


def test_the_plain_shape_is_a_chat_completion():
    assert body_of(_ANSWER, _envelope(7, "openai")) == {
        "id": "chatcmpl-00000007",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "openai/gpt-4o",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It is."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102},
    }


def test_the_wrapped_shape_has_its_envelope():
    body = body_of(_ANSWER, _envelope(3, shape="text"))
    usage = body.pop("usage")
    assert body == {
        "request_id": "req-00000003",
        "success": True,
        "provider": "openai",
        "model": "openai/gpt-4o",
        "message": "",
        "finish_reason": "stop",
        "data": "It is.",
    }
    assert usage == {
        "tokens_prompt": 100,
        "tokens_completion": 2,
        "tokens_total": 102,
        "cost": 0.00027,
    }


def _text_of(body) -> str:
    data = body.get("data", body)
    if isinstance(data, str):
        return data
    if "choices" in data:
        return data["choices"][0]["message"]["content"]
    return data["output"][0]["content"][0]["text"]


def _kind_of(body) -> str:
    if "data" not in body:
        return "output"
    data = body["data"]
    if isinstance(data, str):
        return "text"
    return "chat" if "choices" in data else "responses"


@pytest.mark.parametrize("shape", ["text", "chat", "responses", "output"])
def test_a_shape_that_is_set_stays(shape):
    for number in (1, 2, 3, 4):
        body = body_of(_ANSWER, _envelope(number, shape=shape))
        assert _kind_of(body) == shape
        assert _text_of(body) == "It is."


def test_shapes_and_names_of_usage_rotate_through_all_pairs():
    bodies = [body_of(_ANSWER, _envelope(number)) for number in range(1, 13)]
    pairs = {(_kind_of(body), tuple(body["usage"])) for body in bodies}
    assert len(pairs) == 12
    assert all(102 in body["usage"].values() for body in bodies)


@pytest.mark.parametrize("dialect", ["indoxhub", "openai"])
def test_usage_can_be_left_out(dialect):
    assert "usage" not in body_of(_ANSWER, _envelope(dialect=dialect, with_usage=False))


def test_a_refusal_stands_where_each_shape_has_it():
    refused = replace(_ANSWER, text=None, refusal="No.")
    found = {
        shape: body_of(refused, _envelope(shape=shape))
        for shape in ("text", "chat", "responses", "output")
    }
    assert found["text"]["data"] == "No."
    message = {"role": "assistant", "content": None, "refusal": "No."}
    assert found["chat"]["data"]["choices"][0]["message"] == message
    content = [{"type": "refusal", "refusal": "No."}]
    assert found["responses"]["data"]["output"][0]["content"] == content
    assert found["output"]["output"][0]["content"] == content


def test_an_answer_without_content_is_empty_in_each_shape():
    empty = replace(_ANSWER, text=None)
    assert body_of(empty, _envelope(shape="text"))["data"] is None
    assert body_of(empty, _envelope(shape="output"))["output"][0]["content"] == []


def test_an_error_inside_a_200_has_the_dialects_form():
    assert error_inside("No.", DIALECTS["indoxhub"])["success"] is False
    assert error_inside("No.", DIALECTS["openai"])["error"]["code"] == 502
