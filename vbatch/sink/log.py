"""What a run went through, in lines for people: ``.vbatch/log``."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from vbatch.errors import printable, redact
from vbatch.sink.views import iso

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbatch.clock import Clock

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Neither written through a link that somebody put there, nor waited for where it is a pipe."""


class Log:
    """Appends lines. A log that cannot be written never stops a run: the journal is the truth."""

    def __init__(
        self, path: Path, *, invocation: str, clock: Clock, secrets: Sequence[str] = ()
    ) -> None:
        self._path = path
        self._invocation = invocation
        self._clock = clock
        self._secrets = secrets

    def tell(self, text: str) -> None:
        """Append one line with the time and the invocation."""
        line = printable(" ".join(redact(text, self._secrets).split()))
        said = f"{iso(self._clock.time())} {self._invocation} {line}\n"
        with contextlib.suppress(OSError):
            fd = os.open(self._path, _FLAGS, 0o600)
            try:
                os.write(fd, said.encode(errors="backslashreplace"))
            finally:
                os.close(fd)
