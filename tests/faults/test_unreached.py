"""Faults that come before there can be an answer: names, ports, certificates, proxies, keys."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import aiohttp
import pytest

from tests.endpoint.test_connection import CERTIFICATE
from tests.faults.canary import KEY
from tests.faults.checks import Play, check, check_again
from tests.faults.expected import ROWS
from tests.faults.runs import prompt
from tests.faults.server import FaultServer
from tests.faults.table import TABLE
from vbatch.endpoint.settings import settings_of

ANOTHER_HOSTS = Path(__file__).with_name("other_host.pem")
BY_NAME = {fault.name: fault for fault in TABLE}
KEYS = {
    "key not set": None,
    "key empty": "",
    "key of two lines": "sk-1\r\nX-Evil: 2",
    "key with a control character": "sk-\x01",
    "key with blanks": "sk one",
    "key not ASCII": "sk-é",
}
POSITIONS = (0, ROWS // 2, ROWS - 1)


def unreachable(name: str) -> Play:
    """Every request meets it, and none comes to the server."""
    fault = BY_NAME[name]
    outcome = fault.everywhere
    return Play(fault=fault, outcome=outcome, row=None, unseen=outcome.requests)


def test_a_name_that_leads_nowhere_stops_the_run_and_a_moments_failure_does_not(runs, names):
    runs.job(ROWS, {}, f"http://endpoint.example:{runs.server.port}/v1")
    names["endpoint.example"] = float("inf")

    ended = runs.run()

    check(unreachable("no such host"), ended, runs)
    assert "endpoint.example" in ended.said["line"]
    names["endpoint.example"] = 2
    again = runs.run()
    assert (again.exit_code, again.said["answered"], again.said["requests"]) == (0, ROWS, ROWS + 2)
    assert (again.said["possibly_billed"], runs.usage()["retries"]) == (0, 2)


def test_a_port_nobody_listens_on_stops_the_run(runs):
    runs.job(ROWS, {})
    runs.server.close_port()

    ended = runs.run()

    check(unreachable("connection refused"), ended, runs)
    assert f"127.0.0.1:{runs.server.port}" in ended.said["line"]
    runs.server.open_port()
    check_again(unreachable("connection refused"), runs)


@pytest.mark.parametrize("row", POSITIONS)
def test_a_port_that_is_closed_for_a_moment_costs_no_row_an_attempt(row, runs):
    runs.job(ROWS, {"retry": {"max_attempts": 1}, "endpoint": {"keep_alive": False}})

    def close(count):
        if count == row:
            runs.server.close_port()
            runs.server.open_port_once(lambda: '"free","connection"' in journal(runs))

    close(0)
    runs.server.on_request = close
    ended = runs.run()

    assert (ended.exit_code, ended.said["answered"], ended.said["possibly_billed"]) == (0, ROWS, 0)
    assert len(runs.server.asked) == ROWS
    assert ended.said["requests"] == runs.usage()["requests"] > ROWS


def journal(runs) -> str:
    """What stands in the run's journal at this moment."""
    segments = (runs.folder / ".vbatch" / "journal").glob("*.seg")
    with contextlib.suppress(OSError):
        return "".join(path.read_text() for path in segments)
    return ""


