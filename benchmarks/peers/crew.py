"""Who is measured, and a virtual environment for each."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VENVS = Path(__file__).parents[1] / ".peers"
DRIVERS = Path(__file__).with_name("drivers")
INSTALL_S = 1_200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """``packages`` are what pip is told, the one it is known by first.

    ``by_url`` and ``inline`` are how often over vbatch shall answer its rows in the same time.
    """

    name: str
    driver: str
    packages: tuple[str, ...]
    by_url: float = 20.0
    inline: float = 10.0

    @property
    def script(self) -> Path:
        """Its driver."""
        return DRIVERS / f"{self.driver}.py"


CREW = (
    Peer(
        name="openai client",
        driver="with_openai",
        packages=("openai",),
        by_url=8.0,
        inline=6.0,
    ),
    Peer(name="curator", driver="with_curator", packages=("bespokelabs-curator",)),
    Peer(name="litellm", driver="with_litellm", packages=("litellm",)),
    Peer(name="langchain", driver="with_langchain", packages=("langchain-openai",)),
    Peer(name="inspect_ai", driver="with_inspect", packages=("inspect-ai", "openai")),
    Peer(name="daft", driver="with_daft", packages=("daft", "openai", "numpy", "pillow")),
    Peer(name="Ray Data", driver="with_ray", packages=("ray[data]", "aiohttp", "pydantic")),
)


class NotInstalledError(Exception):
    """pip could not install a peer; the message is its last word."""


def python_of(peer: Peer) -> Path:
    """The Python of a peer's environment, made where it is not there yet."""
    place = VENVS / peer.driver
    python, done = place / "bin" / "python", place / "installed.txt"
    wanted = "\n".join(peer.packages)
    if done.is_file() and done.read_text() == wanted:
        return python
    place.mkdir(parents=True, exist_ok=True)
    (VENVS / ".gitignore").write_text("*\n")
    _run([sys.executable, "-m", "venv", "--clear", place])
    _run([python, "-m", "pip", "install", "--quiet", *peer.packages])
    done.write_text(wanted)
    return python


def version_of(peer: Peer) -> str:
    """Which version pip has put there."""
    name = peer.packages[0].partition("[")[0]
    asked = f"from importlib.metadata import version; print(version({name!r}))"
    return _run([python_of(peer), "-c", asked]).strip()


def _run(command: list[str | Path]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)  # noqa: PLW1510
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"not installed within {INSTALL_S:.0f} s") from None
    if done.returncode != 0:
        raise NotInstalledError((done.stderr.strip() or "no word").splitlines()[-1])
    return done.stdout
