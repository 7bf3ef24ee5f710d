"""What is said where a verb is refused or fails, whichever it is."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from vbatch.cli.screen import as_document, say
from vbatch.errors import StorageFull, sounds_secret

_PLACES = ("PWD", "OLDPWD")
_MIN_SECRET_CHARS = 6


def refuse(code: int, message: str, *, words: str | None = None) -> int:
    """Say why a verb ends with ``code``, under ``--json`` also as its one document; return it.

    ``words`` are said on standard error where a message alone is not enough.
    """
    say(f"vbatch: {message}" if words is None else words, err=True)
    if "--json" in sys.argv:
        with suppress(StorageFull):  # which may be what it is refused for
            say(as_document({"exit_code": int(code), "error": message}))
    return int(code)


def loose_secrets() -> list[str]:
    """What may be secret where there is no job to say what is: judged by the variables' names."""
    return [
        value
        for name, value in os.environ.items()
        if sounds_secret(name) and name not in _PLACES and len(value) >= _MIN_SECRET_CHARS
    ]
