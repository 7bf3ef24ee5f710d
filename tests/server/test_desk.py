import base64
import hashlib
import json

import pytest

from vbatch.server import parse_faults


async def test_an_answer_is_about_its_images_in_order_and_its_prompt(serve, body, draw, uri):
    talk = await serve()
    first, second = draw("red", (40, 20), "PNG"), draw("blue", (10, 30), "GIF")
    urls = uri(first, "image/png"), uri(second, "image/gif")
    said = await talk.ask(body("pixels", *urls, prompt="Compare them."))
    assert said.status == 200
    assert said.text.startswith("Asked “Compare them.”: image 1 is a landscape PNG of 40x20 pixels")
    assert "mostly red, without detail; image 2 is a portrait GIF of 10x30 pixels" in said.text
    swapped = await talk.ask(body("pixels", *reversed(urls), prompt="Compare them."))
    assert "image 1 is a portrait GIF" in swapped.text


async def test_the_same_question_gets_the_same_answer(serve, body):
    talk = await serve()
    assert (await talk.ask(body())).text == (await talk.ask(body())).text


async def test_json_is_answered_where_the_prompt_asks_for_it(serve, body):
    talk = await serve()
    said = await talk.ask(body(prompt="Describe it as JSON"))
    assert json.loads(said.text)["images"][0]["width"] == 64


async def test_max_tokens_cuts_the_answer(serve, body):
    talk = await serve()
    said = await talk.ask(body(max_tokens=5))
    assert said.json["choices"][0]["finish_reason"] == "length"
    assert said.json["usage"]["completion_tokens"] == 5
    assert len(said.text.encode()) <= 20


async def test_flexai_ends_at_2048_tokens(serve, body, draw, uri):
    talk = await serve(dialect="flexai")
    urls = [uri(draw(size=(4, 4)))] * 90
    asked = body("phi-4-multimodal-instruct", *urls, max_tokens=5000)
    said = await talk.ask(asked)
    assert said.json["choices"][0]["finish_reason"] == "length"
    assert said.json["usage"]["completion_tokens"] == 2048


async def test_aimlapi_answers_with_201(serve, body):
    talk = await serve(dialect="aimlapi")
    assert (await talk.ask(body("gpt-4o"))).status == 201


async def test_indoxhub_wraps_its_answers_and_says_no_by_detail(serve, body):
    talk = await serve(dialect="indoxhub", shape="text")
    said = await talk.ask(body("openai/gpt-4o", prompt="Hm?"))
    assert said.json["data"].startswith("Asked “Hm?”")
    refused = await talk.ask(body("openai/gpt-9"))
    assert (refused.status, set(refused.json)) == (404, {"detail"})


async def test_urls_are_answered_from_the_folder(serve, body, draw, tmp_path):
    (tmp_path / "a.png").write_bytes(draw("red", (12, 10), "PNG"))
    talk = await serve(url_root=tmp_path, ledger=tmp_path / "ledger.jsonl")
    said = await talk.ask(body("pixels", "https://pictures.test/a.png"))
    assert "a landscape PNG of 12x10 pixels" in said.text
    refused = await talk.ask(body("pixels", "https://pictures.test/b.png"))
    assert (refused.status, refused.json["error"]["code"]) == (400, "invalid_image_url")


async def test_the_ledger_holds_what_was_asked_and_what_it_cost(
    serve, body, draw, uri, tmp_path, clock
):
    path = tmp_path / "ledger.jsonl"
    known = {"https://a.test/b.png": draw("blue", kind="PNG")}
    talk = await serve(url_images=known, ledger=path, api_key="sk-secret")
    inline = draw("red")
    key = {"Authorization": "Bearer sk-secret"}
    asked = body("pixels", uri(inline), "https://a.test/b.png", prompt="Which?")
    said = await talk.ask(asked, **key)
    line = json.loads(path.read_text(encoding="utf-8"))
    assert line == {
        "n": 1,
        "at": clock.time(),
        "model": "pixels",
        "status": 200,
        "fault": None,
        "answered": True,
        "prompt": "Which?",
        "image_sha256": [
            hashlib.sha256(data).hexdigest() for data in (inline, known["https://a.test/b.png"])
        ],
        "media_types": ["image/jpeg", None],
        "urls": [None, "https://a.test/b.png"],
        "prompt_tokens": said.json["usage"]["prompt_tokens"],
        "completion_tokens": said.json["usage"]["completion_tokens"],
    }
    assert "sk-secret" not in path.read_text()


async def test_sums_in_the_ledger_are_those_of_the_answers(serve, body):
    talk = await serve()
    told = [(await talk.ask(body(prompt="x" * n))).json["usage"] for n in (3, 30, 300)]
    summary = talk.running.ledger.summary()
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert summary[name] == sum(usage[name] for usage in told)


async def test_a_refused_request_is_in_the_ledger_as_far_as_it_was_understood(
    serve, body, tmp_path, uri
):
    path = tmp_path / "ledger.jsonl"
    talk = await serve(ledger=path)
    await talk.ask(b"{")
    await talk.ask(body("pixels", uri(b"junk"), prompt="Look."))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["status"], line["prompt"]) for line in lines] == [(400, None), (400, "Look.")]
    assert not any(line["answered"] for line in lines)


@pytest.mark.parametrize("key", [None, "Bearer wrong", "sk-right", "bearer sk-right", "Bearer é"])
async def test_without_the_right_key_nothing_is_answered(serve, body, key):
    talk = await serve(api_key="sk-right")
    headers = {} if key is None else {"Authorization": key}
    said = await talk.ask(body(), **headers)
    assert (said.status, said.json["error"]["code"]) == (401, "invalid_api_key")
    assert b"sk-right" not in said.body
    assert (await talk.get(f"{talk.running.base_url}/models", **headers)).status == 401