@pytest.fixture
def full():
    """The address of a host that takes no connection."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        contextlib.ExitStack() as held,
    ):
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


@pytest.mark.parametrize("limit", ["connect_s", "sock_connect_s"])
def test_a_host_that_takes_no_connection_stops_the_run(limit, bare, full, monkeypatch):
    def impatient(job, **given):
        return replace(settings_of(job, **given), **{limit: 0.1})

    monkeypatch.setattr(import_module("vbatch.api.session"), "settings_of", impatient)
    bare.server = Silent
    bare.job(ROWS, {}, full)

    check(unreachable("connect timeout"), bare.run(), bare)


def test_a_host_that_takes_no_connection_for_a_whole_attempt_was_not_reached_either(bare, full):
    bare.server = Silent
    bare.job(ROWS, {"retry": {"max_wait": "2ms", "timeout": "200ms"}}, full)
    play = unreachable("connect timeout")
    late = replace(play.outcome, line="no whole answer within the time")

    check(replace(play, outcome=late), bare.run(), bare)


class Silent:
    """Stands for an endpoint that saw nothing."""

    asked = ()


@pytest.fixture
def talk():
    """A server that says the same to each connection, and hangs up."""
    with contextlib.ExitStack() as open_servers:

        def begin(words: bytes) -> FaultServer:
            server = FaultServer(greeting=words)
            open_servers.callback(server.stop)
            return server

        yield begin


def test_an_address_that_speaks_no_tls_stops_the_run(bare, talk):
    bare.server = talk(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    bare.job(ROWS, {}, bare.server.base_url.replace("http:", "https:"))

    check(unreachable("no TLS"), bare.run(), bare)


def test_a_proxy_that_builds_no_tunnel_stops_the_run(bare, talk):
    bare.server = talk(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    proxy = {"endpoint": {"proxy": bare.server.base_url}}
    bare.job(ROWS, proxy, "https://endpoint.example/v1")

    check(unreachable("proxy builds no tunnel"), bare.run(), bare)


@pytest.fixture
def secured(bare, monkeypatch):
    """A server whose certificate is trusted, until it shows another."""
    bare.trust = ssl.create_default_context(cafile=CERTIFICATE)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", bare.trust)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    bare.server = FaultServer(tls)
    bare.tls = tls
    yield bare
    bare.server.stop()


@pytest.mark.parametrize("row", POSITIONS)
@pytest.mark.parametrize(
    ("trusted", "says"),
    [(False, "self-signed certificate"), (True, "certificate is not valid for '127.0.0.1'")],
    ids=["self-signed", "another host's"],
)
def test_a_certificate_that_is_not_trusted_stops_the_run_at_once(row, trusted, says, secured):
    if trusted:
        secured.trust.load_verify_locations(ANOTHER_HOSTS)
    secured.job(ROWS, {"endpoint": {"keep_alive": False}})

    def change(count):
        if count == row:
            secured.tls.load_cert_chain(ANOTHER_HOSTS)

    change(0)
    secured.server.on_request = change
    ended = secured.run()

    fault = BY_NAME["certificate refused"]
    play = Play(fault=fault, outcome=fault.once, row=row, unseen=1)
    check(play, ended, secured)
    assert says in ended.said["line"]
    secured.tls.load_cert_chain(CERTIFICATE)
    secured.server.on_request = lambda count: None
    check_again(play, secured)


@pytest.mark.parametrize(("name", "value"), KEYS.items())
def test_a_key_that_cannot_be_sent_is_refused_before_anything_is(name, value, runs, monkeypatch):
    runs.job(ROWS, {})
    if value is None:
        monkeypatch.delenv("TEST_KEY")
    else:
        monkeypatch.setenv("TEST_KEY", value)

    ended = runs.run()

    fault = BY_NAME[name]
    assert ended.exit_code == fault.once.exit_code == 2
    assert fault.once.says in ended.err
    assert "TEST_KEY" in ended.err
    assert not value or value not in ended.err
    assert runs.server.connections == 0
    assert not runs.folder.exists()


def test_the_environments_proxy_and_netrc_are_used_when_asked_for_only(runs, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    runs.job(ROWS, {})
    assert runs.run().exit_code == 0
    assert runs.server.keys == {KEY}
    assert set(runs.server.targets) == {"/v1/chat/completions"}

    monkeypatch.setenv("http_proxy", runs.server.base_url)
    runs.job(ROWS, {"endpoint": {"proxy": "env"}}, "http://endpoint.example/v1")
    assert runs.run("--fresh").exit_code == 0
    assert runs.server.targets[-1] == "http://endpoint.example/v1/chat/completions"
    assert runs.server.keys == {KEY}


def test_the_same_time_each_is_told_as_the_gateways_own_limit(runs):
    fault = BY_NAME["the same time each"]
    job = {"limits": {"max_in_flight": 3}}
    runs.job(ROWS, job)
    runs.server.meet(fault.wire, {"row 0", "row 1", "row 2"}, 1)

    ended = runs.run()

    assert ended.exit_code == 0
    assert ended.said["possibly_billed"] == fault.once.billed == 3
    assert fault.once.line in ended.said["line"]


@pytest.mark.parametrize("row", [1, *POSITIONS[1:]])
def test_a_request_that_crosses_the_end_of_its_connection_may_have_been_billed(row, runs):
    fault = BY_NAME["keep-alive race"]
    runs.job(ROWS, {})
    runs.server.meet(fault.wire, {prompt(row - 1)})

    ended = runs.run()

    play = Play(fault=fault, outcome=fault.once, row=row, unseen=1)
    check(play, ended, runs)
    assert runs.server.connections == 2
    check_again(play, runs)


def test_every_fault_of_the_table_is_staged_somewhere():
    here = {"no such host", "connection refused", "connect timeout", "no TLS", *KEYS}
    here |= {"proxy builds no tunnel", "certificate refused", "the same time each"}
    here |= {"keep-alive race"}
    assert {fault.name for fault in TABLE if fault.place != "http"} == here
