"""Gateways and servers that users bring: each row gets its answer, each refusal its meaning."""

from __future__ import annotations

import math

import pytest

import vbatch
from tests.conftest import picture
from vbatch.errors import Exit
from vbatch.server import DIALECTS, parse_faults

KEY = "sk-test-0123456789"
DIALECTS_OF = {
    "azure": ("azure", "azure-deployment"),
    **{
        name: (name,)
        for name in (
            *("openrouter", "anthropic", "gemini", "mistral", "groq", "together", "fireworks"),
            *("deepinfra", "xai", "vllm", "sglang", "ollama", "llamacpp", "litellm"),
        )
    },
}
PAIRS = [(profile, dialect) for profile, names in DIALECTS_OF.items() for dialect in names]
ANY_NAME = {"azure-deployment", "sglang", "llamacpp"}
"""Who answers to any model name."""
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
COSTS = {"openrouter", "deepinfra", "xai", "litellm"}


@pytest.fixture
def gateway(endpoint, workshop):
    """``gateway(profile, dialect, **settings)``: a stand-in, and a job that asks it."""

    def begin(profile, dialect, *, tables=None, **settings):
        settings.setdefault("api_key", KEY)
        server = endpoint(dialect=dialect, **settings)
        tables = {"endpoint": {"model": DIALECTS[dialect].models[0].id}, **(tables or {})}
        return server, workshop.job(server.base_url, profile=profile, **tables)

    return begin


def mixed_rows(workshop) -> tuple[list[dict], dict[str, bytes]]:
    """Rows of one and several images, in all four formats, as files and by URL."""
    urls, rows = {}, []
    for n, (kind, suffix) in enumerate(
        (k, s) for k, s in zip(MEDIA_TYPES, ("jpg", "png", "gif", "webp"), strict=True)
    ):
        data = picture((60 * n, 90, 30), (40 + n, 30), kind)
        (workshop.folder / f"p{n}.{suffix}").write_bytes(data)
        url = f"https://pictures.test/u{n}.{suffix}"
        urls[url] = data
        rows.append({"id": f"file-{n}", "image": f"p{n}.{suffix}", "prompt": f"File {n}?"})
        rows.append({"id": f"two-{n}", "images": [f"p{n}.{suffix}", "p0.jpg"], "prompt": f"{n}?"})
        rows.append({"id": f"url-{n}", "image": url, "prompt": f"URL {n}?"})
    return rows, urls


def fits_by_url(row, dialect) -> bool:
    """Where none are taken we would fetch them, and they lie on no real host."""
    url = row.get("image", "")
    kinds = {".jpg": "JPEG", ".png": "PNG", ".gif": "GIF", ".webp": "WEBP"}
    taken = any(url.endswith(end) for end, kind in kinds.items() if kind in dialect.formats)
    return not url.startswith("https:") or (dialect.urls and taken)


@pytest.mark.parametrize(("profile", "dialect"), PAIRS)
def test_each_row_is_answered_in_the_gateways_dialect(profile, dialect, gateway, workshop):
    rows, urls = mixed_rows(workshop)
    rows = [row for row in rows if fits_by_url(row, DIALECTS[dialect])]
    workshop.manifest(rows)
    asks = {"detail": "low", "max_tokens": 900, "temperature": 0.5}
    server, job = gateway(
        profile,
        dialect,
        url_images=urls,
        tables={"request": asks, "request.extra": {"seed": 7}},
    )

    summary = vbatch.run(job)

    refused = {e.prompt: e.status for e in server.entries if not e.answered}
    assert (summary.exit_code, summary.failed) == (0, 0), refused
    results = vbatch.open_run(workshop.folder / "run").results().to_pylist()
    assert {row["id"] for row in results} == {row["id"] for row in rows}
    asked = {entry.prompt: entry for entry in server.entries if entry.answered}
    taken = {MEDIA_TYPES[kind] for kind in DIALECTS[dialect].formats}
    for row in results:
        entry = asked[row["prompt"]]
        assert f"Asked “{row['prompt']}”" in row["text"]
        assert set(filter(None, entry.media_types)) <= taken
        assert (row["prompt_tokens"], row["completion_tokens"]) == (
            entry.prompt_tokens,
            entry.completion_tokens,
        )
        assert row["finish_reason"] == DIALECTS[dialect].stop_word
        assert row["cost"] is not None or profile not in COSTS
    assert server.sums["requests"] == len(rows), "nothing had to be asked twice"


@pytest.mark.parametrize("profile", sorted(COSTS))
def test_what_the_gateway_says_it_cost_is_what_is_booked(profile, gateway, workshop):
    workshop.rows(3)
    server, job = gateway(profile, profile)

    vbatch.run(job)

    (usage,) = vbatch.open_run(workshop.folder / "run").usage().to_pylist()
    entries = [(entry.prompt_tokens, entry.completion_tokens) for entry in server.entries]
    expected = sum(2.5e-6 * prompt + 1e-5 * completion for prompt, completion in entries)
    assert math.isclose(usage["cost"], expected, abs_tol=1e-7)


@pytest.mark.parametrize(("profile", "dialect"), [p for p in PAIRS if p[0] != "ollama"])
def test_a_wrong_key_stops_the_run_whatever_status_it_gets(profile, dialect, gateway, workshop):
    workshop.rows(9)
    server, job = gateway(profile, dialect, api_key="sk-another-0123456789")

    summary = vbatch.run(job)

    assert summary.exit_code == Exit.NEEDS_A_PERSON
    assert "authentication" in summary.stop.code
    assert server.sums["requests"] < 9


