"""Which listed model is meant, and which one may have been."""

import pytest

from vbatch.api.findings import find, near
from vbatch.endpoint.models import ModelInfo


@pytest.mark.parametrize(
    ("model", "listed", "found"),
    [
        ("gpt-4o", ["gpt-4o-mini", "gpt-4o"], "gpt-4o"),
        ("gemini-2.5-flash", ["models/gemini-2.5-flash"], "models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", ["gemini-2.5-flash"], "gemini-2.5-flash"),
        ("llava", ["llava:7b", "llava:latest"], "llava:latest"),
        ("llava:13b", ["llava:7b", "llava:latest"], None),
        ("openai/gpt-4o:nitro", ["openai/gpt-4o"], "openai/gpt-4o"),
        ("openai/gpt-4o", ["anthropic/*", "openai/*"], "openai/*"),
        ("openai/gpt-4o", ["openai/*", "openai/gpt-4o"], "openai/gpt-4o"),
        ("gpt-4o", ["openai/*"], None),
        ("gpt-4o", [], None),
        ("", ["gpt-4o"], None),
    ],
)
def test_a_model_is_found_under_the_names_that_lists_use(model, listed, found):
    entry = find(model, [ModelInfo(id=name) for name in listed])

    assert (entry.id if entry else None) == found


@pytest.mark.parametrize(
    ("model", "known", "meant"),
    [
        ("gpt4o", ["o4-mini", "gpt-4o-mini", "gpt-4o"], ["gpt-4o", "gpt-4o-mini"]),
        ("GPT-4O", ["gpt-4o"], ["gpt-4o"]),
        ("gpt-4o", ["openai/gpt-4o", "google/gemini"], ["openai/gpt-4o"]),
        ("openai/gpt-4", ["gpt-4o"], ["gpt-4o"]),
        ("zebra", ["gpt-4o"], []),
        ("gpt-4o", [], []),
    ],
)
def test_those_that_may_have_been_meant_are_named_the_likeliest_first(model, known, meant):
    assert near(model, known) == meant


def test_no_more_than_three_are_named():
    assert len(near("a-1", ["a-2", "a-3", "a-4", "a-5"])) == 3
