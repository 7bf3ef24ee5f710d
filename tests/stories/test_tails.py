"""The last rows of a run never hang, whatever the endpoint or an image's host does with them."""

from __future__ import annotations

import asyncio
import functools
import json
import os

import pytest
from click.testing import CliRunner
from PIL import Image

import vbatch
from tests.endpoint.raw_server import http, read_request, said, serving
from vbatch import api
from vbatch.api import watch
from vbatch.cli.verbs import cli
from vbatch.source import loader
from vbatch.source.fetch import UrlFetcher

HUNG = ("row 18", "row 19")


async def takes_a_byte_now_and_then(reader, writer):
    for _ in range(10_000):
        await reader.readexactly(1)
        await asyncio.sleep(0.05)


async def never_reads(reader, writer):
    await asyncio.Event().wait()


async def says_nothing(reader, writer):
    await reader.read(-1)


async def drips_headers_for_ever(reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
    await drip(writer)


async def drips_a_body_for_ever(reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    await drip(writer)


async def drips_blanks_of_a_chunked_body(reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await drip(writer, b"1\r\n \r\n")


async def answers_all_but_the_last_byte(reader, writer):
    writer.write(http(said("nearly"))[:-1])
    await asyncio.Event().wait()


async def drip(writer, drop=b"x"):
    while True:
        writer.write(drop)
        await writer.drain()
        await asyncio.sleep(0.02)


def endpoint_that(treats, *, while_it_comes: bool):
    """Answers, but leaves some rows to ``treats``: while their body comes, or once it is there."""

    async def talk(reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            start = await reader.readuntil(b"image_url")
            hung = any(f'"{row}"'.encode() in start for row in HUNG)
            if not (hung and while_it_comes):
                await reader.readexactly(length_of(head) - len(start))
            if hung:
                await treats(reader, writer)
            writer.write(http(said("a cat")))

    return talk


def length_of(head: bytes) -> int:
    fields = dict(line.split(b": ", 1) for line in head.lower().strip().split(b"\r\n")[1:])
    return int(fields[b"content-length"])


def twenty_rows(workshop, image: str, size: tuple[int, int] = (8, 8), **row) -> None:
    noise = Image.frombytes("RGB", size, os.urandom(3 * size[0] * size[1]))
    noise.save(workshop.folder / "one.png")
    workshop.manifest(
        [
            {"id": f"r{n}", "image": image, "system": f"row {n}", "prompt": "hi", **row}
            for n in range(20)
        ]
    )


LARGER_THAN_ANY_BUFFER = (800, 800)


@pytest.mark.parametrize(
    ("treats", "while_it_comes"),
    [
        (takes_a_byte_now_and_then, True),
        (never_reads, True),
        (never_reads, False),
        (says_nothing, False),
        (drips_headers_for_ever, False),
        (drips_a_body_for_ever, False),
        (drips_blanks_of_a_chunked_body, False),
        (answers_all_but_the_last_byte, False),
    ],
)
async def test_an_endpoint_that_hangs_costs_its_rows_only(
    treats, while_it_comes, workshop, evidence
):
    twenty_rows(workshop, "one.png", LARGER_THAN_ANY_BUFFER if while_it_comes else (8, 8))
    async with serving(endpoint_that(treats, while_it_comes=while_it_comes)) as base_url:
        job = workshop.job(base_url, retry={"timeout": "1s", "max_ambiguous": 0})
        summary = await asyncio.wait_for(vbatch.arun(job), 60)

    failures = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    assert (summary.exit_code, summary.answered, summary.failed) == (3, 18, 2)
    assert {row["id"] for row in failures} == {"r18", "r19"}
    assert {row["code"] for row in failures} == {"timeout"}
    assert summary.possibly_billed == 2
    evidence.add("slow endpoints", cases=1, hangs=20 - summary.answered - summary.failed)


async def test_a_handshake_that_never_ends_stops_the_run_for_later(workshop, evidence):
    twenty_rows(workshop, "one.png")
    async with serving(says_nothing) as base_url:
        job = workshop.job(base_url.replace("http:", "https:"), retry={"timeout": "0.3s"})
        summary = await asyncio.wait_for(vbatch.arun(job), 60)

    assert (summary.exit_code, summary.stop.code) == (5, "connection")
    assert (summary.answered, summary.failed, summary.left) == (0, 0, 20)
    assert summary.possibly_billed == 0
    evidence.add("slow endpoints", cases=1, hangs=20 - summary.left)


async def test_an_image_that_drips_fails_its_row(workshop, monkeypatch, evidence):
    """A fetch may take a minute; here half a second."""
    hasty = functools.partial(UrlFetcher, deadline_s=0.5)
    monkeypatch.setattr(loader, "UrlFetcher", hasty)
    answering = endpoint_that(says_nothing, while_it_comes=False)
    async with serving(drips_a_body_for_ever) as host, serving(answering) as base_url:
        twenty_rows(workshop, "one.png")
        with (workshop.folder / "manifest.jsonl").open("w") as manifest:
            for n in range(18):
                image = "one.png" if n < 16 else f"{host}/picture-{n}.png"
                row = {"id": f"r{n}", "image": image, "system": "s", "prompt": "hi"}
                manifest.write(json.dumps(row) + "\n")
        job = workshop.job(base_url, images={"send": "inline", "allow_private_urls": True})
        summary = await asyncio.wait_for(vbatch.arun(job), 60)

    assert (summary.answered, summary.codes) == (16, {"image_unreadable": 2})
    evidence.add("slow endpoints", cases=1, hangs=18 - summary.answered - summary.failed)


async def test_rows_of_which_nothing_is_heard_stand_in_run_json_status_and_the_log(
    workshop, monkeypatch
):
    monkeypatch.setattr(watch, "STALLED_S", 1.0)
    twenty_rows(workshop, "one.png")
    run = workshop.folder / "run"
    shown = []
    seen = asyncio.Event()

    async def waits_until_it_is_seen(reader, writer):
        await seen.wait()

    def look():
        path = run / "run.json"
        stalled = json.loads(path.read_text())["stalled"] if path.exists() else []
        if stalled:
            shown.append((stalled, CliRunner().invoke(cli, ["status", str(run)]).output))
            seen.set()

    async with serving(endpoint_that(waits_until_it_is_seen, while_it_comes=False)) as base_url:
        job = workshop.job(base_url, retry={"timeout": "60s"})
        session = api.session(job)
        session.on_tick = look
        async with session:
            async for _ in session:
                pass

    stalled, status = shown[0]
    assert {row["id"] for row in stalled} == {"r18", "r19"}
    assert {row["step"] for row in stalled} == {"sent and not answered"}
    assert all(row["seconds"] >= 1 for row in stalled)
    assert "nothing heard of r18: sent and not answered for " in status
    assert (run / ".vbatch/log").read_text().count("nothing was answered for ") == 1
    assert json.loads((run / "run.json").read_text())["stalled"] == []
    assert session.summary.answered == 20


async def test_cuts_at_the_same_moment_stand_in_the_closing_line_and_the_log(workshop):
    """A gateway that hangs up on whoever has waited for a second."""
    cut = iter(range(3))

    async def talk(reader, writer):
        while True:
            await read_request(reader)
            if next(cut, None) is not None:
                await asyncio.sleep(1.1)
                return
            writer.write(http(said("a cat")))

    twenty_rows(workshop, "one.png")
    async with serving(talk) as base_url:
        summary = await vbatch.arun(workshop.job(base_url))

    assert summary.exit_code == 0
    said_at_the_end = "the gateway cuts at about 1 s: ask for shorter answers (request.max_tokens)"
    assert said_at_the_end in summary.line()
    assert said_at_the_end in (workshop.folder / "run/.vbatch/log").read_text()


OUTAGE_S = 4.0


class Breaking:
    """An endpoint that answers 100 rows, is out for some seconds, and then answers the rest."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.answered = 0
        self.back_at = None

    async def talk(self, reader, writer):
        while True:
            await read_request(reader)
            if await self.is_out():
                if self.kind == "503":
                    writer.write(http({"error": {"message": "overloaded"}}, 503))
                    continue
                if self.kind == "hangs":
                    await asyncio.Event().wait()
                return
            self.answered += 1
            await asyncio.sleep(0.01)
            writer.write(http(said("a cat")))

    async def is_out(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self.back_at is None and self.answered >= 100:
            self.back_at = now + OUTAGE_S
        return self.back_at is not None and now < self.back_at


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["closed", "503", "hangs"])
async def test_an_outage_in_the_middle_of_a_run_fails_no_row(kind, workshop, evidence):
    workshop.rows(400)
    endpoint = Breaking(kind)
    seen = []
    async with serving(endpoint.talk) as base_url:
        job = workshop.job(
            base_url, limits={"max_in_flight": 16}, retry={"timeout": "1s", "max_wait": "1s"}
        )
        session = api.session(job)
        session.on_tick = lambda: seen.append(session.view())
        async with session:
            async for _ in session:
                pass
            standing = json.loads((workshop.folder / "run/run.json").read_text())

    summary = session.summary
    rows = vbatch.open_run(workshop.folder / "run").results().to_pylist()
    assert (summary.exit_code, summary.answered, summary.failed) == (0, 400, 0)
    assert len({row["id"] for row in rows}) == len(rows) == 400
    assert max(row["attempts"] for row in rows) <= 3
    assert standing["state"] == "running"
    assert any("endpoint down" in (view.waiting_reason or "") for view in seen)
    outages = [text for text in seen[-1].notices if text.startswith("waiting: endpoint down, ")]
    assert outages
    assert len(set(outages)) == len(outages)
    assert all(text in (workshop.folder / "run/.vbatch/log").read_text() for text in outages)
    evidence.add(
        "outage in the middle",
        rows=len(rows),
        attempts_used_up=summary.failed,
        lost=400 - len({row["id"] for row in rows}),
    )
