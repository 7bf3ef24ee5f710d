"""What every test may ask for: an endpoint on loopback, pictures, a quick job."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from tests.evidence import Evidence
from vbatch.clock import SystemClock
from vbatch.server import ServerSettings, start

ROOT = Path(__file__).resolve().parents[1]
_NOBODY = 65534


@pytest.fixture(scope="session", autouse=True)
def _interruptible():
    """Signals mean what they usually do, also where the tests were started with them ignored.

    A script's background ignores SIGINT, nohup SIGHUP, and whatever is started from there too.
    """
    usual = {signal.SIGINT: signal.default_int_handler}
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual.get(number, signal.SIG_DFL))


@pytest.fixture(autouse=True)
def _state_of_its_own(monkeypatch, tmp_path_factory):
    """Runs of a test share limits with each other, and with nobody else's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture(scope="session")
def evidence():
    """Where a test puts what it counted, for the page on reliability."""
    return Evidence(os.environ.get("VBATCH_EVIDENCE"))


class _Endpoint:
    """The built-in endpoint on a thread of its own, with its ledger on disk."""

    def __init__(self, settings: ServerSettings) -> None:
        self._ledger = settings.ledger
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._running = self._call(start(settings, clock=SystemClock()))
        self.base_url = self._running.base_url

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    @property
    def sums(self) -> dict:
        return self._running.ledger.summary()

    @property
    def entries(self) -> list[SimpleNamespace]:
        """As far as the server has written them: it may be in the middle of a line."""
        whole, _, _ = self._ledger.read_text().rpartition("\n")
        return [SimpleNamespace(**json.loads(line)) for line in whole.splitlines()]

    def answered_prompts(self) -> list[str]:
        return [entry.prompt for entry in self.entries if entry.answered]

    def stop(self) -> None:
        self._call(self._running.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


@pytest.fixture
def commons():
    """A folder where everybody may write, and ``locked`` in it, which nobody may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder, locked = Path(name), Path(name, "locked")
        folder.chmod(0o777)
        locked.mkdir(0)
        yield folder
        locked.chmod(0o700)


@contextlib.contextmanager
def as_nobody():
    """Root may read everything, so for as long as this lasts it is nobody.

    Whatever is needed must be imported before: nobody may not even see where Python lies.
    """
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def endpoint(tmp_path):
    """Start built-in endpoints: ``endpoint(dialect="flexai", ...)``; all are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def begin(**settings) -> _Endpoint:
            number = len(list(tmp_path.glob("ledger-*")))
            ledger = tmp_path / f"ledger-{number}.jsonl"
            ledger.touch()
            running = _Endpoint(ServerSettings(ledger=ledger, **settings))
            stack.callback(running.stop)
            return running

        yield begin


def picture(color="teal", size=(32, 24), kind="JPEG", **save) -> bytes:
    """One small picture, encoded."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind, **save)
    return buffer.getvalue()


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A folder with helpers to fill it: pictures, a manifest, a job file."""
    monkeypatch.setenv("TEST_KEY", "sk-test-0123456789")
    return _Workshop(tmp_path)


class _Workshop:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def picture(self, name: str, *args, **save) -> str:
        (self.folder / name).write_bytes(picture(*args, **save))
        return name

    def manifest(self, rows: list, name: str = "manifest.jsonl") -> Path:
        path = self.folder / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def rows(self, count: int) -> Path:
        """``count`` rows about one picture, each with a prompt of its own."""
        self.picture("one.jpg")
        return self.manifest(
            [{"id": f"r{n}", "image": "one.jpg", "prompt": f"row {n}"} for n in range(count)]
        )

    def job(self, base_url: str, profile: str = "openai", **tables) -> Path:
        """A job file for the manifest, quick to retry; ``tables`` adds to its tables."""
        given = {
            "endpoint": {
                "profile": profile,
                "base_url": base_url,
                "api_key_env": "TEST_KEY",
                "model": "gpt-4o",
            },
            "retry": {"max_wait": "20ms", "timeout": "10s"},
        }
        for name, table in tables.items():
            given.setdefault(name, {}).update(table)
        lines = ['manifest = "manifest.jsonl"', 'output = "run"']
        for name, table in given.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        path = self.folder / "job.toml"
        path.write_text("\n".join(lines) + "\n")
        return path
