"""Runs against a fault server: the command line in this process, and all that it leaves."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

import vbatch
from tests.faults import canary
from tests.faults.expected import MODELS
from vbatch import cli

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.faults.server import FaultServer


def prompt(number: int) -> str:
    """What row ``number`` asks."""
    return f"row {number}"


def text(number: int) -> str:
    """What a healthy endpoint answers to it, as it is kept."""
    return f"saw {prompt(number)}, asked with [redacted]"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one command ended."""

    exit_code: int
    said: dict[str, Any]
    out: str
    err: str


@dataclass(kw_only=True)
class Runs:
    """One job on one server, run as often as a test likes. Every run is searched for the key."""

    workshop: Any
    capsys: Any
    monkeypatch: Any
    server: FaultServer | None = None
    files: int = 0
    hits: list[tuple[str, str]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.workshop.folder / "run"

    def job(
        self,
        rows: int,
        tables: Mapping[str, Mapping[str, Any]],
        base_url: str = "",
        pictures: str = "https://pictures.example/{}.png",
        profile: str = "openai",
    ) -> None:
        """Write the job and its manifest; where it says how to ``send``, of ``pictures``."""
        given = {
            "retry": {"max_wait": "2ms", "timeout": "30s"},
            "limits": {"max_in_flight": 1},
            "images": {},
            "endpoint": {"model": MODELS[profile]},
        }
        for name, table in tables.items():
            given[name] = given.get(name, {}) | table
        picture = pictures if "send" in given["images"] else "one.jpg"
        Image.effect_noise((96, 96), 80).save(self.workshop.folder / "one.jpg")
        self.workshop.manifest(
            [{"id": f"r{n}", "image": picture.format(n), "prompt": prompt(n)} for n in range(rows)]
        )
        self.path = self.workshop.job(base_url or self.server.base_url, profile, **given)

    def run(self, *words: str) -> Ended:
        """``vbatch run JOB --json``, and a search of all it left for the key."""
        argv = ["vbatch", "run", str(self.path), "--json", *words]
        self.monkeypatch.setattr(sys, "argv", argv)
        code = cli._run()  # as `main`, which goes on to end the process
        out, err = self.capsys.readouterr()
        self._search({"stdout": out, "stderr": err})
        said = json.loads(out) if out else {}
        return Ended(exit_code=code, said=said, out=out, err=err)

    def _search(self, printed: Mapping[str, str]) -> None:
        left = [(str(path), content) for path, content in canary.texts(self.folder)]
        self.files += len({path for path, _ in left}) + len(printed)
        for where, content in [*left, *printed.items()]:
            self.hits += [(where, form) for form in canary.hits(content)]

    def results(self) -> dict[str, dict[str, Any]]:
        return _by_id(vbatch.open_run(self.folder).results().to_pylist())

    def failures(self) -> dict[str, dict[str, Any]]:
        return _by_id(vbatch.open_run(self.folder).failures().to_pylist())

    def usage(self) -> dict[str, Any]:
        """The last invocation's totals."""
        return vbatch.open_run(self.folder).usage().to_pylist()[-1]

    def standing(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())


def _by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows by their id, each of which stands once."""
    named = {row["id"]: row for row in rows}
    assert len(named) == len(rows), "a row stands twice"
    return named
