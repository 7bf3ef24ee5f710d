"""An invocation from its first look to its last word, one step after the other on one thread.

What the engine would do is done plainly: rows that are not answered are asked, some fail, some are
answered again. So a test can stop it at any step and know what must be there afterwards.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.sink import rows
from tests.sink.disks import Quick
from vbatch.errors import Fault
from vbatch.records import Attempt
from vbatch.sink import codec, views
from vbatch.sink.books import Books
from vbatch.sink.history import History
from vbatch.sink.journal import Journal, Rolling
from vbatch.sink.kept import keep, read_kept
from vbatch.sink.layout import TABLES, Layout
from vbatch.sink.parts import read_part
from vbatch.sink.premises import make_folders
from vbatch.sink.recovery import recover
from vbatch.sink.schemas import schemas_of

if TYPE_CHECKING:
    from pathlib import Path

ROLLING = Rolling(outcomes=6, size_bytes=1 << 20)
IN_FLIGHT = 4
FIRST = {f"r{n}": "d1" for n in range(16)}
CHANGED = {**FIRST, "r1": "d2", "r5": "d2", "r9": "d2", "new": "d1"}
AGAIN = frozenset({"r2", "r3", "r12"})


class Told:
    """What invocations did, as somebody outside saw it. Answers are named by response id."""

    def __init__(self) -> None:
        self.answers: set[str] = set()
        """Answers whose append returned."""
        self.synced: set[str] = set()
        """Answers whose sync returned, or that were found in the tables by a later invocation."""
        self.doubtful: set[str] = set()
        """Answers whose append did not return."""


class Found(NamedTuple):
    """What is wrong with a run's tables: nothing, if all is well."""

    lost: set[str]
    torn: list[str]
    twice: list[str]


class Night:
    """One invocation. ``trouble``: a sync fails on its way, and it goes on in the reserve."""

    def __init__(self, root: Path, storage, told: Told, name: str, *, boot="b", seed=0) -> None:
        self.layout = Layout(root=root)
        self.storage = storage
        self.told = told
        self.name = name
        self.boot = boot
        self.chance = random.Random(f"{seed}-{name}")
        self.trouble = False
        self.unsynced: set[str] = set()

    def run(self, wishes: dict[str, str], again: frozenset[str] = frozenset()) -> None:
        """``wishes`` are row id → digest, ``again`` ids that are asked though answered."""
        books = self.begin()
        to_do = self._choose(books, wishes, again)
        journal = Journal(
            self.layout,
            number=books.commit.n + 1,
            boot=self.boot,
            clock=rows.Still(),
            storage=self.storage,
        )
        self.append(journal, list(books.commit.tallies.abandoned_asks()))
        self._end(books, [*self._ask_all(books, journal, to_do), journal.seal()])

    def begin(self) -> Books:
        make_folders(self.layout, self.storage)
        kept = read_kept(self.layout)
        if kept is None:
            kept = rows.kept()
            keep(kept, self.layout, self.storage)
        books = Books(self.layout, self.storage, schemas_of(kept))
        recover(self.layout, self.storage, books, boot=self.boot)
        books.place_empty_tables()
        return books

    def _choose(self, books, wishes, again) -> list[tuple[str, str]]:
        history = History(self.layout, books.commit, books.index)
        to_do = []
        for row_id, digest in wishes.items():
            row = rows.completed(row_id, digest=digest).result
            if row_id in again or not is_answered(history, row):
                to_do.append((row_id, digest))
        return to_do

    def _ask_all(self, books, journal, to_do) -> list:
        waiting = []
        trouble = self.chance.randrange(2, 12) if self.trouble else None
        for start in range(0, len(to_do), IN_FLIGHT):
            some = to_do[start : start + IN_FLIGHT]
            self.append(journal, [self.asked(*row) for row in some])
            self.append(journal, [e for row in some if (e := self.tried(*row))])
            if trouble is not None and start >= trouble:
                self.storage.bad = True
                waiting.append(journal.fall_back())
                trouble = None
            self.append(journal, [self.outcome(*row) for row in some])
            if self.chance.random() < 0.3:
                journal.sync()
                self.synced()
            if journal.due(ROLLING):
                waiting.append(journal.roll())
                self.synced()
            if waiting and self.chance.random() < 0.7:
                books.commit_segment(waiting.pop(0))
        return waiting

    def _end(self, books, waiting) -> None:
        self.synced()
        for closed in waiting:
            books.commit_segment(closed)
        books.tidy()
        books.place_empty_tables()
        views.put_usage(self.storage, self.layout, books.commit.tallies.closed())

    def append(self, journal: Journal, events: list) -> None:
        if not events:
            return
        answers = {e.result.completion.response_id for e in events if hasattr(e, "result")}
        self.told.doubtful |= answers
        outcomes = sum(hasattr(e, "result") or hasattr(e, "failure") for e in events)
        journal.append([codec.dumps([codec.entry(e) for e in events])], outcomes=outcomes)
        self.told.doubtful -= answers
        self.told.answers |= answers
        self.unsynced |= answers

    def synced(self) -> None:
        self.told.synced |= self.unsynced

    def asked(self, row_id, digest):
        return rows.asked(row_id, digest=digest, invocation=self.name)

    def tried(self, row_id, digest):
        if self.chance.random() < 0.2:
            return rows.tried(row_id, invocation=self.name, usage=rows.usage(9), fault=Fault.MAYBE)
        return None

    def outcome(self, row_id, digest):
        fields = {"digest": digest, "invocation": self.name, "text": f"{row_id} {digest}"}
        if self.chance.random() < 0.25:
            attempt = Attempt(fault=Fault.REFUSED, code="server_error", usage=rows.usage(6))
            del fields["text"]
            return rows.failed(row_id, attempt=attempt, **fields)
        return rows.completed(row_id, response_id=f"{self.name}/{row_id}", **fields)


