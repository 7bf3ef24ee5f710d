"""The built-in profiles, and profiles of a user's own."""

import pytest

from vbatch.errors import JobError
from vbatch.profile import Profile, builtin_names, builtin_profiles, load_profile

ADDRESSES = {
    "aimlapi": ("https://api.aimlapi.com/v1", "AIMLAPI_KEY"),
    "anthropic": ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "azure": (None, "AZURE_OPENAI_API_KEY"),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "flexai": ("https://tokens.flex.ai/v1", "FLEXAI_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "indoxhub": ("https://api.indoxhub.com/api/v1", "INDOXHUB_API_KEY"),
    "indoxhub-openai": ("https://api.indoxhub.com/v1", "INDOXHUB_API_KEY"),
    "infinityblue": ("https://api.getinfinityblue.com/v1", "INFINITYBLUE_API_KEY"),
    "litellm": (None, "LITELLM_API_KEY"),
    "llamacpp": (None, None),
    "local": (None, None),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "ollama": ("http://localhost:11434/v1", None),
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "sglang": (None, None),
    "together": ("https://api.together.ai/v1", "TOGETHER_API_KEY"),
    "vision": (None, "VISION_API_KEY"),
    "vllm": (None, None),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
}
NAMES = tuple(ADDRESSES)
KEYS_ELSEWHERE = {"azure": ("api-key", "")}


@pytest.fixture
def refused(tmp_path):
    """The problems a profile file is refused for, without the file's name."""

    def refused(text):
        (tmp_path / "mine.toml").write_text(text)
        with pytest.raises(JobError) as caught:
            load_profile("./mine.toml", tmp_path)
        return [problem.removeprefix(f"{tmp_path}/mine.toml:") for problem in caught.value.problems]

    return refused


def test_the_built_in_profiles_are_listed_by_name():
    assert builtin_names() == NAMES
    assert tuple(profile.name for profile in builtin_profiles()) == NAMES
    assert all(profile.title for profile in builtin_profiles())


@pytest.mark.parametrize(("name", "address"), ADDRESSES.items())
def test_each_gateway_has_its_address_and_key(tmp_path, name, address):
    profile = load_profile(name, tmp_path)

    assert (profile.base_url, profile.api_key_env) == address
    key = KEYS_ELSEWHERE.get(name, ("Authorization", "Bearer "))
    assert (profile.auth_header, profile.auth_prefix) == key
    assert profile.request.path == "/chat/completions"
    cap = "max_completion_tokens" if name == "groq" else "max_tokens"
    assert profile.request.token_field == cap


@pytest.mark.parametrize(
    ("name", "model"),
    [("flexai", "phi-4-multimodal-instruct"), ("infinityblue", "gpt-5.4"), ("local", "pixels")],
)
def test_a_gateway_with_one_vision_model_needs_none_named(tmp_path, name, model):
    profile = load_profile(name, tmp_path)

    assert profile.model == model
    assert profile.models == (model,)


@pytest.mark.parametrize("name", ["aimlapi", "indoxhub", "indoxhub-openai", "openai", "vision"])
def test_a_gateway_with_several_models_picks_none_for_you(tmp_path, name):
    profile = load_profile(name, tmp_path)

    assert profile.model is None
    assert len(profile.models) > 1


def test_the_vision_dialect_puts_detail_into_the_body_and_does_not_stream(tmp_path):
    profile = load_profile("vision", tmp_path)

    assert profile.request.detail == "body"
    assert not profile.request.stream
    assert set(profile.images.formats) == {"png", "jpeg", "gif", "webp"}


def test_flexai_takes_no_animation_and_one_answer_of_2048_tokens(tmp_path):
    profile = load_profile("flexai", tmp_path)

    assert not profile.images.animated
    assert profile.request.max_choices == 1
    assert profile.request.max_completion_tokens == 2048
    assert profile.list_models.vision_field == "capabilities"


def test_indoxhub_lists_what_its_models_take_in(tmp_path):
    for name in ("indoxhub", "indoxhub-openai"):
        assert load_profile(name, tmp_path).list_models.vision_field == "input_modalities"


def test_infinityblue_counts_the_bytes_that_base64_stands_for(tmp_path):
    assert load_profile("infinityblue", tmp_path).images.count_bytes == "decoded"


def test_only_the_built_in_endpoint_starts_here():
    assert {profile.name for profile in builtin_profiles() if profile.starts_here} == {"local"}


def test_three_gateways_take_no_urls():
    without_urls = {profile.name for profile in builtin_profiles() if not profile.images.urls}

    assert without_urls == {"gemini", "local", "ollama"}


def test_only_azures_deployments_want_a_version_in_their_address(tmp_path):
    request = load_profile("azure", tmp_path).request

    assert request.query_at("https://x.openai.azure.com/openai/v1") == {}
    deployment = "https://x.openai.azure.com/openai/deployments/mine"
    assert request.query_at(deployment) == {"api-version": "2024-10-21"}
    assert load_profile("openai", tmp_path).request.query_at(deployment) == {}


def test_a_profile_of_ones_own_says_what_it_has_of_another_and_what_not(tmp_path):
    (tmp_path / "mine.toml").write_text(
        """
like = "azure"
base_url = "https://mine.openai.azure.com/openai/deployments/eyes"
[request]
query = { api-version = "2025-01-01-preview" }
[images]
max_count = 10
"""
    )

    profile = load_profile("mine.toml", tmp_path)

    assert (profile.name, profile.title) == ("mine", "Azure OpenAI")
    assert (profile.auth_header, profile.api_key_env) == ("api-key", "AZURE_OPENAI_API_KEY")
    assert profile.request.query_at(profile.base_url) == {"api-version": "2025-01-01-preview"}
    assert (profile.images.max_count, profile.images.max_bytes) == (10, 20 << 20)
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile


@pytest.mark.parametrize("like", ['"mistrall"', "1", '["openai"]'])
def test_a_profile_can_only_be_like_a_built_in_one(refused, like):
    (problem,) = refused(f"like = {like}")

    assert problem.strip().startswith("like: found ")
    assert "allowed: aimlapi, anthropic" in problem
    assert ('did you mean "mistral"' in problem) is (like == '"mistrall"')


@pytest.mark.parametrize("profile", builtin_profiles(), ids=lambda profile: profile.name)
def test_a_profile_survives_being_kept_as_json(profile):
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile


def test_a_profile_of_ones_own_needs_little(tmp_path):
    (tmp_path / "mine.toml").write_text('base_url = "http://10.0.0.5:8000/v1/"\n')

    profile = load_profile("mine.toml", tmp_path)

    assert profile.name == "mine"
    assert profile.base_url == "http://10.0.0.5:8000/v1"
    assert profile.api_key_env is None


def test_a_profile_of_ones_own_can_say_everything(tmp_path):
    (tmp_path / "mine.toml").write_text(
        """
name = "team"
title = "Team gateway"
api_key_env = "TEAM_KEY"
auth_header = "api-key"
auth_prefix = ""
keep_alive_s = "30s"
limit_window_s = 1
[request]
token_field = "max_completion_tokens"
detail = "none"
drop = ["temperature"]
rename = { seed = "random_seed" }
query = { "api version" = "2024 & later" }
[images]
urls = false
formats = ["png"]
max_count = 3
max_side = 2048
max_bytes = "4MB"
max_request_bytes = "20 MiB"
[list_models]
path = "/model-list"
complete = false
auth_header = "x-list-key"
headers = { x-version = "3" }
"""
    )

    profile = load_profile("./mine.toml", tmp_path)

    assert profile.name == "team"
    assert profile.auth_prefix == ""
    assert profile.keep_alive_s == 30.0
    assert profile.request.drop == ("temperature",)
    assert profile.images.formats == ("png",)
    assert profile.images.max_request_bytes == 20_971_520
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile


def test_an_unknown_profile_is_refused_with_those_that_are_known(tmp_path):
    with pytest.raises(JobError) as caught:
        load_profile("flexia", tmp_path)

    assert caught.value.message == (
        'no profile is called "flexia" - did you mean "flexai"?; allowed: '
        f'{", ".join(NAMES)}, or a path to a profile file like "./mine.toml"'
    )


@pytest.mark.parametrize("name", ["../profiles/openai", "./gone.toml", "a\0b.toml"])
def test_a_profile_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(JobError, match="cannot read this profile"):
        load_profile(name, tmp_path)


def test_everything_wrong_with_a_profile_is_said_at_once(refused):
    found = refused(
        """
base_url = "host/v1"
auth_header = "api key"
auth_prefix = "Key\\n"
models = [1]
[request]
path = "chat completions"
query = { version = 1 }
rename = "seed"
detail = "everywhere"
max_choices = 0
tempo = 1
[images]
formats = ["tiff"]
animated = "no"
max_bytes = "big"
[list_models]
auth_header = "x list"
headers = { "x y" = "z" }
"""
    )

    assert [problem.split(":")[0].strip() for problem in found] == [
        "base_url",
        "auth_header",
        "auth_prefix",
        "models",
        "request.path",
        "request.detail",
        "request.rename",
        "request.query",
        "request.max_choices",
        "request.tempo",
        "images.formats",
        "images.animated",
        "images.max_bytes",
        "list_models.auth_header",
        "list_models.headers",
    ]
    assert all("allowed" in problem for problem in found)


def test_a_profile_that_is_not_toml_is_refused_with_its_line(refused):
    (problem,) = refused('title = "a"\nbase_url: x')

    assert problem.startswith("2: not TOML: ")


@pytest.mark.parametrize("formats", ["[]", '"png"', "[1]", "[[]]"])
def test_formats_are_a_list_of_those_known(refused, formats):
    (problem,) = refused(f"[images]\nformats = {formats}")

    assert problem.endswith("allowed: a list of jpeg, png, gif, webp")
