"""The verbs by name, and the exit code that each of their ends has."""

from __future__ import annotations

import importlib
import io
import traceback

import click

from vbatch.cli.refusals import loose_secrets, refuse
from vbatch.cli.screen import say
from vbatch.errors import Exit, VbatchError, redact
from vbatch.version import __version__

_VERBS = {
    "run": "vbatch.cli.run:run",
    "retry": "vbatch.cli.run:retry",
    "check": "vbatch.cli.look:check",
    "estimate": "vbatch.cli.estimate:estimate",
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
    "estimate": "What a job will come to: requests, tokens, cost, hours.",
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


def run_verb() -> int:
    """Do what the command line says and return the exit code. No error leaves but Ctrl-C's."""
    try:
        return int(cli.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        words = io.StringIO()
        error.show(words)
        return refuse(error.exit_code, error.format_message(), words=words.getvalue().rstrip("\n"))
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit:  # click's word for a reader of --help who has gone
        return Exit.OK
    except VbatchError as error:
        return refuse(error.exit_code, error.message)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        return refuse(Exit.STORAGE, f"{where}{error.strerror or error}")
    except Exception as bug:  # noqa: BLE001 - the last stop: what a person reads is said here
        if _hides_ctrl_c(bug):
            raise KeyboardInterrupt from None
        return _confess(bug)


def _hides_ctrl_c(bug: Exception) -> bool:
    """Pydantic makes an error of its own of a Ctrl-C that comes while it writes a model out."""
    return type(bug).__name__ == "PydanticSerializationError" and "KeyboardInterrupt" in str(bug)


def _confess(bug: Exception) -> int:
    secrets = loose_secrets()
    say(redact("".join(traceback.format_exception(bug)), secrets).rstrip("\n"), err=True)
    brief = redact(repr(bug), secrets)
    return refuse(Exit.INTERNAL, f"internal error, please report it with the lines above: {brief}")
