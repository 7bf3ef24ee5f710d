"""``manifest`` and ``init``: things to start from."""

from __future__ import annotations

from pathlib import Path

import click

from vbatch.cli.screen import say
from vbatch.errors import JobError

_JOB = """\
# A vbatch job. Run it:        vbatch run {file}
# Look it over, for free:     vbatch check {file}
# Every key can also be set from the command line: -s limits.requests_per_minute=600

manifest = "photos"            # a JSONL or Parquet manifest, a glob, or a folder of images
output = "runs/{name}"         # everything that ever happens in this run stands here

[endpoint]
profile = "local"              # the built-in endpoint: measures pixels, is no model, costs nothing
# profile = "aimlapi"          # see `vbatch profiles`; the key comes from the environment
# model = "gpt-4o"

[request]
prompt = "Describe this picture in one sentence."
# prompt = "What is on page {{{{ page }}}}?"   # a Jinja2 template over the row's columns
# system = "You write alt texts."
# max_tokens = 300
# temperature = 0.2
# detail = "low"

[images]
# root = "photos"              # nothing outside is ever read; the default is the manifest's folder
# max_side = 1568              # pixels; larger pictures are shrunk on their way
# metadata = "strip"           # GPS and comments stay home

[limits]
# requests_per_minute = 600
# tokens_per_minute = 200000
# max_in_flight = 64

[retry]
# max_attempts = 6
# timeout = "300s"
"""


@click.command(epilog="Example: vbatch init captions")
@click.argument("name")
def init(name: str) -> None:
    """Write NAME.toml, a commented job file to start from."""
    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    text = _JOB.format(file=path, name=path.stem)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise JobError(f"{path} is there already; nothing was written") from None
    except OSError as error:
        raise JobError(f"{path}: {error.strerror}") from error
    say(f"wrote {path}; say in it what to ask and whom, then: vbatch check {path}")


@click.command(epilog="Example: vbatch manifest photos -o photos.jsonl")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help=".jsonl or .parquet to write.",
)
def manifest(folder: Path, out: Path) -> None:
    """Write a manifest with a row for each image below FOLDER."""
    from vbatch.api import needs_root, write_manifest  # noqa: PLC0415 - keeps `--help` quick

    say(f"wrote {write_manifest(folder, out)} rows to {out}")
    root = needs_root(folder, out)
    if root is not None:
        say(f"the pictures lie elsewhere: a job needs images.root = {str(root)!r}")
