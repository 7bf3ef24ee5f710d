import pytest

from vbatch.endpoint.models import ModelInfo, read_models

A = [ModelInfo(id="a")]


@pytest.mark.parametrize(
    "document",
    [
        {"data": [{"id": "a"}]},
        {"models": [{"name": "a"}]},
        {"data": {"models": ["a"]}},
        [{"model": "a"}],
        ["a"],
        {"data": [{"id": "a"}, {"id": 5}, {}, None, 3]},
    ],
)
def test_a_list_is_found_in_every_wrapping(document):
    assert read_models(document) == A


@pytest.mark.parametrize("document", [None, "a", {}, {"data": None}, {"data": 3}, []])
def test_what_holds_no_list_holds_no_models(document):
    assert read_models(document) == []


@pytest.mark.parametrize(
    ("said", "vision"),
    [
        ({"input_modalities": ["text", "image"]}, True),
        ({"input_modalities": ["text"]}, False),
        ({"architecture": {"input_modalities": ["text", "image"]}}, True),
        ({"architecture": {"modality": "text+image->text"}}, True),
        ({"architecture": {"modality": "text->text+image"}}, False),
        ({"architecture": "transformer"}, None),
        ({"capabilities": ["chat", "Vision"]}, True),
        ({"capabilities": ["chat"]}, False),
        ({"capabilities": {"vision": True}}, True),
        ({"capabilities": {"vision": False, "chat": True}}, False),
        ({"modalities": {"input": ["image"], "output": ["text"]}}, True),
        ({"modalities": {"input": ["text"], "output": ["image"]}}, False),
        ({"modalities": ["text"], "capabilities": ["vision"]}, True),
        ({"capabilities": None}, None),
        ({}, None),
    ],
)
def test_a_list_tells_sight_in_many_ways(said, vision):
    assert read_models([{"id": "a", **said}]) == [ModelInfo(id="a", vision=vision)]


def test_a_profile_can_name_the_field_that_counts():
    listed = [{"id": "a", "input_modalities": ["text"], "capabilities": ["vision"]}]
    assert read_models(listed, vision_field="capabilities") == [ModelInfo(id="a", vision=True)]
    assert read_models(listed, vision_field="input_modalities") == [ModelInfo(id="a", vision=False)]
