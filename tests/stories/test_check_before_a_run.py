"""``vbatch check`` says what a gateway would refuse, before ten thousand rows are refused."""

from __future__ import annotations

import json

import pytest
from PIL import Image

import vbatch
from tests.conftest import picture
from vbatch import api
from vbatch.server import DIALECTS

KEY = "sk-test-0123456789"


@pytest.fixture
def checked(endpoint, workshop):
    """``checked(profile, model, **tables)``: what a check finds at a stand-in; nothing is asked."""

    def look(profile, model=None, *, dialect=None, **tables):
        dialect = dialect or profile
        server = endpoint(dialect=dialect, api_key=KEY)
        model = model or DIALECTS[dialect].models[0].id
        job = workshop.job(server.base_url, profile=profile, endpoint={"model": model}, **tables)
        found = api.check(api.load(job))
        assert server.sums["requests"] == 0
        return found

    return look


def rows_of(workshop, counts, name="one.jpg"):
    workshop.manifest(
        [
            {"id": f"r{n}", "images": [name] * count, "prompt": f"row {n}"}
            for n, count in enumerate(counts)
        ]
    )


LISTED = [name for name in DIALECTS if name not in {"local", "vision", "azure-deployment"}]


@pytest.mark.parametrize("dialect", LISTED)
def test_a_job_that_can_run_is_said_to_be_ready(dialect, checked, workshop):
    workshop.rows(2)

    found = checked(dialect)

    assert (found.problems, found.warnings) == ([], [])
    model = DIALECTS[dialect].models[0].id
    assert any(note.startswith(f"model {model}: listed, ") for note in found.notes)


@pytest.mark.parametrize("dialect", [d for d in LISTED if DIALECTS[d].vision_mark])
def test_a_model_that_sees_nothing_is_known_by_the_gateways_own_mark(dialect, checked, workshop):
    blind = [model.id for model in DIALECTS[dialect].models if not model.vision]
    workshop.rows(2)

    found = checked(dialect, blind[0])

    assert found.problems == [f"model {blind[0]} does not see images"]


@pytest.mark.parametrize(
    ("profile", "model", "near"),
    [
        ("openai", "gpt4o", "gpt-4o, gpt-4o-mini"),
        ("openrouter", "gpt-4o", "openai/gpt-4o"),
        ("gemini", "gemini-flash-2.5", "gemini-2.5-flash"),
        ("mistral", "mistral-small", "mistral-small-latest"),
        ("xai", "grok", "grok-4"),
    ],
)
def test_a_model_that_is_not_there_is_a_problem_with_those_near_it(
    profile, model, near, checked, workshop
):
    workshop.rows(2)

    (problem,) = checked(profile, model).problems

    assert problem.startswith(f"model {model}: {profile} lists no such model; near it: {near}")


@pytest.mark.parametrize("profile", ["azure", "sglang", "llamacpp", "together", "fireworks"])
def test_where_the_list_is_not_all_there_is_an_unlisted_model_is_a_warning(
    profile, checked, workshop
):
    workshop.rows(2)

    found = checked(profile, "my-own-model")

    assert found.problems == []
    (warning,) = found.warnings
    assert warning.startswith(f"model my-own-model: not among those {profile} lists")


@pytest.mark.parametrize(
    ("profile", "model"),
    [
        ("ollama", "llava"),
        ("openrouter", "openai/gpt-4o:nitro"),
        ("gemini", "models/gemini-2.5-flash"),
    ],
)
def test_a_models_other_names_are_known(profile, model, checked, workshop):
    workshop.rows(2)

    found = checked(profile, model)

    assert (found.problems, found.warnings) == ([], [])


def test_an_unknown_model_of_some_rows_is_a_warning(checked, workshop):
    workshop.picture("one.jpg")
    rows = [{"id": str(n), "image": "one.jpg", "prompt": "?"} for n in range(3)]
    rows[1]["params"] = {"model": "gpt-9"}
    workshop.manifest(rows)

    found = checked("openai")

    assert found.problems == []
    (warning,) = found.warnings
    assert warning.startswith("model gpt-9: openai lists no such model")
    assert warning.endswith("(1 of the rows looked at ask it)")


