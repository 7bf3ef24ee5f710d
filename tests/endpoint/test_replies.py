import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.endpoint import replies
from vbatch.endpoint.reply import Reply
from vbatch.errors import (
    AmbiguousError,
    EndpointError,
    FatalError,
    PermanentError,
    TransientError,
)
from vbatch.records import Completion, Usage

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
COUNTED = Usage(prompt_tokens=9, completion_tokens=3, total_tokens=12)


def reply(body, status=200, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=raw)


def read(body, status=200, **headers):
    return replies.read(reply(body, status, **headers), model="m")


def chat(message, finish_reason="stop", **more):
    return {"choices": [{"message": message, "finish_reason": finish_reason}], **more}


def refused(body, status=200, **options):
    with pytest.raises(EndpointError) as caught:
        replies.read(reply(body, status), **options)
    return caught.value


def test_an_openai_answer_is_read_whole():
    body = chat({"role": "assistant", "content": "a cat"}, id="c-1", model="gpt-4o", usage=USAGE)
    assert read(body, 201) == Completion(
        text="a cat",
        finish_reason="stop",
        model="gpt-4o",
        response_id="c-1",
        usage=COUNTED,
    )


PARTS = [{"type": "text", "text": "a "}, {"type": "text", "text": "cat"}]
OUTPUT = [
    {"type": "reasoning", "summary": [{"text": "hmm"}]},
    {"type": "message", "content": [{"type": "output_text", "text": "a cat"}]},
]


@pytest.mark.parametrize(
    "body",
    [
        chat({"content": "a cat"}),
        chat({"content": PARTS}),
        chat({"content": [{"type": "thinking", "thinking": "hmm", "text": "hmm"}, *PARTS]}),
        chat({"content": [{"type": "text", "text": {"value": "a cat"}}, {"type": "image"}]}),
        chat({"content": ["a ", "cat", 7]}),
        chat({"content": {"type": "text", "text": "a cat"}}),
        chat("a cat"),
        {"choices": [{"text": "a cat"}]},
        {"choices": [{"message": None, "text": "a cat"}]},
        {"choices": ["a cat"]},
        {"choices": [{"delta": {"content": "a cat"}}]},
        {"success": True, "message": "", "data": "a cat"},
        {"success": True, "data": chat({"content": "a cat"})},
        {"success": True, "data": {"output": OUTPUT}},
        {"success": True, "data": {"output": "a cat"}},
        {"success": True, "data": PARTS},
        {"success": True, "data": {"text": "a cat"}},
        {"success": True, "data": OUTPUT},
        {"data": [chat({"content": "a cat"})]},
        {"output": [chat({"content": PARTS})]},
        {"data": [], "output": OUTPUT},
        {"success": True, "error": None, "output": OUTPUT},
        {"output": OUTPUT},
        {"output": "a cat"},
        {"output": [{"content": "a cat"}]},
        {"output": ["a cat"]},
        {"output": {"choices": [{"message": {"content": PARTS}}]}},
        {"output_text": "a cat", "error": {}},
        {"error": {"message": None, "code": 0}} | chat({"content": "a cat"}),
        {"error": {"message": "success", "code": 0}} | chat({"content": "a cat"}),
        {"error": {"message": "OK", "code": "200"}} | chat({"content": "a cat"}),
        [chat({"content": "a cat"})],
    ],
)
def test_an_answer_is_found_in_every_wrapping(body):
    assert read(body).text == "a cat"


def test_an_indoxhub_envelope_tells_the_rest():
    body = {
        "request_id": "r-1",
        "success": True,
        "provider": "openai",
        "model": "openai/gpt-4o",
        "message": "",
        "finish_reason": "length",
        "data": "a cat",
        "usage": {"tokens_prompt": 9, "tokens_completion": 3, "tokens_total": 12, "cost": 0.01},
    }
    answer = read(body)
    assert answer == Completion(
        text="a cat",
        finish_reason="length",
        model="openai/gpt-4o",
        response_id="r-1",
        usage=Usage(prompt_tokens=9, completion_tokens=3, total_tokens=12, cost=Decimal("0.01")),
    )


