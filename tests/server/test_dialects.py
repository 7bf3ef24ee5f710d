import pytest

from vbatch.errors import JobError
from vbatch.server.dialects import DIALECTS, dialect_of, model_list
from vbatch.server.settings import ServerSettings


def test_an_unknown_dialect_is_refused_with_those_known():
    with pytest.raises(JobError, match="'latin'; choose from local, openai, indoxhub"):
        dialect_of(ServerSettings(dialect="latin"))


def test_settings_go_before_the_dialects_own_limits():
    own = dialect_of(ServerSettings(dialect="infinityblue", max_images=3, max_request_bytes=9))
    assert (own.max_images, own.max_request_bytes) == (3, 9)
    assert own.max_side == DIALECTS["infinityblue"].max_side


def test_without_settings_the_dialect_stays_as_it_is():
    assert dialect_of(ServerSettings(dialect="flexai")) == DIALECTS["flexai"]


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("local", {"pixels"}),
        ("aimlapi", {"gpt-4o", "gpt-4-turbo"}),
        ("vision", {"gpt-4-vision-preview", "gpt-4o", "gpt-4o-mini"}),
        ("infinityblue", {"gpt-5.4"}),
        ("flexai", {"phi-4-multimodal-instruct"}),
        (
            "indoxhub",
            {
                "openai/gpt-4o",
                "openai/gpt-4o-mini",
                "anthropic/claude-opus-4-7",
                "anthropic/claude-opus-4-6",
                "google/gemini-2.0-flash",
            },
        ),
    ],
)
def test_each_dialect_knows_the_models_its_page_names(name, models):
    assert {model.id for model in DIALECTS[name].models if model.vision} == models


@pytest.mark.parametrize(
    ("name", "mark", "sees"),
    [
        ("indoxhub", "input_modalities", "image"),
        ("indoxhub-openai", "input_modalities", "image"),
        ("flexai", "capabilities", "vision"),
    ],
)
def test_the_list_marks_vision_in_the_dialects_way(name, mark, sees):
    listed = {entry["id"]: entry[mark] for entry in model_list(DIALECTS[name])["data"]}
    assert sees not in listed.pop("stand-in/text-only")
    assert listed
    assert all(sees in marks for marks in listed.values())


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_list_says_that_this_is_no_model(name):
    listed = model_list(DIALECTS[name])
    if isinstance(listed, dict):
        listed = listed.get("data") or listed["models"]
    assert listed
    for entry in listed:
        assert "it is no model" in entry["description"]
        assert entry["object"] == "model"