def test_rows_with_more_images_than_the_gateway_takes_are_counted_far_into_the_manifest(
    checked, workshop
):
    workshop.picture("one.jpg")
    rows_of(workshop, [1] * 200 + [9, 12])

    found = checked("mistral")

    assert found.problems == []
    (warning,) = found.warnings
    assert warning.startswith(
        "2 of the first 202 rows (first r200) have more images than the 8 that mistral takes in "
        "one request (the most: 12)"
    )


def test_a_manifest_of_nothing_but_crowded_rows_is_a_problem(checked, workshop):
    workshop.picture("one.jpg")
    rows_of(workshop, [4, 5])

    found = checked("groq")

    assert any("have more images than the 3 that groq takes" in one for one in found.problems)


def test_a_format_that_is_converted_is_said_and_no_fault(checked, workshop):
    workshop.picture("one.jpg")
    workshop.picture("two.gif", kind="GIF")
    workshop.picture("three.webp", kind="WEBP")
    workshop.manifest(
        [
            {"id": name, "image": name, "prompt": "?"}
            for name in ("one.jpg", "two.gif", "three.webp")
        ]
    )

    found = checked("xai")

    assert (found.problems, found.warnings) == ([], [])
    converted = [note for note in found.notes if "converted" in note]
    assert [note.split(",")[0] for note in converted] == [
        "1 of the first 3 rows (first two.gif) has a gif image",
        "1 of the first 3 rows (first three.webp) has a webp image",
    ]
    assert vbatch.run(workshop.folder / "job.toml").answered == 3


def test_a_url_that_cannot_be_converted_is_a_warning(checked, workshop):
    workshop.picture("one.jpg")
    workshop.manifest(
        [
            {"id": "a", "image": "https://pictures.test/a.gif?x=1", "prompt": "?"},
            {"id": "b", "image": "one.jpg", "prompt": "?"},
        ]
    )

    found = checked("xai")

    assert found.problems == []
    (warning,) = found.warnings
    assert "a URL that ends like a gif image, which xai does not take (jpeg, png)" in warning
    assert 'images.send = "inline"' in warning


def test_what_is_no_image_is_a_warning_among_others_and_alone_a_problem(checked, workshop):
    Image.new("RGB", (9, 9)).save(workshop.folder / "scan.tif")
    workshop.picture("one.jpg")
    rows = [{"id": "tiff", "image": "scan.tif", "prompt": "?"}]
    workshop.manifest([*rows, {"id": "jpeg", "image": "one.jpg", "prompt": "?"}])
    some = checked("openai")
    workshop.manifest(rows)
    alone = checked("openai")

    said = "(first tiff) has a TIFF image where an image should be"
    assert some.problems == []
    assert any(said in warning for warning in some.warnings)
    assert any(said in problem for problem in alone.problems)


def test_embedded_images_are_looked_at_too(checked, workshop):
    import base64  # noqa: PLC0415 - only here

    data = base64.b64encode(picture(kind="GIF")).decode()
    workshop.manifest([{"id": "a", "image": f"data:image/gif;base64,{data}", "prompt": "?"}])

    found = checked("ollama")

    assert any("has a gif image, which ollama does not take" in note for note in found.notes)


def test_images_in_batch_lines_are_counted(checked, workshop):
    part = {"type": "image_url", "image_url": {"url": "https://pictures.test/a.jpg"}}
    body = {"model": "x", "messages": [{"role": "user", "content": [part] * 9}]}
    model = DIALECTS["mistral"].models[0].id
    workshop.manifest([{"custom_id": "a", "body": body | {"model": model}}])

    found = checked("mistral")

    assert any("more images than the 8" in problem for problem in found.problems)


def test_an_output_that_is_a_file_is_a_problem(checked, workshop):
    workshop.rows(1)
    (workshop.folder / "run").write_text("not a run")

    (problem,) = checked("openai").problems

    assert problem.startswith(f"output {workshop.folder}/run: ")
    assert "is a file, and a run needs a folder" in problem


