"""``serve``: the built-in endpoint until somebody stops it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbatch.cli.screen import say

if TYPE_CHECKING:
    from vbatch.api import ServerSettings


@click.command(epilog="Example: vbatch serve --dialect flexai --fault 429:0.1,reset:0.05")
@click.option(
    "--dialect",
    default="local",
    show_default=True,
    help="Gateway to speak like, as in `vbatch profiles`.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--rpm", type=click.IntRange(min=1), help="Requests a minute.")
@click.option("--tpm", type=click.IntRange(min=1), help="Tokens a minute.")
@click.option(
    "--fault", "faults", default="", help="Scripted faults: NAME:SHARE or NAME@N, commas."
)
@click.option("--fault-seed", default=0, show_default=True)
@click.option("--latency", default=0.0, show_default=True, help="Mean seconds to an answer.")
@click.option("--ledger", type=click.Path(path_type=Path), help="JSONL file: a line per request.")
@click.option("--api-key", help="Refuse requests without this key.")
@click.option(
    "--url-root", type=click.Path(path_type=Path), help="Folder behind https://pictures.test/NAME."
)
def serve(
    host: str, port: int, rpm: int | None, tpm: int | None, faults: str, latency: float, **more: Any
) -> None:
    """Run the built-in endpoint. It measures pixels and is no model."""
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick

    settings = api.ServerSettings(
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        faults=api.parse_faults(faults),
        latency_s=latency,
        **more,
    )
    asyncio.run(_serve(host, port, settings))


async def _serve(host: str, port: int, settings: ServerSettings) -> None:
    from vbatch import api  # noqa: PLC0415

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    running, welcome = await api.serve(host=host, port=port, settings=settings)
    say(welcome)
    await stopped.wait()
    await running.stop()
