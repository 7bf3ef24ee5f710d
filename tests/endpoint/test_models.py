import pytest

from vbatch.endpoint.models import ModelInfo, read_models

A = [ModelInfo(id="a")]


@pytest.mark.parametrize(
    "document",
    [
        {"data": [{"id": "a"}]},
        {"models": [{"name": "a"}]},
        {"data": {"models": ["a"]}},
        {"data": [{"model_name": "a", "model_info": {"id": "hash"}}]},
        {"data": [{"id": "a"}], "models": "none"},
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
        ({"capabilities": {"chat_completion": True, "inference": True}}, None),
        ({"capabilities": {"image_input": {"supported": True}}}, True),
        ({"capabilities": {"image_input": {"supported": False}}}, False),
        ({"supports_image_input": True}, True),
        ({"supports_image_input": False, "supports_chat": True}, False),
        ({"supports_image_input": None}, None),
        ({"model_info": {"supports_vision": True}}, True),
        ({"model_info": {"supports_vision": None}}, None),
        ({}, None),
    ],
)
def test_a_list_tells_sight_in_many_ways(said, vision):
    assert read_models([{"id": "a", **said}]) == [ModelInfo(id="a", vision=vision)]


def test_a_profile_can_name_the_field_that_counts():
    listed = [{"id": "a", "input_modalities": ["text"], "capabilities": ["vision"]}]
    assert read_models(listed, vision_field="capabilities") == [ModelInfo(id="a", vision=True)]
    assert read_models(listed, vision_field="input_modalities") == [ModelInfo(id="a", vision=False)]


def test_of_two_lists_one_names_the_models_and_both_say_what_they_see():
    listed = {
        "data": [{"id": "a"}, {"id": "b"}, {"id": "c", "capabilities": ["vision"]}],
        "models": [
            {"name": "a", "capabilities": ["completion", "multimodal"]},
            {"name": "b", "capabilities": ["completion"]},
        ],
    }
    assert [model.vision for model in read_models(listed)] == [True, False, True]
