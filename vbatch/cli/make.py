"""``manifest`` and ``init``: things to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from vbatch.cli.screen import say
from vbatch.errors import JobError, printable

_ENDING = ".toml"
_JOB = """\
# A vbatch job. Run it:        vbatch run {file}
# Look it over, for free:     vbatch check {file}
# Every key can also be set from the command line: -s limits.requests_per_minute=600

manifest = "photos"            # a JSONL or Parquet manifest, a glob, or a folder of images
output = {output}  # everything that ever happens in this run stands here

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
# max_cost = 5.0               # USD of one `vbatch run`; see `vbatch estimate {file}`

[retry]
# max_attempts = 6
# timeout = "300s"

# [price]                      # USD per million tokens, where the built-in table has none
# input = 2.5
# output = 10
"""


@click.command(epilog="Example: vbatch init captions")
@click.argument("name")
def init(name: str) -> None:
    """Write NAME.toml, a commented job file to start from."""
    path = Path(name if name.endswith(_ENDING) else f"{name}{_ENDING}")
    data = _job(name, path)
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise JobError(f"{path} is there already; nothing was written") from None
    except OSError as error:
        raise JobError(f"{path}: {error.strerror}") from error
    say(f"wrote {path}; say in it what to ask and whom, then: vbatch check {_in_shell(path)}")


def _job(name: str, path: Path) -> bytes:
    from vbatch.job.tables import is_folder_name  # noqa: PLC0415 - keeps `--help` quick
    from vbatch.profile import toml  # noqa: PLC0415

    stem = name.removesuffix(_ENDING).rpartition("/")[2]
    if not is_folder_name(stem):
        raise JobError(f"no job can be called {stem!a}: its run has a folder of this name")
    output = toml.write(f"runs/{stem}".replace("$", "$$"))
    return _JOB.format(file=_in_shell(path), output=f"{output:<22}").encode()


def _in_shell(path: Path) -> str:
    return printable(shlex.quote(str(path)))


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
