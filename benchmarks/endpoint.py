"""The benchmark's endpoint: ``endpoint.c``, compiled once, started per measurement."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).with_name("endpoint.c")


class Endpoint:
    """A running endpoint on loopback."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    @property
    def base_url(self) -> str:
        """What a job's ``endpoint.base_url`` is set to."""
        return f"{self.address}/v1"

    @property
    def chat_url(self) -> str:
        """Where chats are posted to."""
        return f"{self.base_url}/chat/completions"

    def requests(self) -> int:
        """How many chats it has answered."""
        with urllib.request.urlopen(f"{self.address}/requests", timeout=10) as reply:
            return int(reply.read())


@contextmanager
def serving(latency_ms: int = 0) -> Iterator[Endpoint]:
    """An endpoint that answers every chat ``latency_ms`` after it has read it whole."""
    process = subprocess.Popen(
        [_compiled(), str(latency_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Endpoint(int(process.stdout.readline()))
    finally:
        process.stdin.close()  # it ends with its standard input
        process.wait()
        process.stdout.close()


@cache
def _compiled() -> str:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        sys.exit("the benchmarks need a C compiler for their endpoint: apt install gcc libc6-dev")
    binary = Path(tempfile.mkdtemp(prefix="vbatch-bench-")) / "endpoint"
    subprocess.run([compiler, "-O2", "-o", binary, SOURCE], check=True)
    return str(binary)