def test_an_output_below_a_file_is_a_problem(checked, workshop):
    workshop.rows(1)
    (workshop.folder / "taken").write_text("")
    job = workshop.folder / "job.toml"
    checked("openai")
    job.write_text(job.read_text().replace('output = "run"', 'output = "taken/below/run"'))

    (problem,) = api.check(api.load(job)).problems

    assert f"{workshop.folder}/taken is a file" in problem


def test_a_check_tells_of_rows_that_fail_and_of_those_that_do_not(checked, workshop):
    workshop.picture("one.jpg")
    workshop.manifest(
        [
            {"id": "there", "image": "one.jpg", "prompt": "?"},
            {"id": "gone", "image": "gone.jpg", "prompt": "?"},
            json.dumps({"id": "bare"}),
        ]
    )

    found = checked("openai")

    assert found.problems == []
    assert any(one.startswith("row gone: image_not_found") for one in found.warnings)


def test_azures_deployment_is_checked_without_a_list(checked, workshop):
    workshop.rows(1)

    found = checked("azure", dialect="azure-deployment")

    assert found.problems == []


def test_what_a_model_costs_is_said_with_where_that_is_known_from(checked, workshop):
    workshop.rows(1)

    own = checked("openai", price={"input": 1.5, "output": 2})
    listed = checked("openai")
    unknown = checked("vllm")

    assert "price of gpt-4o: $1.5 in, $2 out per million tokens (the job's [price])" in own.notes
    assert any(note.startswith("price of gpt-4o: $2.5 in, $10 out") for note in listed.notes)
    assert any("known only where the endpoint reports a cost" in note for note in unknown.notes)


def test_a_budget_is_no_use_for_rows_whose_own_model_has_no_known_price(checked, workshop):
    workshop.picture("one.jpg")
    rows = [{"id": str(n), "image": "one.jpg", "prompt": "?"} for n in range(3)]
    rows[1]["params"] = {"model": "stand-in/text-only"}
    workshop.manifest(rows)

    warnings = checked("openai", limits={"max_cost": 5}).warnings

    (warning,) = [one for one in warnings if "price" in one]
    assert warning.startswith("price of stand-in/text-only: known only where the endpoint reports")
    assert warning.endswith("limits.max_cost needs it")


def test_no_model_that_sees_nothing_is_proposed(checked, workshop):
    workshop.rows(1)

    (problem,) = checked("mistral", "stand-in/text").problems

    assert "text-only" not in problem


@pytest.fixture
def lists_nothing(monkeypatch):
    """``lists_nothing(503)``: the stand-in meets whoever asks for its models with a status."""

    def answers(status):
        from vbatch.server import app  # noqa: PLC0415 - only here
        from vbatch.server.refusals import Refusal  # noqa: PLC0415

        async def refuse(self, request):
            raise Refusal(status, "Not now.")

        monkeypatch.setattr(app._Endpoint, "_models", refuse)

    return answers


@pytest.mark.parametrize("status", [502, 503, 504, 529])
def test_an_endpoint_that_is_down_behind_its_proxy_is_a_problem(
    status, lists_nothing, checked, workshop
):
    workshop.rows(1)
    lists_nothing(status)

    (problem,) = checked("vllm").problems

    assert problem.startswith(f"the endpoint is not there: HTTP {status}")


@pytest.mark.parametrize("status", [301, 403, 404, 405, 429, 500, 501])
def test_a_list_that_is_not_to_be_had_is_only_a_warning(status, lists_nothing, checked, workshop):
    workshop.rows(1)
    lists_nothing(status)

    found = checked("vllm")

    assert found.problems == []
    (warning,) = found.warnings
    assert warning.startswith("model: the list of models could not be read")


def test_what_is_set_and_not_sent_is_said(checked, workshop):
    workshop.rows(1)

    together = checked("together", request={"detail": "low"})
    openai = checked("openai", request={"detail": "low"})

    said = "request.detail: left out, as together does not take it"
    assert said in together.notes
    assert not any("left out" in note for note in openai.notes)
