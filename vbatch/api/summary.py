"""What an invocation came to, and the one line that says so."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import asdict, dataclass, field
from decimal import Decimal  # noqa: TC003
from pathlib import Path  # noqa: TC003

from vbatch.costs.rates import dollars
from vbatch.errors import Exit
from vbatch.records import JsonValue, Stop  # noqa: TC001


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How an invocation ended.

    ``answered`` and ``failed`` count rows of this invocation; the ``total_`` fields
    those of the whole run. ``left`` rows are still to do. ``possibly_billed``
    counts requests of this invocation whose fate is not known. Tokens and USD are of
    this invocation; the ``wasted_`` ones led to no answer that is kept. ``codes`` counts this
    invocation's failures, ``finish_reasons`` its answers that are not plainly finished.
    """

    run: Path
    invocation: str
    rows: int
    answered: int = 0
    failed: int = 0
    total_answered: int = 0
    total_failed: int = 0
    left: int = 0
    possibly_billed: int = 0
    total_possibly_billed: int = 0
    requests: int = 0
    total_tokens: int = 0
    wasted_tokens: int = 0
    cost: Decimal | None = None
    wasted_cost: Decimal | None = None
    at_least: bool = False
    """Whether tokens and cost are lower bounds: some answers came without usage."""
    elapsed_s: float = 0.0
    stop: Stop | None = None
    codes: Mapping[str, int] = field(default_factory=dict)
    finish_reasons: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    again: str = ""
    """The command that goes on from here."""

    @property
    def exit_code(self) -> Exit:
        """What the process exits with."""
        if self.stop is not None:
            return self.stop.exit_code
        return Exit.ROWS_FAILED if self.failed else Exit.OK

    def line(self) -> str:
        """The closing line: what happened, what stands where, what to do next."""
        parts = [self._happened(), self._counts(), *self._details(), *self.notices]
        return " · ".join(part for part in parts if part) + self._next()

    def as_json(self) -> dict[str, JsonValue]:
        """The summary as one JSON object."""
        fields = asdict(self) | {"run": str(self.run), "exit_code": int(self.exit_code)}
        for name in ("cost", "wasted_cost"):
            fields[name] = None if fields[name] is None else float(fields[name])
        fields["line"] = self.line()
        return fields

    def _happened(self) -> str:
        if self.stop is None:
            return "finished" if self.answered or self.failed or not self.rows else "nothing to do"
        advice = f" ({self.stop.advice})" if self.stop.advice else ""
        return f"stopped ({self.stop.code}): {self.stop.message}{advice}"

    def _counts(self) -> str:
        return (
            f"{_of(self.total_answered, self.answered)} answered, {self.total_failed:,} failed, "
            f"{self.left:,} left, {_of(self.total_possibly_billed, self.possibly_billed)} possibly "
            "billed"
        )

    def _details(self) -> list[str]:
        details = []
        if self.codes:
            details.append("failed now: " + _counted(self.codes))
        if self.finish_reasons:
            details.append("answers that ended early: " + _counted(self.finish_reasons))
        at_least = "≥ " if self.at_least else ""
        if self.requests:
            details.append(f"{at_least}{self.total_tokens:,} tokens{self._wasted()}")
        if self.cost is not None:
            details.append(f"{at_least}{dollars(self.cost)}")
        return details

    def _wasted(self) -> str:
        if not self.wasted_tokens:
            return ""
        cost = "" if self.wasted_cost is None else f" ({dollars(self.wasted_cost)})"
        return f", {self.wasted_tokens:,} of them wasted{cost}"

    def _next(self) -> str:
        return f" · next: {self.again}" if self.again else f" · {self.run}"


def _of(total: int, now: int) -> str:
    """A figure of the whole run, and what of it came now where that differs."""
    return f"{total:,}" if now == total else f"{total:,} (+{now:,} now)"


def _counted(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{count:,} {name}" for name, count in ordered)
