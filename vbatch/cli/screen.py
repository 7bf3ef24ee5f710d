"""The one way to a terminal: what others wrote arrives as text, and drives nothing."""

from __future__ import annotations

import json
from typing import Any

import click

from vbatch.errors import printable


def say(text: str, *, err: bool = False) -> None:
    """Print the lines of ``text``, with everything a terminal would obey written as an escape."""
    for line in text.split("\n"):
        click.echo(printable(line), err=err)


def as_document(value: Any) -> str:
    """Return JSON in which everything a terminal would obey stands as JSON's own escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
