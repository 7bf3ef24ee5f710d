"""Print a run's answers as a table: ``python jobs/show.py runs/sample``."""

from __future__ import annotations

import sys
import textwrap

import vbatch


def main(run: str) -> None:
    """Print one line per answered row, and one per failure."""
    opened = vbatch.open_run(run)
    for row in opened.results().sort_by("row").to_pylist():
        answer = textwrap.shorten(row["text"] or "", 96, placeholder=" …")
        print(f"{row['id'][:24]:<24}  {row['total_tokens'] or 0:>6}  {answer}")
    for row in opened.failures().sort_by("row").to_pylist():
        print(f"{row['id'][:24]:<24}  {'failed':>6}  {row['code']}: {row['message']}")


if __name__ == "__main__":
    main(sys.argv[1])
