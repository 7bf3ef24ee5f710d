"""Makes docs/faults.md of the table: ``python -m tests.faults.page``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import codes
from tests.faults.expected import MAX_AMBIGUOUS, MAX_ATTEMPTS, RETRYABLE
from tests.faults.table import FAMILIES

if TYPE_CHECKING:
    from tests.faults.expected import Fault, Outcome
    from tests.faults.table import Family

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"

HEAD = f"""# When something goes wrong

What each fault of an endpoint costs, what becomes of its row and of the run, and what to do. This
page is made of the table that the test suite plays against a misbehaving server
(`python -m tests.faults.page`), so it says what really happens.

A request that fails belongs to one of these classes:

| class | what it may have cost | what follows |
|---|---|---|
| free | nothing: it never left | asked again, as often as it takes |
| refused | nothing: turned away | again, {MAX_ATTEMPTS} times (`retry.max_attempts`) |
| maybe | counted as possibly billed | again, {MAX_AMBIGUOUS} times (`retry.max_ambiguous`) |
| row | what the endpoint says it cost | the row fails, the run goes on |
| kept | what the endpoint says it cost | the answer is a result |
| stop | nothing | the run stops, its rows stay to do |

Whatever happens, an answer that was recorded is neither lost nor asked for again: the same command
goes on where the run stands. Keys stand in no message, table or log, also where an endpoint
repeats them.
"""

IN_FAILURES = """In the failures table. Rows that are not asked again by themselves are asked by
`vbatch retry RUN --only CODE`.
"""
_COLUMNS = "| what comes | class | the row | if it goes on |\n|---|---|---|---|\n"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, _codes(), *map(_family, FAMILIES)])


def _codes() -> str:
    failures = [
        f"| `{code}` | {meaning} | {'yes' if code in RETRYABLE else 'no'} |"
        for code, meaning in codes.FAILURES.items()
    ]
    stops = [f"| `{code}` | {meaning} |" for code, meaning in codes.STOPS.items()]
    exits = [f"| {code} | {meaning} |" for code, meaning in codes.EXITS.items()]
    return "\n".join(
        [
            "## Codes\n",
            IN_FAILURES,
            "| `code` | meaning | asked again by the next run |\n|---|---|---|",
            *failures,
            "\nIn the closing line, where an endpoint stops a run:\n",
            "| code | meaning |\n|---|---|",
            *stops,
            "\nExit codes:\n",
            "| exit | meaning |\n|---|---|",
            *exits,
            "",
        ]
    )


def _family(family: Family) -> str:
    rows = [f"| {' | '.join(_cells(fault))} |\n" for fault in family.faults]
    return f"## {family.title}\n\n{family.advice}\n\n{_COLUMNS}{''.join(rows)}"


def _cells(fault: Fault) -> tuple[str, ...]:
    first = [] if fault.first is None else [f"nothing answered yet: {_end(fault.first)}"]
    goes_on = [] if fault.for_good is None else [_end(fault.for_good)]
    if fault.everywhere is not None:
        goes_on.append(f"for all rows: {_all(fault.everywhere)}")
    row = "; ".join([_once(fault), *first])
    return (fault.shows.replace("|", "\\|"), fault.costs, row, "; ".join(goes_on))


def _once(fault: Fault) -> str:
    outcome = fault.once
    if outcome.ends != "answered":
        return _end(outcome)
    if fault.costs == "kept":
        return "answered"
    return "sent once more, changed" if fault.mends else "sent again"


def _end(outcome: Outcome) -> str:
    if outcome.ends == "stopped":
        code = f" `{outcome.code}`," if outcome.code else ""
        return f"the run stops:{code} exit {outcome.exit_code}"
    after = f" after {outcome.attempts} attempts" if outcome.attempts > 1 else ""
    billed = f", {outcome.billed} possibly billed" if outcome.billed else ""
    return f"fails{after}: `{outcome.code}`{billed}, exit {outcome.exit_code}"


def _all(outcome: Outcome) -> str:
    after = f" after {outcome.requests} requests" if outcome.ends == "stopped" else ""
    return _end(outcome) + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
