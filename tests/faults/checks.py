"""What must hold after a run that met a fault, and after the next one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults.expected import IN_THE_ANSWER, MAX_AMBIGUOUS, RETRYABLE
from tests.faults.runs import prompt, text

if TYPE_CHECKING:
    from tests.faults.expected import Fault, Outcome
    from tests.faults.runs import Ended, Runs


@dataclass(frozen=True, kw_only=True)
class Play:
    """A fault, the outcome expected of it, and the row that meets it (None: all do).

    ``unseen`` requests never come to the server.
    """

    fault: Fault
    outcome: Outcome
    row: int | None
    unseen: int = 0

    @property
    def answered(self) -> int:
        if self.row is None:
            return 0
        return {"answered": self.fault.rows, "failed": self.fault.rows - 1}.get(
            self.outcome.ends, self.row
        )

    @property
    def failed(self) -> int:
        if self.row is None and self.outcome.ends == "failed":
            return self.fault.rows
        return self.outcome.failed

    @property
    def left(self) -> int:
        return self.fault.rows - self.answered - self.failed

    @property
    def requests(self) -> int:
        if self.outcome.requests is not None:
            return self.outcome.requests
        asked = self.row + 1 if self.outcome.ends == "stopped" else self.fault.rows
        return asked + self.outcome.attempts - 1


def check(play: Play, ended: Ended, runs: Runs) -> None:
    """Exit code, counts, closing line and tables after the run that met the fault."""
    said, outcome = ended.said, play.outcome
    counted = {name: said[name] for name in ("answered", "failed", "left", "possibly_billed")}
    assert counted == {
        "answered": play.answered,
        "failed": play.failed,
        "left": play.left,
        "possibly_billed": outcome.billed,
    }
    assert (ended.exit_code, said["exit_code"]) == (outcome.exit_code, outcome.exit_code)
    assert (said["requests"], len(runs.server.asked)) == (
        play.requests,
        play.requests - play.unseen,
    )
    _check_line(play, ended)
    _check_tables(play, runs)
    _check_totals(play, runs)


def _check_line(play: Play, ended: Ended) -> None:
    line, outcome = ended.said["line"], play.outcome
    assert ended.err.splitlines()[-1] == f"vbatch: {line}"
    assert f"{play.answered} answered, {play.failed} failed, {play.left} left" in line
    assert f"{outcome.billed} possibly billed" in line
    assert outcome.line in line
    if outcome.ends == "stopped":
        assert line.startswith(f"stopped ({outcome.code}): ")
        assert outcome.says in line
    else:
        assert line.startswith("finished")
    if outcome.ends == "failed":
        assert f"failed now: {play.failed} {outcome.code}" in line
    assert ("vbatch run" in line) == (outcome.ends == "stopped")


def _check_tables(play: Play, runs: Runs) -> None:
    results, failures = runs.results(), runs.failures()
    assert (len(results), len(failures)) == (play.answered, play.failed)
    assert not results.keys() & failures.keys()
    for number in range(play.fault.rows):
        name = f"r{number}"
        if number == play.row and play.fault.costs == "kept":
            _check_columns(results[name], {"attempts": 1} | dict(play.outcome.columns), number)
        elif name in results:
            assert (results[name]["text"], results[name]["prompt"]) == (
                text(number),
                prompt(number),
            )
            assert results[name]["attempts"] == (play.outcome.attempts if number == play.row else 1)
        elif name in failures:
            _check_failure(play, failures[name], number)


def _check_failure(play: Play, failure: dict[str, Any], number: int) -> None:
    outcome = play.outcome
    code = outcome.code
    _check_columns(
        failure,
        {
            "code": code,
            "stage": "answer" if code in IN_THE_ANSWER else "request",
            "retryable": code in RETRYABLE and outcome.billed <= 2 * (MAX_AMBIGUOUS + 1),
            "prompt": prompt(number),
            **({} if play.row is None else _of_the_row(outcome)),
            **outcome.columns,
        },
        number,
    )
    assert outcome.ends == "stopped" or outcome.says in failure["message"]


def _of_the_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "http_status": outcome.status,
        "attempts": outcome.attempts,
        "possibly_billed": outcome.billed,
    }


def _check_columns(row: dict[str, Any], columns: dict[str, Any], number: int) -> None:
    expected = {
        name: value.replace("$PROMPT", prompt(number)).replace("$KEY", "[redacted]")
        if isinstance(value, str)
        else value
        for name, value in columns.items()
    }
    assert {name: row[name] for name in expected} == expected


def _check_totals(play: Play, runs: Runs) -> None:
    usage = runs.usage()
    assert usage["requests"] - play.unseen == len(runs.server.asked)
    assert (usage["answered"], usage["failed"]) == (play.answered, play.failed)
    assert usage["possibly_billed"] == play.outcome.billed
    told = [row["total_tokens"] or 0 for row in runs.results().values()]
    assert usage["total_tokens"] == sum(told) + usage["wasted_tokens"]
    counts = runs.standing()["counts"]
    assert (counts["answered"], counts["failed"], counts["left"]) == (
        play.answered,
        play.failed,
        play.left,
    )


def wrong_rows(play: Play, runs: Runs) -> list[int]:
    """Rows that stand in no table, or in both, or that were answered and paid for twice."""
    results, failures = runs.results().keys(), runs.failures().keys()
    twice = [name for name, times in Counter(runs.server.answered).items() if times > 1]
    return [
        number
        for number in range(play.fault.rows)
        if (f"r{number}" in results) == (f"r{number}" in failures) or prompt(number) in twice
    ]


def check_again(play: Play, runs: Runs) -> None:
    """The same command on an endpoint that is well again: asks what is left, and nothing twice."""
    before, failed = runs.results(), runs.failures()
    retryable = [row for row in failed.values() if row["retryable"]]
    asked = len(runs.server.asked)

    ended = runs.run()

    wanted = play.left + len(retryable)
    assert ended.exit_code == 0
    assert (ended.said["answered"], ended.said["requests"], ended.said["left"]) == (
        wanted,
        wanted,
        0,
    )
    again = runs.server.asked[asked:]
    assert len(set(again)) == len(again) == wanted
    assert not {row["prompt"] for row in before.values()} & set(again)
    results = runs.results()
    assert {name: results[name] for name in before} == before
    for name in results.keys() - before.keys():
        assert results[name]["text"] == text(int(name[1:]))
    assert play.fault.rows - len(results) == len(failed) - len(retryable)
