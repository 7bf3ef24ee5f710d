"""What a run went through, in lines for people: ``.vbatch/log``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from vbatch.errors import redact
from vbatch.sink.views import iso

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vbatch.clock import Clock


class Log:
    """Appends lines. A log that cannot be written never stops a run: the journal is the truth."""

    def __init__(
        self, path: Path, *, invocation: str, clock: Clock, secrets: Sequence[str] = ()
    ) -> None:
        self._path = path
        self._invocation = invocation
        self._clock = clock
        self._secrets = secrets
        self._last = ""

    def tell(self, text: str) -> None:
        """Append one line with the time and the invocation."""
        line = " ".join(redact(text, self._secrets).split())
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{iso(self._clock.time())} {self._invocation} {line}\n")

    def tell_change(self, text: str) -> None:
        """Append ``text`` unless it is what was said last this way; empty text only is noted."""
        if text and text != self._last:
            self.tell(text)
        self._last = text
