"""The API key and what else must not be seen."""

import json

import pytest

from vbatch.errors import JobError

MINIMAL = 'manifest = "rows.jsonl"\nendpoint.profile = "local"\n'
VISION = """
manifest = "rows.jsonl"
[endpoint]
profile = "vision"
base_url = "https://host/v1"
model = "gpt-4o"
"""
KEY = "canary-key-123456"


@pytest.mark.parametrize("value", [None, "", "a key", "key\n", "ke\ty", "clé", "\0"])
def test_a_key_that_cannot_be_sent_is_refused_when_it_is_needed(load, problems, value):
    env = {} if value is None else {"VISION_API_KEY": value}

    (problem,) = problems(VISION, env=env, need_key=True)

    assert problem.startswith(
        "jobs/captions.toml: endpoint.api_key_env: the environment variable VISION_API_KEY"
    )
    assert value is None or not value.strip() or value not in problem
    job = load(VISION, env=env)
    assert job.api_key is None
    with pytest.raises(JobError) as caught:
        job.require_key()
    assert caught.value.message == problem


def test_a_key_is_taken_from_the_variable_that_the_job_names(load):
    env = {"MY_KEY": KEY, "VISION_API_KEY": "other"}

    job = load(VISION, "endpoint.api_key_env=MY_KEY", env=env, need_key=True)

    assert job.api_key == KEY
    assert KEY in job.secrets
    job.require_key()


def test_a_profile_without_a_key_needs_none(load):
    job = load(MINIMAL, need_key=True)

    assert job.api_key is None
    job.require_key()


def test_neither_key_nor_secrets_are_shown_or_dumped(load):
    env = {"VISION_API_KEY": KEY, "WHO": "canary-who-123456"}
    written = f'{VISION}headers = {{ X-Who = "${{WHO}}" }}\n[request]\nsystem = "You are ${{WHO}}."'

    job = load(written, env=env)

    assert job.request.system == "You are canary-who-123456."
    for text in (repr(job), str(job), f"{job.endpoint!r}", json.dumps(job.question())):
        assert "canary" not in text
    assert KEY not in str(job.model_dump())
    assert set(job.secrets) == {KEY, "canary-who-123456"}


def test_secrets_are_taken_out_of_problems(problems):
    written = f'{MINIMAL}images.send = "${{SECRET}}"\nimages.format = "a ${{LINES}}"\n'

    found = problems(written, env={"SECRET": "canary-1", "LINES": 'canary-2\n"canary-3"'})

    assert len(found) == 2
    assert "canary" not in "".join(found)
    assert "images.send: found " in found[0]


def test_a_long_value_is_described_so_that_no_half_secret_is_shown(problems):
    long = "canary-" * 20

    (problem,) = problems(f'{MINIMAL}images.send = "${{SECRET}}"', env={"SECRET": long})

    assert "found a text of 142 characters;" in problem


def test_headers_and_proxies_hold_secrets_by_their_nature(load):
    job = load(
        MINIMAL,
        "endpoint.headers={X-Api-Key='abcdefgh', Authorization='Bearer ijklmnop', X-Team='vision'}",
        "endpoint.proxy=http://me:qrstuvwx@proxy:3128",
    )

    assert set(job.secrets) == {"abcdefgh", "Bearer ijklmnop", "ijklmnop", "qrstuvwx"}


def test_a_key_of_three_letters_is_too_short_to_be_found_in_texts(load):
    assert load(VISION, env={"VISION_API_KEY": "abc"}).secrets == ()


def test_a_value_in_the_name_of_the_run_is_no_secret_but_a_header_is(load):
    written = MINIMAL + 'output = "runs/${DAY}"\nendpoint.headers = {X-Key = "${CODE}"}\n'

    job = load(written, env={"DAY": "2026-11-20", "CODE": "2026-11"})

    assert job.secrets == ("2026-11",)


@pytest.mark.parametrize(
    "setting",
    [
        "endpoint.headers=Authorization: Bearer canary-1",
        "endpoint.headers=['canary-1']",
        "endpoint.base_url=https://host/v1?key=canary-1",
        "endpoint.base_url=https://host/v1#canary-1",
    ],
)
def test_what_may_hold_a_key_is_refused_without_being_shown(problems, setting):
    (problem,) = problems(MINIMAL, setting)

    assert "canary" not in problem
    assert "allowed: " in problem
    assert ("'https://host/v1'" in problem) == ("base_url" in setting)
