"""The command line: verbs that parse, call the api, print, and exit."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def main(leave: Callable[[int], object] = os._exit) -> None:
    """Run the command line and ``leave`` with its code.

    No thread is waited for: all is said and kept by then, and one may hang for ever, as on a
    network disk whose server is gone.
    """
    code = _run(alone=leave is os._exit)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or nobody reads
            stream.flush()
    leave(code)


def _run(*, alone: bool = False) -> int:
    """The verbs are imported here, as Ctrl-C is expected from the first import on.

    ``alone``: the process is ours.
    """
    try:
        if alone:
            from vbatch.cli.tuning import spare_memory  # noqa: PLC0415

            spare_memory()
        from vbatch.cli.verbs import run_verb  # noqa: PLC0415

        return run_verb()
    except KeyboardInterrupt:
        from vbatch.cli.refusals import refuse  # noqa: PLC0415
        from vbatch.errors import Exit  # noqa: PLC0415

        return refuse(Exit.SIGINT, "stopped by SIGINT")