def test_the_inner_answer_knows_better_than_its_envelope():
    inner = chat({"content": "a cat"}, "stop", id="c-1", model="inner", usage=USAGE)
    body = {"data": inner, "request_id": "r-1", "model": "outer", "finish_reason": "length"}
    answer = read(body)
    assert (answer.finish_reason, answer.model, answer.response_id) == ("stop", "inner", "c-1")
    assert answer.usage == COUNTED


def test_usage_that_stands_beside_the_answer_counts():
    assert read({"data": "a cat", "tokens_prompt": 9, "tokens_completion": 3}).usage == COUNTED


def test_the_cost_in_a_header_counts_where_the_body_names_none():
    answer = read(chat({"content": "a cat"}, usage=USAGE), x_litellm_response_cost="0.002")
    assert answer.usage.cost == Decimal("0.002")
    body = chat({"content": "a cat"}, usage={**USAGE, "cost": 1})
    assert read(body, x_litellm_response_cost="0.002").usage.cost == 1


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (chat({"content": "x"}, "length"), "length"),
        (chat({"content": "x"}, "content_filter"), "content_filter"),
        (chat({"content": "x"}, "eos"), "eos"),
        (chat({"content": "x"}, None), None),
        (chat({"content": "x"}, 5), "5"),
        (chat({"content": "x"}, None) | {"finish_reason": "stop"}, "stop"),
        ({"output": OUTPUT, "status": "completed"}, "completed"),
        (
            {"output": OUTPUT, "status": "incomplete", "incomplete_details": {"reason": "cap"}},
            "cap",
        ),
        ({"output": OUTPUT, "status": "completed", "incomplete_details": None}, "completed"),
    ],
)
def test_how_an_answer_ended_is_kept_as_it_was_said(body, word):
    assert read(body).finish_reason == word


def test_a_refusal_is_an_answer():
    answer = read(chat({"content": None, "refusal": "I will not"}))
    assert (answer.text, answer.refusal) == (None, "I will not")
    part = {"type": "refusal", "refusal": "I will not"}
    answer = read({"output": [{"type": "message", "content": [part]}]})
    assert (answer.text, answer.refusal) == (None, "I will not")


def test_tool_calls_are_an_answer_and_kept_as_json():
    call = {"id": "t", "function": {"name": "f", "arguments": "{}"}}
    answer = read(chat({"content": None, "tool_calls": [call]}, "tool_calls"))
    assert json.loads(answer.tool_calls) == [call]
    answer = read(chat({"content": None, "function_call": {"name": "f"}}))
    assert json.loads(answer.tool_calls) == {"name": "f"}
    item = {"type": "function_call", "name": "f"}
    assert json.loads(read({"output": [item]}).tool_calls) == [item]


def test_an_empty_text_is_kept():
    assert read(chat({"content": ""}, "length")).text == ""


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{}]},
        chat({"content": None}, "length"),
        chat({"content": None, "tool_calls": []}),
        chat({"content": []}),
        chat({"content": None, "reasoning_content": "hmm"}),
        {"success": True, "data": None},
        {"output": []},
        {"detail": "something else"},
    ],
)
def test_an_answer_without_content_fails_its_row_and_tells_its_tokens(body):
    error = refused({**body, "usage": USAGE})
    assert (type(error), error.code) == (PermanentError, "empty_answer")
    assert error.usage == COUNTED


def test_tokens_spent_inside_an_envelope_for_nothing_are_told_too():
    error = refused({"data": chat({"content": None}, "length", usage=USAGE)})
    assert error.usage == COUNTED
    assert "length" in error.message


@pytest.mark.parametrize(
    "body",
    [b"", b" \n", b"<html>hello</html>", b"OK", b'{"choices": [', b"null", b"[]", b"3", b'"text"'],
)
def test_what_is_no_answer_at_all_may_have_been_billed(body):
    error = refused(body)
    assert (type(error), error.code, error.status) == (AmbiguousError, "bad_response", 200)
    assert error.suspect is None


