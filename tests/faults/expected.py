"""What a fault costs and becomes: the words of the table, and what each of them implies."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.faults.wire import Wire

Costs = Literal["free", "refused", "maybe", "row", "kept", "stop"]
"""``free``: certainly not executed. ``refused``: turned away before any work. ``maybe``: may have
been worked on and billed. ``row``: this row fails. ``kept``: paid for, and kept. ``stop``."""

Place = Literal[
    *("http", "dns", "port", "backlog", "greeting", "tunnel", "certificate", "key", "cut", "race")
]
"""Where a fault is staged: in an answer, or before there can be one."""

ROWS = 12
MODELS = {
    "openai": "gpt-4o",
    "indoxhub": "openai/gpt-4o",
    "aimlapi": "gpt-4o",
    "vision": "gpt-4o",
    "infinityblue": "gpt-5.4",
    "flexai": "phi-4-multimodal-instruct",
}
MAX_ATTEMPTS = 6
MAX_AMBIGUOUS = 2
INTERNAL_ERRORS = 3
RETRYABLE = {
    *("connection", "timeout", "server_error", "bad_response", "rate_limited", "image_not_found"),
    *("image_unreadable", "image_unreachable", "bad_row"),
}
IN_THE_ANSWER = {"bad_response", "empty_answer", "response_too_large"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ends that met a fault. ``attempts`` and ``billed`` are those of the row that did.

    ``code`` is the failure's or the stop's. ``says`` stands in the closing line of a stop, else in
    the failure's message; ``line`` in the closing line. ``columns`` are of the row in its table.
    ``requests`` and ``failed`` are given where all rows meet the fault.
    """

    ends: Literal["answered", "failed", "stopped"]
    code: str = ""
    exit_code: int = 0
    attempts: int = 1
    billed: int = 0
    status: int | None = None
    says: str = ""
    line: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    requests: int | None = None
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row of the table.

    ``once``: played for one attempt of one row, the first, a middle or the last of a run; ``first``
    where that is different as long as nothing has been answered; ``for_good``: for each attempt of
    one row; ``everywhere``: for every request. ``times``: attempts that meet it when played once.
    """

    name: str
    shows: str
    costs: Costs
    once: Outcome
    wire: Wire | None = None
    place: Place = "http"
    profile: str = "openai"
    first: Outcome | None = None
    for_good: Outcome | None = None
    everywhere: Outcome | None = None
    times: int = 1
    rows: int = ROWS
    job: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    job_everywhere: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mends: bool = False
    """Whether the second attempt asks differently."""
    least_s: float = 0.0
    """The run takes so long at least: the endpoint asked for it."""


def answered(attempts: int = 1, **more: Any) -> Outcome:
    """The row has its answer in the end."""
    return Outcome(ends="answered", attempts=attempts, **more)


def failed(code: str, **more: Any) -> Outcome:
    """The row stands in failures."""
    return Outcome(ends="failed", code=code, exit_code=3, failed=1, **more)


def stopped(exit_code: int, code: str, says: str = "", **more: Any) -> Outcome:
    """The run stops, and the row stays to do."""
    return Outcome(ends="stopped", code=code, exit_code=exit_code, says=says, **more)


def refused(name: str, shows: str, wire: Wire, code: str, status: int, **more: Any) -> Fault:
    """Turned away: the row is asked again, up to ``max_attempts``."""
    tries = INTERNAL_ERRORS if status == 500 else MAX_ATTEMPTS
    given: dict[str, Any] = {
        "once": answered(2),
        "for_good": failed(code, attempts=tries, status=status),
    }
    return Fault(name=name, shows=shows, wire=wire, costs="refused", **given | more)


def throttled(name: str, shows: str, wire: Wire, **more: Any) -> Fault:
    """The whole endpoint waits; however often, it is not counted against the row."""
    patient = answered(MAX_ATTEMPTS + 3)
    given: dict[str, Any] = {"once": patient, "times": MAX_ATTEMPTS + 2}
    return Fault(name=name, shows=shows, wire=wire, costs="refused", **given | more)


def maybe(
    name: str, shows: str, wire: Wire, code: str, status: int | None = None, **more: Any
) -> Fault:
    """May have been billed: asked again ``max_ambiguous`` times at most."""
    tries = MAX_AMBIGUOUS + 1
    given: dict[str, Any] = {
        "once": answered(2, billed=1),
        "for_good": failed(code, attempts=tries, billed=tries, status=status),
    }
    return Fault(name=name, shows=shows, wire=wire, costs="maybe", **given | more)


def row(name: str, shows: str, wire: Wire, code: str, status: int = 200, **more: Any) -> Fault:
    """The row fails at once. ``says`` and ``columns`` are the failure's."""
    told = {key: more.pop(key) for key in ("says", "columns") if key in more}
    once = failed(code, status=status, **told)
    return Fault(name=name, shows=shows, wire=wire, costs="row", once=once, **more)


def mended(name: str, shows: str, wire: Wire, code: str, status: int, **more: Any) -> Fault:
    """Sent once more in another way, and remembered for the run; else the row fails."""
    given: dict[str, Any] = {
        "once": answered(2),
        "for_good": failed(code, attempts=2, status=status),
    }
    return Fault(name=name, shows=shows, wire=wire, costs="row", mends=True, **given | more)


def kept(
    name: str, shows: str, wire: Wire, line: str = "", profile: str = "openai", **columns: Any
) -> Fault:
    """An answer that was paid for."""
    once = answered(line=line, columns=columns)
    return Fault(name=name, shows=shows, wire=wire, costs="kept", once=once, profile=profile)


def stop(
    name: str, shows: str, wire: Wire | None, exit_code: int, code: str, says: str, **more: Any
) -> Fault:
    """Nothing more is sent."""
    once = stopped(exit_code, code, says)
    return Fault(name=name, shows=shows, wire=wire, costs="stop", once=once, **more)
