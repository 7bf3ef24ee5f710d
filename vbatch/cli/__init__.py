"""The command line: verbs that parse, call the api, print, and exit."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from vbatch.cli.screen import say
from vbatch.errors import Exit, VbatchError
from vbatch.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

_VERBS = {
    "run": "vbatch.cli.run:run",
    "retry": "vbatch.cli.run:retry",
    "check": "vbatch.cli.look:check",
    "status": "vbatch.cli.look:status",
    "profiles": "vbatch.cli.look:profiles",
    "models": "vbatch.cli.look:models",
    "manifest": "vbatch.cli.make:manifest",
    "init": "vbatch.cli.make:init",
    "serve": "vbatch.cli.serve:serve",
}
_SUMMARIES = {
    "run": "Do everything of a job that is still to do, then stop.",
    "retry": "Ask failed rows of a run again.",
    "check": "Look a job over without a paid request.",
    "status": "How a run stands.",
    "profiles": "The gateways known.",
    "models": "A gateway's models, those that see images marked.",
    "manifest": "Make a manifest from a folder of images.",
    "init": "Write a commented job file to start from.",
    "serve": "Run the built-in endpoint, for trying things out.",
}


class _Verbs(click.Group):
    """Imports a verb only when it is used, so that ``--help`` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        module, _, name = _VERBS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl(list(_SUMMARIES.items()))


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: vbatch init captions && vbatch run captions.toml",
)
@click.version_option(__version__, prog_name="vbatch")
def cli() -> None:
    """Ask a vision model about many images: manifest in, Parquet out, nothing paid twice."""


def main(leave: Callable[[int], object] = os._exit) -> None:
    """Run the command line and ``leave`` with its code.

    No thread is waited for: all is said and kept by then, and one may hang for ever, as on a
    network disk whose server is gone.
    """
    code = _run()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or nobody reads
            stream.flush()
    leave(code)


def _run() -> int:
    try:
        return int(cli.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        words = io.StringIO()
        error.show(words)
        say(words.getvalue().rstrip("\n"), err=True)
        return error.exit_code
    except click.Abort:
        say("vbatch: stopped by SIGINT", err=True)
        return Exit.SIGINT
    except VbatchError as error:
        say(f"vbatch: {error.message}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return Exit.OK
