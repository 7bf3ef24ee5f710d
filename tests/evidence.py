"""What the long suites reached, counted while they run and added up afterwards.

With VBATCH_SOAK set the suites are as long as promised, else a share of it. With VBATCH_EVIDENCE
set to a folder, every test adds its counts there; ``tests/reliability.py`` makes the page of them.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

SOAK = bool(os.environ.get("VBATCH_SOAK"))


def share(soak: int, ci: int) -> int:
    """How many rounds to go: ``soak`` in the long suite, ``ci`` otherwise."""
    return soak if SOAK else ci


class Evidence:
    """Counts of one process, kept by the method they belong to."""

    def __init__(self, folder: str | None) -> None:
        self._path = Path(folder) / f"{os.getpid()}.jsonl" if folder else None

    def add(self, method: str, **counts: float) -> None:
        """Add ``counts`` to what was reached by ``method``."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps({"method": method, **counts}) + "\n")


def totals(folder: Path) -> dict[str, dict[str, float]]:
    """Sum all counts in ``folder``, by method."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            counts = json.loads(line)
            method = counts.pop("method")
            for name, value in counts.items():
                sums[method][name] += value
    return {method: dict(counts) for method, counts in sums.items()}
