from pathlib import Path

import pytest

from vbatch.endpoint.settings import ClientSettings, settings_of
from vbatch.errors import JobError
from vbatch.job import load_job

BASE = "https://host.example/v1"


@pytest.mark.parametrize("base_url", [BASE, f"{BASE}/"])
def test_a_path_is_put_below_the_base_url(base_url):
    assert ClientSettings(base_url=base_url).url("/chat") == f"{BASE}/chat"


def test_the_key_goes_where_the_profile_says():
    settings = ClientSettings(base_url=BASE, api_key="k", auth_header="api-key", auth_prefix="")
    assert settings.sent_headers() == {"api-key": "k"}
    assert ClientSettings(base_url=BASE).sent_headers() == {}


def test_a_header_of_the_job_wins_over_the_key():
    own = {"authorization": "Token t"}
    assert ClientSettings(base_url=BASE, api_key="k", headers=own).sent_headers() == own


@pytest.fixture
def environment(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    return monkeypatch.setenv


def test_the_environment_is_asked_for_a_proxy_only_when_told_to(environment):
    environment("https_proxy", "http://proxy:3128")
    assert ClientSettings(base_url=BASE).proxy_url() is None
    assert ClientSettings(base_url=BASE, proxy="http://own:1").proxy_url() == "http://own:1"
    assert ClientSettings(base_url=BASE, proxy="env").proxy_url() == "http://proxy:3128"


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"http_proxy": "http://proxy:3128"}, None),
        ({"all_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "other,.example"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "other"}, "http://proxy:3128"),
    ],
)
def test_a_proxy_of_the_environment_is_the_schemes_own_unless_excepted(
    environment, variables, proxy
):
    for name, value in variables.items():
        environment(name, value)
    assert ClientSettings(base_url=BASE, proxy="env").proxy_url() == proxy


def test_a_proxy_that_speaks_something_else_is_refused(environment):
    environment("all_proxy", "socks5://proxy:1080")
    with pytest.raises(JobError, match="socks5"):
        ClientSettings(base_url=BASE, proxy="env").proxy_url()


@pytest.mark.parametrize("proxy", ["HTTP://proxy:3128", "Https://me:word@proxy"])
def test_upper_and_lower_case_of_a_proxys_scheme_are_the_same(proxy):
    assert ClientSettings(base_url=BASE, proxy=proxy).proxy_url() == proxy


@pytest.mark.parametrize("proxy", ["http://", "pro xy:1", "http://[::1", f"{'a' * 64}.example:1"])
def test_a_proxy_of_the_environment_that_is_no_address_is_refused(environment, proxy):
    environment("all_proxy", proxy)
    with pytest.raises(JobError, match=r"endpoint\.proxy: not an address"):
        ClientSettings(base_url=BASE, proxy="env").proxy_url()


def test_a_proxys_user_name_with_a_colon_is_refused():
    """A login is ``user:password``, and nothing can tell the two apart then."""
    with pytest.raises(JobError, match="a colon in it"):
        ClientSettings(base_url=BASE, proxy="http://us%3Aer:word@proxy:3128").proxy_url()


def test_a_job_tells_how_its_endpoint_is_reached():
    text = """
        manifest = "m.jsonl"
        [endpoint]
        profile = "flexai"
        headers = { X-Team = "night" }
        keep_alive = false
        [retry]
        timeout = "20s"
    """
    env = {"FLEXAI_API_KEY": "sk-12345"}
    job = load_job(Path("job.toml"), text=text, env=env, cwd=Path("/here"))
    settings = settings_of(job, connections=7)
    assert settings.url(settings.path) == "https://tokens.flex.ai/v1/chat/completions"
    assert settings.url(settings.models_path) == "https://tokens.flex.ai/v1/models"
    assert settings.sent_headers() == {"X-Team": "night", "Authorization": "Bearer sk-12345"}
    assert (settings.timeout_s, settings.connections, settings.keep_alive) == (20, 7, False)
    assert settings.keep_alive_s == job.profile.keep_alive_s
    assert "sk-12345" in settings.secrets


def test_credentials_are_what_only_opens_doors():
    settings = ClientSettings(
        base_url=BASE,
        api_key="sk-1",
        headers={"x-team": "id t0ken"},
        proxy="http://me:p%40ss@proxy:1",
        secrets=("sk-1", "t0ken", "French", ""),
    )
    assert settings.credentials() == ("sk-1", "t0ken", "p%40ss", "p@ss")
    assert {*settings.all_secrets()} == {"sk-1", "t0ken", "French", "p%40ss", "p@ss", ""}


@pytest.mark.parametrize(
    "key",
    [
        *("a", "none", "EMPTY", "ollama", "t0ken", "sk-1", "12345678", "localhost", "Password"),
        *("not-needed", "sk-no-key-required", "NO_KEY_SET", "correct horse battery"),
    ],
)
def test_a_key_that_may_be_a_word_of_an_answer_is_left_in_answers_and_in_nothing_else(key):
    settings = ClientSettings(base_url=BASE, api_key=key)
    assert settings.unlikely_credentials() == ()
    assert key in settings.all_secrets()


@pytest.mark.parametrize(
    "key", ["sk-12345", "Quokka-Word-91", "aBcDeFgHiJ", "p@ssw!rd", "x/y+z===", "k" * 32]
)
def test_a_key_that_is_no_word_is_taken_out_of_answers(key):
    settings = ClientSettings(
        base_url=BASE, api_key="short", headers={"x-token": key}, secrets=(key,)
    )
    assert settings.unlikely_credentials() == (key,)


def test_what_stands_after_the_question_mark_is_written_as_addresses_want_it():
    settings = ClientSettings(base_url=f"{BASE}/", query={"api-version": "2024 & later"})

    assert settings.url("/models") == f"{BASE}/models?api-version=2024+%26+later"
    assert ClientSettings(base_url=BASE).url("/models") == f"{BASE}/models"


def test_a_list_of_models_has_its_key_and_its_version_where_it_wants_them():
    settings = ClientSettings(
        base_url=BASE,
        api_key="sk-1",
        models_auth_header="x-api-key",
        models_headers={"x-version": "2", "x-team": "theirs"},
        headers={"x-team": "ours"},
    )

    assert settings.sent_headers() == {"x-team": "ours", "Authorization": "Bearer sk-1"}
    assert settings.sent_headers(for_models=True) == {
        "x-version": "2",
        "x-team": "ours",
        "x-api-key": "sk-1",
    }


def test_settings_do_not_show_their_secrets():
    settings = ClientSettings(
        base_url=BASE, api_key="sk-1", secrets=("sk-1",), headers={"a": "sk-1"}
    )
    assert "sk-1" not in repr(settings)
