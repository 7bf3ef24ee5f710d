"""The one way to a terminal: what others wrote arrives as text, and drives nothing."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from vbatch.errors import StorageFull, printable


def say(text: str, *, err: bool = False) -> None:
    """Print the lines of ``text``, with everything a terminal would obey written as an escape.

    A reader that has gone changes nothing, nor does a standard error that takes nothing. Raises
    StorageFull where standard output is read by somebody and takes no more.
    """
    try:
        for line in text.split("\n"):
            click.echo(printable(line), err=err)
    except OSError as error:
        _silence(sys.stderr if err else sys.stdout)
        if not err and not isinstance(error, BrokenPipeError):
            raise StorageFull(f"standard output cannot be written: {error.strerror}") from error


def as_document(value: Any) -> str:
    """Return JSON in which everything a terminal would obey stands as JSON's own escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _silence(stream: Any) -> None:
    """Send what is still in the buffer, and all that follows, nowhere."""
    with suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
