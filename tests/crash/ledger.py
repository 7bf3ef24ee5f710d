"""What a run must come to, said as simply as possible: a log of events and one pass over it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Standing:
    """What stands in a run: by row its answer, or that it failed and what it took."""

    answers: dict[str, str] = field(default_factory=dict)
    failures: dict[str, tuple[int, int]] = field(default_factory=dict)
    superseded: Counter = field(default_factory=Counter)
    sums: Counter = field(default_factory=Counter)
    open: set[tuple[str, str]] = field(default_factory=set)


class Ledger:
    """Events in the order in which they were recorded. An event is (kind, row, details)."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, dict]] = []
        self.synced = 0

    def write(self, kind: str, row: str, **details) -> None:
        self.log.append((kind, row, details))

    def books(self, upto: int | None = None) -> Standing:
        """What the first ``upto`` events come to."""
        books, digests = Standing(), {}
        for kind, row, details in self.log[:upto]:
            _COUNT[kind](books, row, details)
            if kind in ("answer", "fail"):
                _stand(books, digests, kind, row, details)
        return books

    def spent(self, row: str, digest: str) -> tuple[int, int]:
        """Requests, and possibly billed ones, for a row as it is since it last had an answer."""
        requests = billed = 0
        for kind, name, details in self.log:
            if name != row:
                continue
            if details["digest"] != digest or kind == "answer":
                requests = billed = 0
                continue
            requests += kind == "ask"
            billed += kind == "abandon" or details.get("ambiguous", False)
        return requests, billed


def _ask(books, row, details) -> None:
    books.sums["requests"] += 1
    books.open.add((details["invocation"], row))


def _end(books, row, details) -> None:
    books.open.discard((details["invocation"], row))
    books.sums["possibly_billed"] += details.get("ambiguous", False)
    books.sums["total_tokens"] += details.get("tokens", 0)


def _answer(books, row, details) -> None:
    _end(books, row, details)
    books.sums["answered"] += 1


def _fail(books, row, details) -> None:
    _end(books, row, details)
    books.sums["failed"] += 1


def _abandon(books, row, details) -> None:
    books.open.discard((details["invocation"], row))
    books.sums["possibly_billed"] += 1


_COUNT = {"ask": _ask, "try": _end, "answer": _answer, "fail": _fail, "abandon": _abandon}


def _stand(books, digests, kind, row, details) -> None:
    if kind == "fail" and row in books.answers and digests[row] == details["digest"]:
        return
    digests[row] = details["digest"]
    if row in books.answers:
        books.superseded[books.answers.pop(row)] += 1
    books.failures.pop(row, None)
    if kind == "answer":
        books.answers[row] = details["response"]
    else:
        books.failures[row] = details["took"]
