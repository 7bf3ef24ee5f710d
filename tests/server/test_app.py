import asyncio
import json
import time

import aiohttp
import pytest

from vbatch.errors import JobError
from vbatch.server import DIALECTS, ServerSettings, parse_faults, start, welcome

PREFIXES = {
    "azure": "/openai/v1",
    "azure-deployment": "/openai/deployments/gpt-4o",
    "deepinfra": "/v1/openai",
    "fireworks": "/inference/v1",
    "gemini": "/v1beta/openai",
    "groq": "/openai/v1",
    "indoxhub": "/api/v1",
    "openrouter": "/api/v1",
}


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_every_dialect_answers_under_its_own_prefix(serve, body, dialect):
    talk = await serve(dialect=dialect)
    prefix = PREFIXES.get(dialect, "/v1")
    assert talk.running.base_url == f"http://127.0.0.1:{talk.running.port}{prefix}"
    version = "?api-version=2024-10-21" if dialect == "azure-deployment" else ""
    said = await talk.ask(body(DIALECTS[dialect].models[0].id), query=version)
    assert said.status in (200, 201)
    assert said.headers["x-request-id"] == "req-00000001"


async def test_models_are_listed(serve):
    talk = await serve(dialect="flexai")
    said = await talk.get(f"{talk.running.base_url}/models")
    assert said.json["data"][0]["id"] == "phi-4-multimodal-instruct"


async def test_the_first_page_says_that_this_is_no_model(serve):
    talk = await serve()
    said = await talk.get(f"{talk.running.root_url}/")
    assert "it is no model" in said.json["about"]
    assert (said.json["dialect"], said.json["base_path"]) == ("local", "/v1")


async def test_the_ledgers_sums_can_be_read_without_a_key(serve, body):
    talk = await serve(api_key="sk-x")
    await talk.ask(body())
    said = await talk.get(f"{talk.running.root_url}/ledger")
    assert said.json == talk.running.ledger.summary()
    assert said.json["by_status"] == {"401": 1}


@pytest.mark.parametrize("dialect", ["openai", "indoxhub"])
async def test_other_paths_and_methods_are_refused_in_the_dialects_form(serve, dialect):
    talk = await serve(dialect=dialect)
    lost = await talk.get(f"{talk.running.base_url}/nowhere")
    assert (lost.status, "GET" in lost.message) == (404, True)
    wrong = await talk.get(f"{talk.running.base_url}/chat/completions")
    assert wrong.status == 405
    assert ("detail" in wrong.json) == (dialect == "indoxhub")


async def test_a_body_beyond_all_measure_is_refused(serve, body, monkeypatch):
    monkeypatch.setattr("vbatch.server.app._MAX_BODY_BYTES", 100)
    talk = await serve()
    assert (await talk.ask(body())).status == 413
    assert talk.running.ledger.summary()["requests"] == 0


async def test_a_full_ledger_becomes_an_error_reply(serve, body, tmp_path):
    talk = await serve(ledger=tmp_path / "ledger.jsonl")
    talk.running.ledger._file.close()
    talk.running.ledger._file = (tmp_path / "ledger.jsonl").open("rb")
    said = await talk.ask(body())
    assert said.status == 500
    assert "ledger cannot be written" in said.message


@pytest.mark.parametrize(
    ("fault", "error", "billed"),
    [
        ("reset-before", aiohttp.ClientOSError, 0),
        ("reset-after", aiohttp.ClientOSError, 1),
        ("close-before", aiohttp.ServerDisconnectedError, 0),
        ("close-after", aiohttp.ServerDisconnectedError, 1),
        ("cut", aiohttp.ClientPayloadError, 1),
    ],
)
async def test_connections_break_before_or_after_the_work(
    serve, body, tmp_path, fault, error, billed
):
    path = tmp_path / "ledger.jsonl"
    talk = await serve(faults=parse_faults(f"{fault}@1"), ledger=path)
    with pytest.raises(error):
        await talk.ask(body())
    entry = json.loads(path.read_text())
    assert (entry["fault"], entry["answered"]) == (fault, bool(billed))
    assert entry["status"] == (200 if fault == "cut" else None)
    assert (await talk.ask(body())).status == 200


