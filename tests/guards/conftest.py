"""What guards are tried with: a small internet, a listener that counts, a command line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading

import pytest

import vbatch
from vbatch import cli
from vbatch.cli.drive import drive

PUBLIC = "93.184.216.34"
"""A public address that, in these tests, leads to the loopback listener and nowhere else."""


class Listener:
    """A web server on 127.0.0.1 and ::1 that counts who connects.

    ``answers`` maps a path to what it says, whole; other paths get a 404.
    """

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.answers: dict[str, bytes] = {}
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self._sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        with contextlib.suppress(OSError):  # a machine may have no IPv6
            self._sockets.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        self._threads = [
            threading.Thread(target=self._accept, args=(one,), daemon=True) for one in self._sockets
        ]
        for thread in self._threads:
            thread.start()

    def chats(self, status: int, body: bytes, **headers: str) -> str:
        """Answer every chat completion so; returns the base URL."""
        self.answers["/v1/chat/completions"] = said(status, body, **headers)
        return self.base_url

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError, ValueError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection.makefile("rb") as asked:
            path = asked.readline().decode("latin-1").split(" ")[1:2]
            fields = dict(line.lower().split(b": ", 1) for line in iter(asked.readline, b"\r\n"))
            asked.read(int(fields.get(b"content-length", 0)))
        self.accepted += path
        connection.sendall(self.answers.get(*path, said(404, b"not here")))

    def close(self) -> None:
        for server in self._sockets:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for thread in self._threads:
            thread.join(timeout=10)


def said(status: int, body: bytes, **headers: str) -> bytes:
    """A whole answer; underscores in header names stand for hyphens."""
    fields = {"content-length": str(len(body)), "connection": "close", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""]).encode("latin-1") + body


@pytest.fixture
def listener():
    serving = Listener()
    yield serving
    serving.close()


class Internet:
    """What names and addresses stand for; nothing but loopback is ever really connected to.

    ``names`` maps a name to its addresses, or to a list of such lists, one a lookup. ``connected``
    are the addresses that were asked for, apart from those in ``ignored`` (the endpoint's).
    """

    def __init__(self, port: int) -> None:
        self.names: dict[str, list] = {}
        self.connected: list[str] = []
        self.ignored: set[int] = set()
        self._port = port

    def lookup(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002 - as the system's
        name = host.decode() if isinstance(host, bytes) else host
        found = self.names.get(name.rstrip(".").lower())
        if found is None:
            return _real_lookup(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        if isinstance(found[0], list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return [_address(one, port, type) for one in found if _fits(one, family)]

    async def connect(self, loop, sock, address):
        host, port = address[:2]
        if port not in self.ignored:
            self.connected.append(host)
        if (host, port) == (PUBLIC, self._port):
            address = ("127.0.0.1", self._port)
        elif host not in ("127.0.0.1", "::1"):
            raise ConnectionRefusedError(111, f"nothing is at {host} in a test")
        return await _real_connect(loop, sock, address)


def _fits(address: str, family: int) -> bool:
    return family in (0, _family(address))


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _address(address: str, port: int, kind: int):
    where = (address, port, 0, 0) if ":" in address else (address, port)
    return (_family(address), kind or socket.SOCK_STREAM, 6, "", where)


_real_lookup = socket.getaddrinfo
_real_connect = asyncio.selector_events.BaseSelectorEventLoop.sock_connect


@pytest.fixture
def internet(listener, monkeypatch):
    """The system's lookup and the loop's connect, replaced by a small world of our own."""
    world = Internet(listener.port)

    async def connect(loop, sock, address):
        return await world.connect(loop, sock, address)

    monkeypatch.setattr(socket, "getaddrinfo", world.lookup)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    return world


@pytest.fixture
def failed(workshop):
    """The failures of a finished run, by id."""

    def read(folder="run"):
        table = vbatch.open_run(workshop.folder / folder).failures().to_pylist()
        return {row["id"]: row for row in table}

    return read


@pytest.fixture
def vb(capsys, monkeypatch):
    """Type a command: ``code, out, err = vb("run", job)``."""
    # a slow machine must not end the process that runs the tests
    monkeypatch.setitem(drive.__kwdefaults__, "give_up", lambda _code: None)

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["vbatch", *map(str, words)])
        code = cli._run()  # ``main`` ends the process as well
        return code, *capsys.readouterr()

    return typed
