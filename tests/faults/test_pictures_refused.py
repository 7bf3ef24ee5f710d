"""What becomes of the other rows when the endpoint does not like a picture."""

from __future__ import annotations

import hashlib
import ssl

import aiohttp
import pytest

from tests.conftest import picture
from tests.faults.runs import prompt
from tests.faults.server import FaultServer
from tests.faults.table import TABLE
from tests.faults.test_unreached import ANOTHER_HOSTS

WIRES = {fault.name: fault.wire for fault in TABLE}
ROWS = 6


def test_a_picture_that_cannot_be_made_smaller_fails_its_row_and_no_other(runs):
    runs.job(ROWS, {})
    runs.workshop.picture("one.jpg", size=(2, 2))
    runs.server.meet(WIRES["HTTP 413"], {prompt(2)})

    ended = runs.run()

    assert (ended.exit_code, ended.said["answered"]) == (3, ROWS - 1)
    assert [row["code"] for row in runs.failures().values()] == ["request_too_large"]
    assert runs.failures().keys() == {"r2"}


@pytest.fixture
def pictures(monkeypatch):
    """A host of pictures that is known by name and trusted; yields its address."""
    image = picture()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\ncontent-length: {len(image)}\r\n\r\n"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ANOTHER_HOSTS)
    trust = ssl.create_default_context(cafile=ANOTHER_HOSTS)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trust)
    host = FaultServer(tls, greeting=head.encode() + image)
    yield f"https://other.example:{host.port}/{{}}.jpg"
    host.stop()


@pytest.mark.parametrize("row", [0, ROWS // 2, ROWS - 1])
@pytest.mark.parametrize("name", ["invalid_image_url", "could not fetch", "unable to download"])
def test_a_picture_that_only_we_can_fetch_is_sent_inline_once(name, row, runs, names, pictures):
    names["other.example"] = 0
    runs.job(ROWS, {"images": {"send": "auto", "allow_private_urls": True}}, pictures=pictures)
    runs.server.meet(WIRES[name], {prompt(row)})

    ended = runs.run()

    assert (ended.exit_code, ended.said["answered"], ended.said["requests"]) == (0, ROWS, ROWS + 1)
    assert ended.said["possibly_billed"] == 0
    digest = hashlib.sha256(picture()).hexdigest()
    sent = {n: runs.results()[f"r{n}"]["image_sha256"] for n in range(ROWS)}
    assert sent == {n: [digest] if n == row else [None] for n in range(ROWS)}
    assert sum("data:image/jpeg;base64," in body for body in runs.server.bodies) == 1