def test_a_page_instead_of_json_is_described():
    with pytest.raises(AmbiguousError, match="6 bytes of text/html instead of JSON"):
        read(b"<html>", content_type="text/html")
    with pytest.raises(AmbiguousError, match="an empty body"):
        read(b"")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"choices": ' + b"1" * 5000 + b"}",
        b'{"choices": [{"message": {"tool_calls": ' + b"[" * 960 + b"]" * 960 + b"}}]}",
    ],
)
def test_json_that_cannot_be_held_fails_its_row(body):
    error = refused(body)
    assert (type(error), error.code) == (PermanentError, "bad_response")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 429, "message": "slow"}}, TransientError),
        ({"error": {"message": "no"}} | chat({"content": "a cat"}), AmbiguousError),
        ({"error": {"message": "no", "code": 0}} | chat({"content": "a cat"}), AmbiguousError),
        ({"success": False, "message": "no", "data": None}, AmbiguousError),
        ({"success": False, "error": {"code": 0}, "data": "a cat"}, AmbiguousError),
        ({"data": {"error": {"code": 401}}}, FatalError),
        ([{"error": {"code": 400, "message": "no"}}], PermanentError),
        (
            {"choices": [{"error": {"code": 502, "message": "up"}, "finish_reason": "error"}]},
            AmbiguousError,
        ),
    ],
)
def test_an_error_inside_a_200_is_an_error(body, kind):
    assert type(refused(body)) is kind


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 502}, "usage": USAGE},
        {"data": {"error": {"code": 502}}, "usage": USAGE},
        {"data": {"error": {"code": 502}, "usage": USAGE}},
        {"choices": [{"error": {"code": 502}, "message": None}], "usage": USAGE},
        {"success": False, "tokens_prompt": 9, "tokens_completion": 3},
    ],
)
def test_the_tokens_of_an_error_are_told_wherever_they_stand(body):
    assert refused(body).usage == COUNTED


def test_text_before_an_error_in_a_choice_is_kept():
    body = chat({"content": "half a c"}, "error")
    body["choices"][0]["error"] = {"code": 502}
    assert read(body).text == "half a c"


def test_other_statuses_are_refusals():
    error = refused({"error": {"message": "no", "code": "model_not_found"}}, 404, model="gpt-9")
    assert isinstance(error, FatalError)
    assert "gpt-9" in error.message


def test_values_are_brought_to_their_types():
    body = chat({"content": 42, "refusal": ["no"]}, {"why": 1}, id=7, model=None, usage="much")
    assert read(body) == Completion(
        text="42", finish_reason='{"why":1}', refusal='["no"]', response_id="7"
    )


def test_lone_surrogates_become_the_replacement_character():
    message = b'{"content": "a \\ud83d cat \\ud83d\\ude00"}'
    body = b'{"model": "\\ud83d", "choices": [{"message": ' + message + b"}]}"
    answer = read(body)
    assert answer.text == "a \ufffd cat \U0001f600"
    assert answer.model == "\ufffd"


def test_credentials_are_taken_out_of_an_answer():
    body = chat({"content": "key sk-1 of sk-12"}, "sk-1", model="m-sk-12")
    answer = replies.read(reply(body), credentials=("sk-1", "sk-12"))
    assert answer.text == "key [redacted] of [redacted]"
    assert (answer.finish_reason, answer.model) == ("[redacted]", "m-[redacted]")


def test_secrets_stay_out_of_errors_about_an_answer():
    error = refused(b"<html>sk-1", secrets=("sk-1",))
    assert error.body == "<html>[redacted]"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "message", "content", "text", "data", "output", "usage", "error"),
                    *(
                        "success",
                        "type",
                        "code",
                        "finish_reason",
                        "model",
                        "id",
                        "refusal",
                        "detail",
                    ),
                    *("tool_calls", "prompt_tokens", "cost", "incomplete_details", "status", "raw"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, max_examples=300)
@given(json_values, st.sampled_from([200, 201, 400, 404, 429, 500]))
def test_any_json_is_an_answer_or_one_of_our_errors(value, status):
    raw = json.dumps(value).encode()
    try:
        answer = replies.read(reply(raw, status), secrets=("a",), credentials=("a",))
    except EndpointError as error:
        orjson.dumps([error.message, error.body, error.provider_code, error.request_id])
    else:
        orjson.dumps([answer.text, answer.model, answer.finish_reason, answer.refusal])
        assert answer.text is not None or answer.refusal is not None or answer.tool_calls


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.sampled_from([200, 400, 429, 500]))
def test_any_bytes_are_one_of_our_errors_unless_they_are_json(body, status):
    error = None
    try:
        replies.read(reply(body, status))
    except EndpointError as caught:
        error = caught
    assert error is not None
    assert len(error.body.encode()) <= 3 * len(body)
