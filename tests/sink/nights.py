"""An invocation from its first look to its last word, one step after the other on one thread.

What the engine would do is done plainly: rows that are not answered are asked, some fail, some are
answered again. So a test can kill it at any step and know what must be there afterwards.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

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


class Told:
    """What invocations did, as somebody outside saw it."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        """Row id by response id, of every answer whose append returned."""
        self.synced: set[str] = set()
        """Response ids whose sync returned."""
        self.doubtful: set[str] = set()
        """Response ids whose append did not return."""


class Night:
    """One invocation; ``wishes`` are row id → digest, ``again`` ids asked though answered."""

    def __init__(self, root: Path, storage, told: Told, name: str, *, boot="b", seed=0) -> None:
        self.layout = Layout(root=root)
        self.storage = storage
        self.told = told
        self.name = name
        self.boot = boot
        self.chance = random.Random(f"{seed}-{name}")
        self.unsynced: set[str] = set()

    def run(self, wishes: dict[str, str], again: frozenset[str] = frozenset()) -> None:
        books = self.begin()
        history = History(self.layout, books.commit, books.index)
        to_do = []
        for row_id, digest in wishes.items():
            row = rows.completed(row_id, digest=digest).result
            if row_id in again or not is_answered(history, row):
                to_do.append((row_id, digest))
        journal = Journal(
            self.layout,
            number=books.commit.n + 1,
            boot=self.boot,
            clock=rows.Still(),
            storage=self.storage,
        )
        self.append(journal, list(books.commit.tallies.abandoned_asks()))
        waiting = []
        for start in range(0, len(to_do), IN_FLIGHT):
            some = to_do[start : start + IN_FLIGHT]
            self.append(journal, [self.asked(*row) for row in some])
            self.append(journal, [e for row in some if (e := self.tried(*row))])
            self.append(journal, [self.outcome(*row) for row in some])
            if self.chance.random() < 0.3:
                journal.sync()
                self.synced()
            if journal.due(ROLLING):
                waiting.append(journal.roll())
                self.synced()
            if waiting and self.chance.random() < 0.7:
                books.commit_segment(waiting.pop(0))
        waiting.append(journal.seal())
        self.synced()
        for closed in waiting:
            books.commit_segment(closed)
        books.tidy()
        books.place_empty_tables()
        views.put_usage(self.storage, self.layout, books.commit.tallies.closed())

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

    def append(self, journal: Journal, events: list) -> None:
        if not events:
            return
        answers = {
            e.result.completion.response_id: e.result.id for e in events if hasattr(e, "result")
        }
        self.told.doubtful |= answers.keys()
        outcomes = sum(hasattr(e, "result") or hasattr(e, "failure") for e in events)
        journal.append([codec.dumps([codec.entry(e) for e in events])], outcomes=outcomes)
        self.told.doubtful -= answers.keys()
        self.told.answers |= answers
        self.unsynced |= answers.keys()

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


def recovered(root: Path, told: Told, *, lost_unsynced=False, boot="b") -> None:
    """Let an invocation come that asks nothing, and look at what it found."""
    Night(root, Quick(), told, "look", boot=boot).run({})
    tables = read_tables(root)
    ids = Counter(row["id"] for row in tables["results"] + tables["failures"])
    assert max(ids.values(), default=1) == 1, "a row stands twice"
    assert [row["id"] for row in tables["failures"]] == [row["id"] for row in tables["failed"]]
    found = {row["response_id"] for row in tables["results"] + tables["superseded"]}
    assert (told.synced if lost_unsynced else told.answers.keys()) <= found


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
    answers = tables["results"] + tables["superseded"]
    found = Counter(row["response_id"] for row in answers)
    assert max(found.values(), default=1) == 1, "an answer stands twice"
    must = told.synced if lost_unsynced else told.answers.keys()
    assert must <= found.keys(), "a recorded answer is lost"
    assert found.keys() <= told.answers.keys() | told.doubtful, "an answer nobody gave"
    for row in answers:
        assert row["response_id"].endswith("/" + row["id"])
        assert row["text"] == f"{row['id']} {row['row_digest']}"
    ids = [row["id"] for row in tables["results"] + tables["failures"]]
    assert sorted(ids) == sorted(wishes), "every row stands in exactly one table"
    newest = {row["id"]: row["row_digest"] for row in tables["results"]}
    assert newest.items() <= wishes.items(), "an answer to another question stands as the row's"
    assert [r["id"] for r in tables["failures"]] == [r["id"] for r in tables["failed"]]
    usage = read_part(root / "usage.parquet").to_pylist()
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