async def test_a_limit_on_requests_is_kept_and_told(serve, body, clock):
    talk = await serve(requests_per_minute=2)
    first = await talk.ask(body())
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    await talk.ask(body())
    refused = await talk.ask(body())
    assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.json["error"]["code"] == "rate_limit_exceeded"
    clock.now += 60
    assert (await talk.ask(body())).status == 200
    assert talk.running.ledger.summary()["by_status"] == {"200": 3, "429": 1}


async def test_a_limit_on_tokens_counts_what_answers_cost(serve, body, clock):
    spent = (await (await serve()).ask(body())).json["usage"]["total_tokens"]
    talk = await serve(tokens_per_minute=2 * spent)
    assert [(await talk.ask(body())).status for _ in range(3)] == [200, 200, 429]
    clock.now += 60
    said = await talk.ask(body())
    assert said.headers["x-ratelimit-remaining-tokens"] == str(spent)
    assert talk.running.ledger.total_tokens == 3 * spent


async def test_what_can_never_fit_into_a_minute_gets_no_time(serve, body):
    talk = await serve(tokens_per_minute=10)
    said = await talk.ask(body())
    assert said.status == 429
    assert "Retry-After" not in said.headers


async def test_a_spent_budget_is_402(serve, body):
    talk = await serve(dialect="flexai", token_budget=1)
    model = "phi-4-multimodal-instruct"
    assert [(await talk.ask(body(model))).status for _ in range(3)] == [200, 402, 402]


async def test_text_and_images_share_a_cap_on_decoded_bytes(serve, body, draw, uri):
    data = draw()
    cap = 2 * len(base64.b64encode(data)) * 3 // 4 + len("What is it?")
    talk = await serve(dialect="infinityblue", max_request_bytes=cap)
    urls = [uri(data)] * 2
    assert (await talk.ask(body("gpt-5.4", *urls))).status == 200
    refused = await talk.ask(body("gpt-5.4", *urls, prompt="What is it??"))
    assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")
    assert f"{cap + 1} bytes of text and images, at most {cap}" in refused.message


async def test_latency_varies_about_its_mean_and_repeats(serve, body, clock):
    talk = await serve(latency_s=0.2)
    for _ in range(5):
        await talk.ask(body())
    assert len(set(clock.slept)) == 5
    assert all(0.1 <= seconds <= 0.3 for seconds in clock.slept)
    again = await serve(latency_s=0.2)
    for _ in range(5):
        await again.ask(body())
    assert clock.slept[:5] == clock.slept[5:]


async def test_without_latency_nothing_is_waited_for(serve, body, clock):
    await (await serve()).ask(body())
    assert clock.slept == []


async def _with_fault(serve, body, fault, **settings):
    talk = await serve(faults=parse_faults(f"{fault}@1"), **settings)
    return talk, await talk.ask(body())


@pytest.mark.parametrize("status", [400, 402, 413, 429, 500, 503, 529])
async def test_a_scripted_status_is_an_error_and_not_billed(serve, body, status):
    talk, said = await _with_fault(serve, body, status)
    assert (said.status, said.message) == (status, "A scripted fault.")
    assert ("Retry-After" in said.headers) == (status in (429, 503))
    assert talk.running.ledger.summary()["answered"] == 0
    assert (await talk.ask(body())).status == 200


@pytest.mark.parametrize("told", [None, "0.02", "Fri, 31 Dec 2027 23:59:59 GMT"])
async def test_what_retry_after_says_can_be_set(serve, body, told):
    _, said = await _with_fault(serve, body, 429, retry_after=told)
    assert said.headers.get("Retry-After") == told


@pytest.mark.parametrize(
    ("fault", "content_type", "start"),
    [
        ("garbage", "application/json", b'{"id": '),
        ("html", "text/html", b"<!doctype html>"),
        ("empty", "application/json", b""),
        ("error200", "application/json", b'{"error":'),
    ],
)
async def test_bodies_that_are_no_answer_come_with_200(serve, body, fault, content_type, start):
    talk, said = await _with_fault(serve, body, fault)
    assert (said.status, said.headers["Content-Type"]) == (200, content_type)
    assert said.body.startswith(start)
    assert (said.body == b"") == (fault == "empty")
    assert talk.running.ledger.summary()["answered"] == 0


async def test_slow_answers_take_their_time(serve, body, clock):
    _, said = await _with_fault(serve, body, "slow", slow_s=30.0)
    assert said.status == 200
    assert clock.slept == [30.0]


@pytest.mark.parametrize(
    ("fault", "finish_reason"),
    [
        ("nousage", "stop"),
        ("null", "stop"),
        ("length", "length"),
        ("filter", "content_filter"),
        ("refusal", "stop"),
    ],
)
async def test_odd_answers_are_billed(serve, body, fault, finish_reason):
    talk, said = await _with_fault(serve, body, fault)
    assert said.status == 200
    assert said.json["choices"][0]["finish_reason"] == finish_reason
    assert ("usage" in said.json) == (fault != "nousage")
    summary = talk.running.ledger.summary()
    assert summary["answered"] == 1
    if fault != "nousage":
        assert summary["total_tokens"] == said.json["usage"]["total_tokens"]


async def test_shares_of_faults_are_the_same_for_the_same_seed(serve, body):
    statuses = []
    for _ in range(2):
        talk = await serve(faults=parse_faults("500:0.5"), fault_seed=3)
        statuses.append([(await talk.ask(body())).status for _ in range(12)])
    assert statuses[0] == statuses[1]
    assert set(statuses[0]) == {200, 500}
