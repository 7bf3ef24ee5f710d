"""A command line to type into."""

from __future__ import annotations

import sys

import pytest

from vbatch.cli import main


@pytest.fixture
def vb(capsys, monkeypatch):
    """Type a command: ``code, out, err = vb("run", job)``."""

    def typed(*words):
        monkeypatch.setattr(sys, "argv", ["vbatch", *map(str, words)])
        codes = []
        main(leave=codes.append)
        out, err = capsys.readouterr()
        return codes[0], out, err

    return typed


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]
