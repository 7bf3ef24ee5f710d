"""Options that several verbs share, and how a verb's words become a job."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

settings = click.option(
    "-s",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set any key of the job file, as in -s limits.requests_per_minute=600. Repeatable.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress; errors only.")
job_file = click.argument("job", required=False, type=click.Path(path_type=Path))

_FLAGS = ("manifest", "prompt", "model", "profile", "output")
_FLAG_HELP = {
    "manifest": "Manifest file, glob or folder of images.",
    "prompt": "What to ask of every image (a Jinja2 template over the row's columns).",
    "model": "Model to ask.",
    "profile": "Gateway: see `vbatch profiles`, or a path to a profile file.",
    "output": "Folder of the run.",
}


def job_flags(command: Command) -> Command:
    """--manifest, --prompt, --model, --profile, --output: a job without a file."""
    for name in reversed(_FLAGS):
        command = click.option(f"--{name}", help=_FLAG_HELP[name])(command)
    return command


def flags_of(words: dict[str, Any]) -> dict[str, str]:
    """The job flags that were given, taken out of a verb's keyword arguments."""
    given = {name: words.pop(name) for name in _FLAGS}
    return {name: value for name, value in given.items() if value is not None}


def command(job: Path | None, flags: dict[str, str], overrides: tuple[str, ...]) -> str:
    """The ``vbatch run`` command that was given, to be given again."""
    words = ["vbatch", "run"] + ([str(job)] if job else [])
    for name, value in flags.items():
        words += [f"--{name}", value]
    for override in overrides:
        words += ["-s", override]
    return shlex.join(words)
