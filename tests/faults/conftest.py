"""A fault server and a job that asks it, with a key that must be found nowhere."""

from __future__ import annotations

import socket

import pytest

pytest.register_assert_rewrite("tests.faults.checks", "tests.faults.runs")

# below it, so that their assertions explain themselves
from tests.faults.canary import KEY  # noqa: E402
from tests.faults.runs import Runs  # noqa: E402
from tests.faults.server import FaultServer  # noqa: E402


@pytest.fixture
def server():
    running = FaultServer()
    yield running
    running.stop()


@pytest.fixture
def bare(workshop, capsys, monkeypatch, evidence):
    """Runs without a server of their own."""
    monkeypatch.setenv("TEST_KEY", KEY)
    runs = Runs(workshop=workshop, capsys=capsys, monkeypatch=monkeypatch)
    yield runs
    assert runs.hits == []
    evidence.add("canary key", files=runs.files, hits=len(runs.hits))


@pytest.fixture
def runs(bare, server):
    """Runs against the fault server."""
    bare.server = server
    return bare


@pytest.fixture
def names(monkeypatch):
    """Host names that lead to this machine, after so many look-ups that fail."""
    known: dict[str, float] = {}
    resolve = socket.getaddrinfo

    def look_up(host, *args, **options):
        if host not in known:
            return resolve(host, *args, **options)
        known[host] -= 1
        if known[host] >= 0:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known
