"""Files and batches: uploaded, worked on, fetched; and every way in which they end."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from vbatch.server import batches
from vbatch.server.faults import parse_faults

URL = "/v1/chat/completions"


def line(name, **fields) -> bytes:
    """A request of that name, good but for ``fields``."""
    good = {"custom_id": name, "method": "POST", "url": URL, "body": {"model": "gpt-4o"}}
    return json.dumps(good | fields).encode()


class Office:
    """Speaks the API of files and batches."""

    def __init__(self, talk) -> None:
        self.talk = talk
        self.base = talk.running.base_url

    async def call(self, method, path, *, key="k", **given):
        headers = {"Authorization": f"Bearer {key}"}
        async with self.talk.session.request(
            method, self.base + path, headers=headers, **given
        ) as reply:
            return reply.status, await reply.read()

    async def json(self, method, path, **given):
        status, body = await self.call(method, path, **given)
        return status, json.loads(body)

    async def upload(self, data: bytes, purpose="batch"):
        form = aiohttp.FormData()
        form.add_field("purpose", purpose)
        form.add_field("file", data, filename="requests.jsonl")
        return await self.json("POST", "/files", data=form)

    async def begin(self, data: bytes, **fields):
        _, file = await self.upload(data)
        wanted = {"input_file_id": file["id"], "endpoint": URL, "completion_window": "24h"}
        return await self.json("POST", "/batches", json=wanted | fields)

    async def ended(self, batch):
        while batch["status"] in ("validating", "in_progress", "finalizing", "cancelling"):
            await asyncio.sleep(0.005)
            _, batch = await self.json("GET", f"/batches/{batch['id']}")
        return batch

    async def lines(self, name):
        _, data = await self.call("GET", f"/files/{name}/content")
        return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def office(serve):
    async def open_office(**settings):
        return Office(await serve(dialect="openai", **settings))

    return open_office


@pytest.fixture
def requests(body):
    """A file of requests about as many pictures."""

    def lines(count, **fields) -> bytes:
        asked = [
            {
                "custom_id": f"r{n}",
                "method": "POST",
                "url": URL,
                "body": body("gpt-4o", prompt=f"row {n}"),
            }
            | fields
            for n in range(count)
        ]
        return b"\n".join(json.dumps(one).encode() for one in asked)

    return lines


async def test_a_batch_is_uploaded_worked_on_and_fetched(office, requests):
    office = await office(api_key="k")
    status, batch = await office.begin(requests(20), metadata={"run": "a"})
    assert (status, batch["object"], batch["status"]) == (200, "batch", "validating")

    batch = await office.ended(batch)

    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 20, "completed": 20, "failed": 0}
    assert batch["metadata"] == {"run": "a"}
    assert batch["error_file_id"] is None
    answers = await office.lines(batch["output_file_id"])
    assert sorted(one["custom_id"] for one in answers) == sorted(f"r{n}" for n in range(20))
    for one in answers:
        assert one["response"]["status_code"] == 200
        text = one["response"]["body"]["choices"][0]["message"]["content"]
        assert f"row {one['custom_id'][1:]}”" in text
    assert office.talk.running.ledger.summary()["answered"] == 20


async def test_requests_that_are_refused_stand_in_the_error_file(office, requests):
    office = await office(faults=parse_faults("500@2,reset-before@3"))
    _, batch = await office.begin(requests(5))

    batch = await office.ended(batch)

    assert batch["request_counts"] == {"total": 5, "completed": 3, "failed": 2}
    refused = await office.lines(batch["error_file_id"])
    assert sorted((one["response"] and one["response"]["status_code"]) or 0 for one in refused) == [
        0,
        500,
    ]
    assert {(one["error"] or {}).get("code") for one in refused} == {None, "server_error"}


async def test_what_was_not_got_to_in_time_has_expired(office, requests):
    office = await office(latency_s=1.0, batch_window_s=2.0)
    _, batch = await office.begin(requests(40))

    batch = await office.ended(batch)

    assert batch["status"] == "expired"
    late = await office.lines(batch["error_file_id"])
    assert {one["error"]["code"] for one in late} == {"batch_expired"}
    assert len(late) + batch["request_counts"]["completed"] == 40
    assert late


async def test_a_cancelled_batch_keeps_what_it_has(office, requests):
    office = await office()
    _, batch = await office.begin(requests(200))
    while batch["status"] == "validating" or not batch["request_counts"]["completed"]:
        await asyncio.sleep(0.001)
        _, batch = await office.json("GET", f"/batches/{batch['id']}")
    status, batch = await office.json("POST", f"/batches/{batch['id']}/cancel")
    assert (status, batch["status"]) == (200, "cancelling")

    batch = await office.ended(batch)

    assert batch["status"] == "cancelled"
    done = batch["request_counts"]["completed"]
    assert 0 < done < 200
    assert len(await office.lines(batch["output_file_id"])) == done
    status, refusal = await office.json("POST", f"/batches/{batch['id']}/cancel")
    assert status == 409
    assert "cancelled" in refusal["error"]["message"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b"{", "invalid_json_line"),
        (b"[]", "missing_required_parameter"),
        (b'{"custom_id": "x"}', "missing_required_parameter"),
        (b'{"custom_id": 5, "body": {"model": "m"}}', "missing_required_parameter"),
        (line("x", method="GET"), "invalid_url"),
        (line("x", body={"model": "other"}), "mismatched_model"),
        (line("r0"), "duplicate_custom_id"),
    ],
)
async def test_a_file_that_cannot_be_worked_on_fails_the_batch(office, requests, wrong, code):
    office = await office()
    _, batch = await office.begin(requests(1) + b"\n" + wrong)

    batch = await office.ended(batch)

    assert batch["status"] == "failed"
    (error,) = batch["errors"]["data"]
    assert (error["code"], error["line"]) == (code, 2)
    assert office.talk.running.ledger.summary()["requests"] == 0


async def test_more_requests_than_a_batch_holds_fail_it(office, requests, monkeypatch):
    monkeypatch.setattr(batches, "MOST_REQUESTS", 2)
    office = await office()

    for count in (0, 3):
        _, batch = await office.begin(requests(count))
        batch = await office.ended(batch)
        assert batch["errors"]["data"][0]["code"] == "invalid_number_of_requests"


async def test_batches_are_listed_the_newest_first(office, requests):
    office = await office()
    names = [(await office.begin(requests(1)))[1]["id"] for _ in range(5)]

    _, first = await office.json("GET", "/batches?limit=2")
    _, rest = await office.json("GET", f"/batches?limit=9&after={first['last_id']}")

    assert [one["id"] for one in first["data"] + rest["data"]] == names[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_files_can_be_looked_at_and_taken_away(office):
    office = await office()
    _, file = await office.upload(b"{}")
    assert (file["bytes"], file["purpose"], file["filename"]) == (2, "batch", "requests.jsonl")
    assert await office.json("GET", f"/files/{file['id']}") == (200, file)

    assert (await office.json("DELETE", f"/files/{file['id']}"))[1]["deleted"]
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert (await office.call(method, f"/files/{file['id']}{path}"))[0] == 404


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file-none"}, "file-none"),
    ],
)
async def test_what_no_batch_can_be_begun_with_is_refused(office, requests, fields, word):
    office = await office()

    status, refusal = await office.begin(requests(1), **fields)

    assert status in (400, 404)
    assert word in refusal["error"]["message"]


async def test_what_is_no_file_of_requests_is_refused(office, monkeypatch):
    office = await office()
    assert (await office.upload(b"{}", purpose="fine-tune"))[0] == 400
    status, refusal = await office.json("POST", "/files", data={"purpose": "batch"})
    assert (status, refusal["error"]["param"]) == (400, "file")
    monkeypatch.setattr(batches, "MOST_BYTES", 1)
    assert (await office.upload(b"{}"))[0] == 400


async def test_nothing_goes_without_the_key(office, requests):
    office = await office(api_key="k")
    for method, path in (("POST", "/files"), ("GET", "/batches"), ("GET", "/files/x/content")):
        assert (await office.call(method, path, key="wrong"))[0] == 401


async def test_a_dialect_without_batches_has_none(serve):
    office = Office(await serve(dialect="flexai"))

    assert (await office.call("GET", "/batches"))[0] == 404


async def test_a_server_that_stops_leaves_no_batch_at_work(serve, requests):
    talk = await serve(dialect="openai", faults=parse_faults("hang:1"))
    office = Office(talk)
    _, batch = await office.begin(requests(3))
    assert (await office.ended(batch))["request_counts"]["failed"] == 3
