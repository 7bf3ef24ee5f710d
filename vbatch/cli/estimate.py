"""``estimate``: what a job will come to, before anything is sent."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - as in the other verbs
from typing import Any

import click

from vbatch.cli import options
from vbatch.cli.screen import as_document, say


@click.command(epilog="Example: vbatch estimate captions.toml")
@options.job_file
@options.job_flags
@options.settings
@click.option(
    "--answer-tokens", type=click.IntRange(min=0), help="What an answer takes, if you know it."
)
@click.option("--fresh", is_flag=True, help="All rows, whatever run is there.")
@click.option("--accept-change", is_flag=True, help="As `vbatch run --accept-change` would ask.")
@options.as_json
def estimate(
    job: Path | None,
    overrides: tuple[str, ...],
    *,
    answer_tokens: int | None,
    fresh: bool,
    accept_change: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Tell requests, tokens, cost and hours of what is still to do of JOB. Nothing is sent.

    Images are measured by their headers; of more than 10,000 rows a sample is looked at.
    """
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick

    loaded = api.load(job, overrides=overrides, flags=options.flags_of(words), fresh=fresh)
    expected = api.estimate(
        loaded, fresh=fresh, accept_change=accept_change, answer_tokens=answer_tokens
    )
    if as_json:
        say(as_document(expected.as_json()))
        return
    for line in expected.lines():
        say(line)
