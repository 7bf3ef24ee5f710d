"""Answers that come word by word: whole ones are kept, cut ones never, silence ends the wait."""

from __future__ import annotations

import json

import pytest

import vbatch
from vbatch.server.faults import parse_faults

STREAMING = {"request": {"stream": True}}


def results(workshop):
    return vbatch.open_run(workshop.folder / "run").results().to_pylist()


def usage(workshop):
    (row,) = vbatch.open_run(workshop.folder / "run").usage().to_pylist()
    return row


@pytest.mark.parametrize("profile", ["openai", "infinityblue", "flexai", "indoxhub", "aimlapi"])
def test_a_streamed_answer_is_the_answer_with_its_usage(endpoint, workshop, profile):
    server = endpoint(dialect=profile)
    workshop.rows(5)
    plain = workshop.job(server.base_url, profile=profile, endpoint={"model": model_of(profile)})
    vbatch.run(plain)
    texts = {row["id"]: row["text"] for row in results(workshop)}
    job = workshop.job(
        server.base_url, profile=profile, endpoint={"model": model_of(profile)}, **STREAMING
    )

    assert vbatch.run(job, fresh=True).answered == 5

    assert {row["id"]: row["text"] for row in results(workshop)} == texts
    assert {row["finish_reason"] for row in results(workshop)} == {"stop"}
    assert usage(workshop)["total_tokens"] == server.sums["total_tokens"] // 2


def model_of(profile):
    return {
        "infinityblue": "gpt-5.4",
        "flexai": "phi-4-multimodal-instruct",
        "indoxhub": "openai/gpt-4o",
    }.get(profile, "gpt-4o")


def test_when_the_first_word_came_is_kept_beside_the_answer(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(2)

    vbatch.run(workshop.job(server.base_url, **STREAMING))

    for row in results(workshop):
        first = json.loads(row["extra"])["vbatch.first_token_s"]
        assert 0 < first <= row["latency_s"] + 0.001


def test_a_stream_cut_short_is_never_an_answer(endpoint, workshop):
    server = endpoint(dialect="openai", faults=parse_faults("cut@2"))
    workshop.rows(4)

    summary = vbatch.run(workshop.job(server.base_url, limits={"max_in_flight": 1}, **STREAMING))

    assert (summary.exit_code, summary.answered) == (0, 4)
    assert sorted(row["attempts"] for row in results(workshop)) == [1, 1, 1, 2]
    assert usage(workshop)["possibly_billed"] == 1
    assert server.sums["answered"] == 5


def test_a_gateway_that_answers_in_one_piece_is_understood_all_the_same(endpoint, workshop):
    server = endpoint(dialect="indoxhub")
    workshop.rows(3)
    job = workshop.job(
        server.base_url, profile="indoxhub", endpoint={"model": "openai/gpt-4o"}, **STREAMING
    )

    assert vbatch.run(job).answered == 3
    assert not any(row["extra"] for row in results(workshop))


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_tools_come_as_json(endpoint, workshop, stream):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    (workshop.folder / "job.toml").write_text(
        f"""
        manifest = "manifest.jsonl"
        output = "run"
        [endpoint]
        profile = "openai"
        base_url = "{server.base_url}"
        api_key_env = "TEST_KEY"
        model = "gpt-4o"
        [request]
        stream = {str(stream).lower()}
        tool_choice = "required"
        [[request.tools]]
        type = "function"
        [request.tools.function]
        name = "note_size"
        [request.tools.function.parameters]
        type = "object"
        required = ["width", "what"]
        properties = {{width = {{type = "integer"}}, what = {{type = "string"}}}}
        """
    )

    assert vbatch.run(workshop.folder / "job.toml").answered == 2

    for row in results(workshop):
        (call,) = json.loads(row["tool_calls"])
        assert call["function"]["name"] == "note_size"
        assert json.loads(call["function"]["arguments"])["width"] == 32
        assert (row["text"], row["finish_reason"]) == (None, "tool_calls")


def test_streamed_answers_are_checked_against_their_schema_too(endpoint, workshop):
    server = endpoint(dialect="openai")
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["n"],
        "properties": {"n": {"type": "integer"}},
    }
    (workshop.folder / "n.json").write_text(json.dumps(schema))
    workshop.rows(2)
    job = workshop.job(server.base_url, request={"stream": True, "response_schema": "n.json"})

    assert vbatch.run(job).answered == 2
    assert [row["parsed"]["n"] for row in results(workshop)] == [32, 32]


@pytest.mark.parametrize("stream", [False, True])
def test_the_whole_answer_is_kept_when_asked_for(endpoint, workshop, stream):
    server = endpoint(dialect="openai")
    workshop.rows(2)

    vbatch.run(workshop.job(server.base_url, request={"stream": stream, "raw": True}))

    for row in results(workshop):
        raw = json.loads(row["raw"])
        assert raw["choices"][0]["message"]["content"] == row["text"]
        assert raw["id"] == row["response_id"]


def test_whether_the_whole_answer_is_kept_cannot_change_within_a_run(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    vbatch.run(workshop.job(server.base_url))
    assert "raw" not in vbatch.open_run(workshop.folder / "run").results().schema.names

    with pytest.raises(vbatch.errors.Mismatch, match=r"request\.raw"):
        vbatch.run(workshop.job(server.base_url, request={"raw": True}), accept_change=True)
