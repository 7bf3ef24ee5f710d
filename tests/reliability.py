"""Makes docs/reliability.md of what the long suites counted: ``python -m tests.reliability DIR``.

Ends with 1 if a promised figure was not reached. ``make soak`` runs it after the suites.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.claims import CLAIMS
from tests.evidence import totals

if TYPE_CHECKING:
    from tests.claims import Claim, Counts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"

HEAD = """# Reliability: what was tried, and what came of it

Every figure on this page was counted by a test while it ran, and written here by `make soak`. The
same tests run with every change, a share of them each time.

| tried | to reach | reached | by |
|---|---|---|---|
"""


def page(found: dict[str, Counts]) -> str:
    """The page, for counts by method."""
    rows = [_row(claim, found.get(claim.method, {})) for claim in CLAIMS]
    return HEAD + "\n".join(rows) + f"\n\n{_where()}\n"


def unreached(found: dict[str, Counts]) -> list[str]:
    """The methods that did not reach their figure, or were not tried."""
    return [claim.method for claim in CLAIMS if not claim.is_reached(found.get(claim.method, {}))]


def _row(claim: Claim, counts: Counts) -> str:
    mark = "" if claim.is_reached(counts) else "**not reached:** "
    found = claim.reached(counts) or "not tried"
    return f"| {claim.does} | {claim.to_reach()} | {mark}{found} | `{claim.tests}` |"


def _where() -> str:
    return (
        f"Written on {platform.system()} with Python {platform.python_version()}. Again: "
        "`make soak` (about two hours on two cores)."
    )


def main(folder: str) -> int:
    """Write the page of the counts in ``folder`` and say what is missing; return the exit code."""
    found = totals(Path(folder))
    PAGE.write_text(page(found), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))  # noqa: T201 - its output
    missing = unreached(found)
    if missing:
        print(f"not reached: {', '.join(missing)}")  # noqa: T201 - as above
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