def is_answered(history, result) -> bool:
    class Row:
        id, row_digest, former_digests = result.id, result.row_digest, ()

    return history.is_answered(Row)


def look(root: Path, told: Told, *, lost_unsynced=False, boot="b") -> Found:
    """Let an invocation come that asks nothing, and look at what it found."""
    Night(root, Quick(), told, "look", boot=boot).run({})
    tables = read_tables(root)
    assert [row["id"] for row in tables["failures"]] == [row["id"] for row in tables["failed"]]
    return audit(tables, told, lost_unsynced=lost_unsynced)


def audit(tables: dict[str, list], told: Told, *, lost_unsynced=False) -> Found:
    """Hold the tables against what was told: each answer once, whole, and none of them gone."""
    answers = tables["results"] + tables["superseded"]
    counts = Counter(row["response_id"] for row in answers)
    ids = Counter(row["id"] for row in tables["results"] + tables["failures"])
    known = told.answers | told.doubtful
    return Found(
        lost=(told.synced if lost_unsynced else told.answers) - counts.keys(),
        torn=[
            row["response_id"]
            for row in answers
            if row["response_id"] not in known
            or not row["response_id"].endswith("/" + row["id"])
            or row["text"] != f"{row['id']} {row['row_digest']}"
        ],
        twice=[name for name, count in (counts + ids).items() if count > 1],
    )


NOTHING_WRONG = Found(set(), [], [])


def read_tables(root: Path) -> dict[str, list]:
    layout = Layout(root=root)
    tables = {}
    for table in TABLES:
        parts = [read_part(layout.part(table, n)).to_pylist() for n in layout.parts(table)]
        tables[table] = [row for part in parts for row in part]
    return tables


def check(root: Path, told: Told, wishes: dict[str, str], *, lost_unsynced=False) -> dict:
    """Raise unless the tables say what happened; return what they say."""
    layout = Layout(root=root)
    tables = read_tables(root)
    assert audit(tables, told, lost_unsynced=lost_unsynced) == NOTHING_WRONG
    ids = [row["id"] for row in tables["results"] + tables["failures"]]
    assert sorted(ids) == sorted(wishes), "every row stands in exactly one table"
    newest = {row["id"]: row["row_digest"] for row in tables["results"]}
    assert newest.items() <= wishes.items(), "an answer to another question stands as the row's"
    assert [r["id"] for r in tables["failures"]] == [r["id"] for r in tables["failed"]]
    usage = read_part(root / "usage.parquet").to_pylist()
    answers = tables["results"] + tables["superseded"]
    total, wasted = (sum(row[n] for row in usage) for n in ("total_tokens", "wasted_tokens"))
    assert total == wasted + sum(row["total_tokens"] for row in answers)
    assert sum(row["answered"] for row in usage) == len(answers)
    assert not layout.segments()
    assert len(layout.commit_numbers()) == 1
    assert not list(root.rglob("*.tmp"))
    return {**tables, "usage": usage}


def quiet(root: Path, told: Told, wishes: dict[str, str], name: str, **more) -> None:
    """An invocation that nothing disturbs and in which every row is answered."""
    night = Night(root, Quick(), told, name, **more)
    night.chance = AllGood()
    night.run(wishes)


class AllGood:
    """Chance that never brings a fault."""

    def random(self) -> float:
        return 0.99