async def test_a_cut_answer_is_half_of_a_whole_one(serve, body):
    whole = await (await serve()).ask(body())
    talk = await serve(faults=parse_faults("cut@1"))
    url = f"{talk.running.base_url}/chat/completions"
    async with talk.session.post(url, json=body()) as reply:
        assert reply.content_length == len(whole.body)
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_a_request_that_hangs_ends_when_the_client_leaves(serve, body):
    talk = await serve(faults=parse_faults("hang@1"))
    asking = asyncio.create_task(talk.ask(body()))
    ledger = talk.running.ledger
    await _until(lambda: ledger.summary()["by_status"] == {"hang": 1})
    assert ledger.in_flight == 1
    asking.cancel()
    await _until(lambda: ledger.in_flight == 0)


async def test_a_request_that_hangs_ends_with_the_server(serve, body):
    talk = await serve(faults=parse_faults("hang@1"))
    asking = asyncio.create_task(talk.ask(body()))
    await _until(lambda: talk.running.ledger.summary()["by_status"] == {"hang": 1})
    await talk.running.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await asking


async def test_one_too_many_at_once_is_refused(serve, body):
    talk = await serve(faults=parse_faults("hang@1"), max_in_flight=1)
    asking = asyncio.create_task(talk.ask(body()))
    await _until(lambda: talk.running.ledger.in_flight == 1)
    refused = await talk.ask(body())
    assert (refused.status, "Retry-After" in refused.headers) == (429, False)
    asking.cancel()
    await _until(lambda: talk.running.ledger.in_flight == 0)
    assert (await talk.ask(body())).status == 200


class _Gate:
    """A clock whose sleepers wait until the gate is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.sleepers = 0

    def time(self) -> float:
        return 0.0

    monotonic = time

    async def sleep(self, _seconds: float) -> None:
        self.sleepers += 1
        await self.open.wait()


@pytest.fixture
async def gated():
    gate = _Gate()
    running = await start(ServerSettings(latency_s=1.0), clock=gate)
    async with aiohttp.ClientSession() as session:
        yield gate, running, session
    await running.stop()


async def test_work_that_was_begun_is_billed_though_the_client_leaves(gated, body):
    gate, running, session = gated
    url = f"{running.base_url}/chat/completions"
    asking = asyncio.create_task(session.post(url, json=body()))
    await _until(lambda: gate.sleepers == 1)
    asking.cancel()
    await _until(lambda: running.ledger.in_flight == 0)
    gate.open.set()
    await _until(lambda: running.ledger.summary()["answered"] > 0)
    assert running.ledger.summary()["answered"] == 1


async def test_stopping_gives_up_work_that_waits(gated, body):
    gate, running, session = gated
    url = f"{running.base_url}/chat/completions"
    asking = asyncio.create_task(session.post(url, json=body()))
    await _until(lambda: gate.sleepers == 1)
    await running.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await asking
    assert running.ledger.summary()["answered"] == 0


async def test_many_requests_at_once_are_each_answered_for_themselves(serve, body):
    talk = await serve()
    said = await asyncio.gather(*(talk.ask(body(prompt=f"number {n}")) for n in range(40)))
    for number, one in enumerate(said):
        assert one.text.startswith(f"Asked “number {number}”:")
    assert talk.running.ledger.summary()["answered"] == 40


async def test_a_port_in_use_is_told(serve, clock):
    port = (await serve()).running.port
    with pytest.raises(JobError, match=f"cannot listen on 127.0.0.1, port {port}"):
        await start(ServerSettings(), clock=clock, port=port)


async def test_an_unknown_dialect_is_told_at_the_start(clock):
    with pytest.raises(JobError, match="speaks no 'latin'"):
        await start(ServerSettings(dialect="latin"), clock=clock)


async def test_addresses_of_the_sixth_version_stand_in_brackets(clock):
    try:
        running = await start(ServerSettings(), clock=clock, host="::1")
    except JobError:
        pytest.skip("no IPv6 on this machine")
    assert running.base_url == f"http://[::1]:{running.port}/v1"
    await running.stop()


async def test_the_welcome_says_where_and_that_this_is_no_model(serve, tmp_path):
    plain = welcome((await serve()).running)
    assert "it is no model" in plain
    assert "key" not in plain
    talk = await serve(api_key="sk-secret", ledger=tmp_path / "ledger.jsonl", dialect="vision")
    text = welcome(talk.running)
    assert talk.running.base_url in text
    assert str(tmp_path / "ledger.jsonl") in text
    assert "'vision'" in text
    assert "sk-secret" not in text


async def _until(true) -> None:
    """Let the loop turn until it is so: sockets and threads take their own time."""
    give_up_at = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up_at, "it never came about"
        await asyncio.sleep(0)