@pytest.mark.parametrize(("profile", "dialect"), [p for p in PAIRS if p[1] not in ANY_NAME])
def test_an_unknown_model_stops_the_run(profile, dialect, gateway, workshop):
    workshop.rows(9)
    server, job = gateway(profile, dialect, tables={"endpoint": {"model": "no-model"}})

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.stop.code) == (Exit.NEEDS_A_PERSON, "model_not_found")
    assert server.sums["requests"] < 9


BLIND = ["azure", "openrouter", "xai", "vllm", "ollama", "llamacpp"]


@pytest.mark.parametrize("profile", BLIND)
def test_a_model_that_sees_nothing_stops_the_run_where_the_gateway_says_so(
    profile, gateway, workshop
):
    workshop.rows(9)
    server, job = gateway(profile, profile, tables={"endpoint": {"model": "stand-in/text-only"}})

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.stop.code) == (Exit.NEEDS_A_PERSON, "model_not_found")
    assert server.sums["requests"] < 9


SWITCHED = [
    ("openai", "o4-mini", {"request": {"max_tokens": 90}}),
    ("azure", "o4-mini", {"request": {"max_tokens": 90}}),
    ("litellm", "o4", {"request": {"max_tokens": 90}}),
    ("mistral", "mistral-small-latest", {"request.extra": {"max_completion_tokens": 90}}),
    ("together", "Qwen/Qwen2.5-VL-72B-Instruct", {"request.extra": {"max_completion_tokens": 90}}),
]


@pytest.mark.parametrize(("profile", "model", "asks"), SWITCHED)
def test_the_name_of_the_token_cap_is_switched_once_for_the_whole_run(
    profile, model, asks, gateway, workshop
):
    workshop.rows(6)
    tables = {"endpoint": {"model": model}, "limits": {"max_in_flight": 1}, **asks}
    server, job = gateway(profile, profile, tables=tables)

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered) == (0, 6)
    assert [entry.answered for entry in server.entries] == [False] + [True] * 6


def test_groqs_cap_has_the_name_it_wants_from_the_start(gateway, workshop):
    workshop.rows(2)
    tables = {"request": {"max_tokens": 3}}
    server, job = gateway("groq", "groq", tables=tables)

    assert vbatch.run(job).answered == 2
    assert {entry.completion_tokens for entry in server.entries} == {3}
    assert server.sums["requests"] == 2


@pytest.mark.parametrize(("profile", "most"), [("mistral", 8), ("groq", 3), ("fireworks", 30)])
def test_more_images_than_the_gateway_takes_are_not_even_sent(profile, most, gateway, workshop):
    workshop.picture("one.jpg")
    workshop.manifest(
        [{"id": str(n), "images": ["one.jpg"] * (most + n), "prompt": "?"} for n in (0, 1)]
    )
    server, job = gateway(profile, profile)

    summary = vbatch.run(job)

    assert (summary.answered, summary.failed) == (1, 1)
    (failure,) = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    assert (failure["id"], failure["code"]) == ("1", "too_many_images")
    assert server.sums["requests"] == 1


def test_vllm_says_how_many_images_it_takes_and_that_row_alone_fails(gateway, workshop):
    workshop.picture("one.jpg", size=(640, 480))
    workshop.manifest([{"id": str(n), "images": ["one.jpg"] * n, "prompt": "?"} for n in (4, 5)])
    _, job = gateway("vllm", "vllm")

    summary = vbatch.run(job)

    assert (summary.answered, summary.failed) == (1, 1)
    (failure,) = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    assert (failure["code"], failure["provider_code"]) == ("too_many_images", "400")


@pytest.mark.parametrize("profile", ["openrouter", "gemini", "xai", "mistral"])
@pytest.mark.parametrize("fault", ["429@1", "503@1", "error200@1"])
def test_a_passing_fault_in_the_gateways_own_form_is_got_over(profile, fault, gateway, workshop):
    workshop.rows(3)
    server, job = gateway(profile, profile, faults=parse_faults(fault), retry_after="0")

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered) == (0, 3)
    assert server.sums["requests"] == 4


def test_an_image_over_groqs_bytes_is_made_smaller_before_it_is_sent(gateway, workshop):
    from PIL import Image  # noqa: PLC0415 - only here

    noise = Image.effect_noise((2200, 2200), 90)
    noise.save(workshop.folder / "noise.png")
    assert (workshop.folder / "noise.png").stat().st_size > 3_000_000
    workshop.manifest([{"id": "a", "image": "noise.png", "prompt": "?"}])
    server, job = gateway("groq", "groq")

    assert vbatch.run(job).answered == 1
    assert server.sums["requests"] == 1


@pytest.mark.parametrize(("profile", "dialect"), PAIRS)
def test_a_stream_is_a_whole_answer_with_its_usage_in_each_dialect(
    profile, dialect, gateway, workshop
):
    workshop.rows(2)
    server, job = gateway(profile, dialect, tables={"request": {"stream": True}})

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered) == (0, 2)
    results = vbatch.open_run(workshop.folder / "run").results().to_pylist()
    asked = {entry.prompt: entry for entry in server.entries}
    for row in results:
        assert row["text"].startswith(f"Asked “{row['prompt']}”")
        assert row["completion_tokens"] == asked[row["prompt"]].completion_tokens
