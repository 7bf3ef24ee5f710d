"""Where job and gateway do not fit together."""

import pytest

FLEXAI = 'manifest = "m"\nendpoint.profile = "flexai"\n'
VISION = 'manifest = "m"\nendpoint.profile = "vision"\n'


def test_a_gateway_without_an_address_of_its_own_asks_for_one(problems):
    assert problems(VISION) == (
        (
            "jobs/captions.toml: endpoint.base_url: required, as profile vision has none; allowed: "
            'an address like "https://host/v1"'
        ),
        (
            "jobs/captions.toml: endpoint.model: required, as profile vision has none; allowed: "
            "a vision model, like gpt-4-vision-preview, gpt-4o, gpt-4o-mini"
        ),
    )


def test_a_gateway_whose_models_are_not_known_asks_for_one_all_the_same(problems, tmp_path):
    (tmp_path / "mine.toml").write_text('base_url = "http://h/v1"')

    (problem,) = problems('manifest = "m"', flags={"profile": "mine.toml"})

    assert problem.endswith("required, as profile mine has none; allowed: a vision model")


def test_a_gateway_that_does_not_stream_says_so_itself(problems):
    (problem,) = problems(
        VISION, "request.stream=true", "endpoint.base_url=http://h", "endpoint.model=m"
    )

    assert problem == (
        "-s: request.stream: found true; allowed: false; the gateway of profile vision does not "
        "stream"
    )


def test_a_format_that_the_gateway_does_not_take_is_refused(problems, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'base_url = "http://h/v1"\nmodel = "m"\nimages.formats = ["png", "jpeg"]'
    )

    (problem,) = problems('manifest = "m"\nimages.format = "webp"', flags={"profile": "mine.toml"})

    assert problem == (
        'jobs/captions.toml: images.format: found "webp"; allowed: what mine takes: auto, png, jpeg'
    )


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_the_header_of_the_key_cannot_be_set_twice(load, problems, name):
    (problem,) = problems(FLEXAI, f"endpoint.headers.{name}=mine")

    assert problem == (
        f"-s: endpoint.headers.{name}: the key of FLEXAI_API_KEY goes there; take this header out"
    )
    assert load(
        'manifest = "m"\nendpoint.profile = "local"', f"endpoint.headers.{name}=mine"
    ).endpoint.headers == {name: "mine"}


def test_headers_that_http_needs_are_vbatchs_own(problems):
    (problem,) = problems(FLEXAI, "endpoint.headers.Content-Length=five")

    assert problem == (
        "-s: endpoint.headers.Content-Length: vbatch writes this header itself; take it out"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("messages=[]", "messages: not allowed here; vbatch writes the messages"),
        ("model='m'", "model: not allowed here; set endpoint.model"),
        ("stream=true", "stream: not allowed here; set request.stream"),
        ("n=2", "n: found 2; allowed: at most 1 answer to a request of flexai"),
        ("n='2'", 'n: found "2"; allowed: at most 1 answer'),
        ("max_completion_tokens=5", "max_completion_tokens: said twice; request.max_tokens is set"),
        ("temperature=1", "temperature: said twice; request.temperature is set too"),
    ],
)
def test_extra_fields_that_break_a_request_are_refused(problems, said, told):
    written = f"{FLEXAI}request.max_tokens = 1\nrequest.temperature = 0\n"

    (problem,) = problems(written, f"request.extra.{said}")

    assert problem.startswith(f"-s: request.extra.{told}")


def test_other_extra_fields_are_merged_as_they_are(load):
    job = load(
        f"{FLEXAI}[request.extra]\nn = 1\nstream = false\nmax_tokens = 7\n"
        "response_format = {type = 'json_object'}\n"
    )

    assert job.request.extra == {
        "n": 1,
        "stream": False,
        "max_tokens": 7,
        "response_format": {"type": "json_object"},
    }


def test_several_answers_are_the_gateways_to_refuse_unless_the_profile_knows(load):
    job = load('manifest = "m"\nendpoint.profile = "local"\nrequest.extra.n = 2\n')

    assert job.request.extra == {"n": 2}


def test_a_problem_that_is_known_is_not_said_again_by_another_check(problems):
    assert problems(VISION, "endpoint.base_url=5", "endpoint.model=${GONE}") == (
        (
            "-s: endpoint.model: the environment variable GONE is not set; set it, or write "
            "${GONE:-default}"
        ),
        (
            '-s: endpoint.base_url: found 5; allowed: an address like "https://host/v1", without '
            "query and fragment"
        ),
    )
