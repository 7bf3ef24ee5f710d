"""A run that is worked on one step at a time, with a ledger beside it that says what must be so."""

from __future__ import annotations

import errno
import os
from collections import Counter
from contextlib import contextmanager

from tests.crash import ledger
from tests.crash.nights import read_tables
from tests.crash.power import Unplugged
from tests.crash.stepwise import Killed
from tests.sink import rows
from vbatch.errors import Fault, StorageFull
from vbatch.records import Attempt
from vbatch.sink import codec, views
from vbatch.sink.books import Books
from vbatch.sink.commits import newest_commit
from vbatch.sink.history import History
from vbatch.sink.journal import Journal
from vbatch.sink.kept import keep, read_kept
from vbatch.sink.layout import Layout
from vbatch.sink.premises import make_folders
from vbatch.sink.reader import open_run
from vbatch.sink.recovery import recover
from vbatch.sink.schemas import schemas_of
from vbatch.state import sum_of

SUMS = ("requests", "answered", "failed", "possibly_billed", "total_tokens")


class Disk(Unplugged):
    """While it is ``full`` nothing new finds room; what was reserved can still be written over.

    So little is reserved that what has to be written again may not fit.
    """

    full = False
    broke = False
    """Whether a sync has failed in this invocation."""
    reserve_bytes = 512

    def create(self, path):
        self._room(needed=self.full)
        return super().create(path)

    def write(self, fd, data, at):
        self._room(needed=self.full and at + len(data) > os.fstat(fd).st_size)
        return super().write(fd, data, at)

    def sync(self, fd):
        self.broke = self.broke or self.bad
        super().sync(fd)

    def _room(self, *, needed: bool) -> None:
        if needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Desk:
    """Works on one run. What is recorded goes into the ledger when ``append`` has returned."""

    def __init__(self, folder, book: ledger.Ledger) -> None:
        self.disk = Disk(folder)
        self.root = folder / "run"
        self.layout = Layout(root=self.root)
        self.ledger = book
        self.boot = self.invocation = 0
        self.digests: Counter[str] = Counter()
        self.journal: Journal | None = None
        self.committed = 0
        self.had_power_cut = False

    @property
    def is_open(self) -> bool:
        return self.journal is not None

    @property
    def name(self) -> str:
        return f"i{self.invocation}"

    # An invocation begins and ends

    def open(self) -> None:
        """Take the run up again; on a full disk it may have to be left as it is."""
        self.invocation += 1
        self.disk.broke = False
        with self._storage_may_fail():
            self._recover()
            self.journal = Journal(
                self.layout,
                number=self.books.commit.n + 1,
                boot=f"b{self.boot}",
                clock=rows.Still(),
                storage=self.disk,
            )
            for event in list(self.books.commit.tallies.abandoned_asks()):
                details = {"digest": event.row_digest, "invocation": event.invocation}
                self._append(event, "abandon", event.id, **details)

    def _recover(self) -> None:
        make_folders(self.layout, self.disk)
        kept = read_kept(self.layout)
        if kept is None:
            kept = rows.kept()
            keep(kept, self.layout, self.disk)
        self.books = Books(self.layout, self.disk, schemas_of(kept))
        recover(self.layout, self.disk, self.books, boot=f"b{self.boot}")
        self._accept_what_is_there()
        self.history = History(self.layout, self.books.commit, self.books.index)
        for row in {row for _, row, _ in self.ledger.log}:
            past = self.history.past(row, self.digest(row))
            assert (past.attempts, past.possibly_billed) == self._spent_before(row)
        self.own: dict[str, list[int]] = {}
        self.flying: dict[str, str] = {}
        self.done: set[str] = set()
        self.waiting: list = []
        self.ends: list[int] = []

    def _accept_what_is_there(self) -> None:
        """The run is at the log's end; after a power cut not before what was synced."""
        found = self._books_on_disk()
        first = self.ledger.synced if self.had_power_cut else len(self.ledger.log)
        self.had_power_cut = False
        places = range(first, len(self.ledger.log) + 1)
        place = max((n for n in places if self.ledger.books(n) == found), default=None)
        assert place is not None, (found, [self.ledger.books(n) for n in places])
        del self.ledger.log[place:]
        self.ledger.synced = self.committed = place

    def _spent_before(self, row: str) -> tuple[int, int]:
        """What the log says, with requests that nobody has said the end of yet."""
        requests, billed = self.ledger.spent(row, self.digest(row))
        still_open = self.books.commit.tallies.open.items()
        return requests, billed + sum(
            name == row and ask.row_digest == self.digest(row) for (_, name), ask in still_open
        )

    def close(self) -> None:
        """The process is gone; what it wrote is still in the cache."""
        if self.journal is not None:
            self.journal.abandon()
        self.journal = None

    def finish(self) -> None:
        if self.journal is None:
            return
        journal, self.journal = self.journal, None
        with self._storage_may_fail():
            self.waiting.append(journal.seal())
            self.ends.append(len(self.ledger.log))
            self.ledger.synced = len(self.ledger.log)
            while self.waiting:
                self._commit()
            self.books.tidy()
            self.books.place_empty_tables()
            views.put_usage(self.disk, self.layout, self.books.commit.tallies.closed())

    def die_at(self, at: int) -> None:
        """End, or begin, and be killed on the way."""
        self.disk.stop_at(at)
        try:
            self.finish()
            self.open()
        except Killed:
            self.journal = None
        finally:
            self.disk.stop_at(None)
        self.close()
        self.open()

    def cut_power(self, chance) -> None:
        self.close()
        self.had_power_cut = True
        self.disk.cut_power(chance)
        self.boot += 1

    def make_room(self) -> None:
        self.disk.full = False
        if not self.is_open:
            self.open()

    # Rows

    def digest(self, row: str) -> str:
        return f"d{self.digests[row]}"

    def change(self, row: str) -> None:
        if row not in self.own and row not in self.flying:
            self.digests[row] += 1

    def ask(self, row: str) -> None:
        if row in self.flying or row in self.done:
            return
        own = self.own.get(row, [0, 0])
        event = rows.asked(row, digest=self.digest(row), invocation=self.name, attempt=own[0] + 1)
        if self._append(event, "ask", row):
            self.own[row] = [own[0] + 1, own[1]]
            self.flying[row] = self.name

    def answer(self, row: str) -> None:
        if row not in self.flying:
            return
        response = f"{self.name}/{row}"
        event = rows.completed(
            row, digest=self.digest(row), invocation=self.name, response_id=response
        )
        if self._append(event, "answer", row, response=response, tokens=15):
            self._is_done(row)

    def fail(self, row: str, *, sent: bool) -> None:
        if row in self.done or sent != (row in self.flying):
            return
        past = self.history.past(row, self.digest(row))
        requests, billed = self.own.get(row, [0, 0])
        took = past.attempts + requests, past.possibly_billed + billed + sent
        attempt = Attempt(fault=Fault.MAYBE, code="timeout", usage=rows.usage(6)) if sent else None
        event = rows.failed(
            row,
            digest=self.digest(row),
            invocation=self.name,
            attempt=attempt,
            attempts=took[0],
            possibly_billed=took[1],
        )
        details = {"ambiguous": True, "tokens": 6} if sent else {}
        if self._append(event, "fail", row, took=took, **details):
            self._is_done(row)

    def try_again(self, row: str, *, ambiguous: bool) -> None:
        if row not in self.flying:
            return
        fault = Fault.MAYBE if ambiguous else Fault.REFUSED
        event = rows.tried(row, invocation=self.name, fault=fault, usage=rows.usage(7))
        if self._append(event, "try", row, ambiguous=ambiguous, tokens=7):
            self.own[row][1] += ambiguous
            del self.flying[row]

    def _is_done(self, row: str) -> None:
        self.flying.pop(row, None)
        self.done.add(row)

    # The journal and the tables

    def sync(self) -> None:
        try:
            self.journal.sync()
        except StorageFull:
            assert self.disk.broke
        else:
            self.ledger.synced = len(self.ledger.log)

    def roll(self) -> None:
        with self._storage_may_fail():
            self.waiting.append(self.journal.roll())
            self.ends.append(len(self.ledger.log))
            self.ledger.synced = len(self.ledger.log)

    def commit(self) -> None:
        if self.waiting:
            with self._storage_may_fail():
                self._commit()

    def _commit(self) -> None:
        self.books.commit_segment(self.waiting[0])
        self.waiting.pop(0)
        self.committed = self.ends.pop(0)

    def tidy(self) -> None:
        with self._storage_may_fail():
            self.books.tidy()

    def look(self) -> None:
        """Somebody reads the run meanwhile: every answer that is committed, each row once."""
        if not self.is_open:
            return
        expected = self.ledger.books(self.committed)
        run = open_run(self.root)
        answers = run.results().select(["id", "response_id"]).to_pylist()
        assert {row["id"]: row["response_id"] for row in answers} == expected.answers
        assert set(run.failures()["id"].to_pylist()) == set(expected.failures)

    def _append(self, event, kind: str, row: str, **details) -> bool:
        """Write it down; on a full disk only what ends a request goes on in the reserve."""
        body = [codec.dumps([codec.entry(event)])]
        try:
            self.journal.append(body)
        except StorageFull:
            if kind == "ask" or not self._fall_back(body):
                return False
        details = {"digest": self.digest(row), "invocation": self.name, **details}
        self.ledger.write(kind, row, **details)
        return True

    def _fall_back(self, body) -> bool:
        """Go on in the reserve; where that fails too, the invocation is over."""
        end = self.journal._now.end
        try:
            closed = self.journal.fall_back()
            self.waiting.append(closed)
            everything = len(self.ledger.log)
            self.ends.append(everything if closed.end == end else self.ledger.synced)
            self.ledger.synced = everything
            self.journal.append(body)
        except StorageFull:
            self.close()
            return False
        return True

    @contextmanager
    def _storage_may_fail(self):
        """A command that the full disk has stopped is over; the next one goes on."""
        try:
            yield
        except StorageFull:
            assert self.disk.full or self.disk.broke
            self.close()

    def _books_on_disk(self) -> ledger.Standing:
        tables = read_tables(self.root)
        commit = newest_commit(self.layout)
        total = sum_of(commit.tallies.by_key.values())
        return ledger.Standing(
            answers={row["id"]: row["response_id"] for row in tables["results"]},
            failures={
                row["id"]: (row["attempts"], row["possibly_billed"]) for row in tables["failures"]
            },
            superseded=Counter(row["response_id"] for row in tables["superseded"]),
            sums=Counter({name: getattr(total, name) for name in SUMS}),
            open=set(commit.tallies.open),
        )
