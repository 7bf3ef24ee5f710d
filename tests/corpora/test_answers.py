"""Whatever an endpoint says, it is an answer or one of our errors."""

import math

import orjson
import pytest

from tests.corpora import answers
from tests.corpora.cases import part_of
from vbatch.endpoint import replies
from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.endpoint.models import read_models
from vbatch.endpoint.reply import NotJsonError
from vbatch.endpoint.strings import OutsizedJsonError
from vbatch.endpoint.waits import limit_headers
from vbatch.errors import EndpointError
from vbatch.records import Completion

SECRET = "hunter2"


def judge(heard):
    check_other_readers(heard.reply)
    try:
        answer = replies.read(heard.reply, model="m", secrets=[SECRET], credentials=[SECRET])
    except EndpointError as error:
        check_error(error)
        return error.code
    check_answer(answer)
    return "answer"


def check_answer(answer):
    assert isinstance(answer, Completion)
    texts = (answer.text, answer.finish_reason, answer.refusal, answer.tool_calls)
    texts += (answer.model, answer.response_id)
    assert all(text is None or type(text) is str for text in texts)
    assert any(text is not None for text in texts[:4])
    orjson.dumps(texts)
    check_usage(answer.usage)


def check_usage(usage):
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    counts += (usage.cached_tokens, usage.reasoning_tokens)
    assert all(count is None or 0 <= count < 2**63 for count in counts)
    assert usage.cost is None or 0 <= usage.cost < math.inf


def check_error(error):
    assert error.code
    assert error.message
    orjson.dumps([error.message, error.provider_code, error.request_id, error.body])
    assert len((error.body or "").encode()) <= 64 * 1024
    assert error.retry_after_s is None or 0 < error.retry_after_s < math.inf
    if error.usage is not None:
        check_usage(error.usage)


def check_other_readers(reply):
    """What else is read from a reply: limits, and a list of models."""
    assert isinstance(limit_headers(reply.headers, reply.received_at), LimitHeaders)
    try:
        document = reply.json()
    except (NotJsonError, OutsizedJsonError):
        return
    assert all(type(model.id) is str for model in read_models(document))


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize(
    "cases", [answers.swapped, answers.bodies, answers.statuses, answers.headers]
)
def test_whatever_is_said_is_an_answer_or_our_error(cases, part, corpus):
    words = corpus.go_through(part_of(cases(), part, 2), judge)
    assert words["answer"] > 9
    assert len(words) > 2
