"""The stand-in is as strict as the gateways' references, each in its own way."""

import pytest

from vbatch.server.dialects import DIALECTS

KEY = "sk-test-0123456789"


@pytest.fixture
def asked(body, uri, draw):
    """A request that a dialect takes, with changes: ``asked("mistral", seed=1)``."""

    def made(dialect, *, image=None, inner=None, **fields):
        content = [{"type": "text", "text": "What is it?"}]
        picture = {"url": image or uri(draw()), **(inner or {})}
        content.append({"type": "image_url", "image_url": picture})
        messages = [{"role": "user", "content": content}]
        return body(DIALECTS[dialect].models[0].id, messages=messages) | fields

    return made


def key_of(dialect, key=KEY):
    return {DIALECTS[dialect].key_header: DIALECTS[dialect].key_prefix + key}


REFUSED = [
    ("mistral", {"seed": 1}, 422, "Extra inputs are not permitted"),
    ("mistral", {"max_completion_tokens": 9}, 422, "Extra inputs are not permitted"),
    ("together", {"inner": {"detail": "low"}}, 400, "Unknown in image_url: detail"),
    ("together", {"max_completion_tokens": 9}, 400, "Unrecognized request argument"),
    ("gemini", {"image": "https://pictures.test/a.jpg"}, 400, "only base64"),
    ("gemini", {"logit_bias": {}}, 400, "Unknown name"),
    ("ollama", {"image": "https://pictures.test/a.jpg"}, 400, "invalid image input"),
    ("xai", {"model": "grok-0"}, 404, "grok-0 does not exist"),
    ("openrouter", {"model": "no"}, 400, "no is not a valid model ID"),
    ("anthropic", {"n": 2}, 400, "'n'"),
    ("anthropic", {"image": "data:image/png;base64,{jpeg}"}, 400, "declared image/png"),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
async def test_what_a_gateway_refuses_is_refused(case, serve, asked, uri, draw):
    dialect, change, status, words = case
    talk = await serve(dialect=dialect)
    if "{jpeg}" in change.get("image", ""):
        data = uri(draw()).partition(",")[2]
        change = {"image": change["image"].replace("{jpeg}", data)}

    said = await talk.ask(asked(dialect, **change))

    assert said.status == status
    assert words in said.body.decode()
    assert talk.running.ledger.summary()["answered"] == 0


TAKEN = [
    ("mistral", {"random_seed": 1}),
    ("groq", {"max_completion_tokens": 9}),
    ("anthropic", {"max_completion_tokens": 9}),
    ("vllm", {"guided_choice": ["a"], "mm_processor_kwargs": {}}),
    ("ollama", {"max_completion_tokens": 9}),
    ("llamacpp", {"model": "whatever"}),
    ("sglang", {"model": "whatever"}),
]


@pytest.mark.parametrize(("dialect", "change"), TAKEN)
async def test_what_a_gateway_takes_is_taken(dialect, change, serve, asked):
    talk = await serve(dialect=dialect)

    assert (await talk.ask(asked(dialect, **change))).status == 200


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_the_key_is_taken_where_the_gateway_has_it_and_nowhere_else(dialect, serve, asked):
    talk = await serve(dialect=dialect, api_key=KEY)
    query = "?api-version=1" if dialect == "azure-deployment" else ""
    wrong = {"x-other": KEY} if dialect.startswith("azure") else {"api-key": KEY}

    right = await talk.ask(asked(dialect), query=query, **key_of(dialect))
    refused = [
        await talk.ask(asked(dialect), query=query, **headers)
        for headers in ({}, wrong, key_of(dialect, "sk-another"))
    ]

    assert right.status in (200, 201)
    bad_key = 400 if dialect in {"gemini", "xai"} else 401
    assert {said.status for said in refused} == {bad_key}


async def test_anthropics_list_wants_its_key_in_another_header(serve):
    talk = await serve(dialect="anthropic", api_key=KEY)
    url = f"{talk.running.base_url}/models"

    assert (await talk.get(url, **{"x-api-key": KEY})).status == 200
    assert (await talk.get(url, Authorization=f"Bearer {KEY}")).status == 401


@pytest.mark.parametrize(
    ("dialect", "query", "status"),
    [
        ("azure-deployment", "", 404),
        ("azure-deployment", "?api-version=2024-10-21", 200),
        ("azure", "", 200),
        ("azure", "?api-version=2024-10-21", 400),
    ],
)
async def test_azures_addresses_want_a_version_or_none(dialect, query, status, serve, asked):
    talk = await serve(dialect=dialect)

    assert (await talk.ask(asked(dialect), query=query)).status == status


async def test_a_cost_stands_where_the_gateway_has_it(serve, asked):
    found = {}
    for dialect in ("openrouter", "deepinfra", "xai", "litellm"):
        talk = await serve(dialect=dialect)
        said = await talk.ask(asked(dialect))
        usage = said.json["usage"]
        cost = 2.5e-6 * usage["prompt_tokens"] + 1e-5 * usage["completion_tokens"]
        found[dialect] = {
            "openrouter": usage.get("cost"),
            "deepinfra": usage.get("estimated_cost"),
            "xai": usage.get("cost_in_usd_ticks", 0) / 1e10,
            "litellm": float(said.headers.get("x-litellm-response-cost", "nan")),
        }[dialect] / cost
    assert found == dict.fromkeys(found, pytest.approx(1, rel=1e-4))
