"""Segments become parts: commit, recover, tidy. One thread at a time.

Part number = segment number. Among parts the highest number wins; a part counts once a commit
names it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from vbatch.errors import Corrupt
from vbatch.sink import segments, tables
from vbatch.sink.commits import COMMITTED, Commit, newest_commit, put_commit
from vbatch.sink.index import Index
from vbatch.sink.layout import TABLES, Layout, Table
from vbatch.sink.parts import checksum, put_table, read_part, read_rows, texts
from vbatch.sink.replay import Replay
from vbatch.sink.storage import Storage, make_folder, reading, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vbatch.sink.journal import Closed
    from vbatch.sink.schemas import Schemas

_DIGEST: dict[Table, str] = {"results": "row_digest", "failed": "vbatch.row_digest"}


class Books:
    """The tables of one run and the commit record that says what counts.

    ``schemas`` may be set later, but before the first row is committed. ``commit`` is where the
    run stands: a value, so that other threads may look at it.
    """

    def __init__(self, layout: Layout, storage: Storage, schemas: Schemas | None) -> None:
        self._layout = layout
        self._storage = storage
        self.schemas = schemas
        self.commit = newest_commit(layout)
        self._index: Index | None = None

    @property
    def index(self) -> Index:
        """Where each id stands in the committed parts; read when it is first asked for."""
        if self._index is None:
            self._index = Index()
            self._index.load(self._standings())
        return self._index

    def prepare(self) -> None:
        """Do beforehand what the first commit would have to wait for."""
        self.place_empty_tables()
        _ = self.index

    def note_power_cut(self) -> None:
        """From the next commit on, sums are "at least": the machine stopped under a run."""
        self.commit = replace(self.commit, power_cut=True)

    def commit_segment(self, closed: Closed) -> None:
        """Make parts of a closed segment, and remove it.

        Can be done again after a kill, and after an error: what is committed is not counted again.
        """
        if closed.number > self.commit.n:
            self._commit(closed)
        with storage_errors(self._layout.journal):
            self._storage.remove(self._layout.segment(closed.number))
        pa.default_memory_pool().release_unused()  # else the next peak stands on this one

    def _commit(self, closed: Closed) -> None:
        n = closed.number
        if n != self.commit.n + 1:  # a commit says of every segment up to its own that it is in it
            raise Corrupt(
                f"{self._layout.segment(n)} cannot be committed before segment "
                f"{self.commit.n + 1}. Run the same command again: nothing recorded is lost"
            )
        tallies = self.commit.tallies.copy()
        replay = Replay(tallies=tallies, index=self.index, schemas=self._known_schemas())
        for entries, size_bytes in segments.read_entries(self._layout.segment(n), closed.end):
            replay.take(entries, size_bytes)
        folded = replay.folded()
        gone = [folded.superseded, *self._displaced_answers(folded.displaced)]
        commit = replace(
            self.commit, n=n, tallies=tallies, dirty=self.commit.dirty | folded.displaced.keys()
        )
        commit = self._put(commit, "superseded", pa.concat_tables(gone))
        commit = self._put(commit, "results", folded.results)
        commit = self._put(commit, "failed", folded.failed)
        put_commit(self._storage, self._layout, commit)
        self.commit = commit
        self._enter("results", n, folded.results)
        self._enter("failed", -n, folded.failed)

    def tidy(self) -> None:
        """Rewrite parts without the ids that a higher number holds."""
        if not self.commit.dirty:
            return
        commit = self.commit
        for place in sorted(commit.dirty):
            table: Table = "results" if place > 0 else "failed"
            if abs(place) in commit.parts[table] and not self._rewrite(table, place):
                commit = commit.without_part(table, abs(place))
        sums = {number: sums[-1:] for number, sums in self.commit.sums.items()}
        commit = replace(commit, dirty=frozenset(), sums=sums)
        put_commit(self._storage, self._layout, commit)
        self.commit = commit
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove what a kill left behind: files aside, and parts that no commit names.

        Raises ``Corrupt``, and removes nothing, where a part could not be made again.
        """
        with storage_errors(self._layout.root):
            leftovers = [*self._layout.unfinished(), *self._unnamed_parts()]
            for path in leftovers:
                self._storage.remove(path)

    def _unnamed_parts(self) -> Iterator[Path]:
        live = self._layout.segments()
        for table in TABLES:
            named = self.commit.parts["failed" if table == "failures" else table]
            for number in self._layout.parts(table):
                path = self._layout.part(table, number)
                if number > self.commit.n and number not in live:
                    raise Corrupt(
                        f"{path} is there, but no record in {self._layout.commits} names it, and "
                        f"{self._layout.segment(number)}, of which it was made, is gone. Nothing "
                        "was changed; restore them from a copy, or start over with --fresh"
                    )
                if number and number not in named:
                    yield path

    def check_parts(self) -> None:
        """Raise ``Corrupt`` if a part that the commit names is gone, or one of ours has changed.

        What is only a view is mended.
        """
        if any(self.commit.parts.values()):
            self._known_schemas()
        for table in COMMITTED:
            there = self._layout.parts(table)
            for number in self.commit.parts[table]:
                if number not in there:
                    raise Corrupt(
                        f"{self._layout.part(table, number)} is missing: its rows are paid for. "
                        "Restore it from a copy, or start over with --fresh"
                    )
        for number, sums in self.commit.sums.items():
            path = self._layout.part("failed", number)
            with reading(path):
                if checksum(path) not in sums:
                    raise ValueError("it is not as it was written")
        shown = self._layout.parts("failures")
        for number in self.commit.parts["failed"]:
            if number not in shown:
                self._show_failures(number, read_part(self._layout.part("failed", number)))

    def place_empty_tables(self) -> None:
        """A table without rows is one file with the whole schema, until its first part comes."""
        schemas = self._known_schemas()
        names: tuple[Table, ...] = ("results", "failures")
        for table in names:
            empty = self._layout.part(table, 0)
            if self.commit.parts["failed" if table == "failures" else table]:
                with storage_errors(empty):
                    self._storage.remove(empty)
            else:
                put_table(self._storage, empty, schemas.of(table).empty_table())

    def _known_schemas(self) -> Schemas:
        if self.schemas is None:
            raise Corrupt(
                f"{self._layout.hidden / 'kept.json'} is missing, and the run has rows. "
                "Restore it from a copy, or start over with --fresh"
            )
        return self.schemas

    def _put(self, commit: Commit, table: Table, rows: pa.Table) -> Commit:
        """Put part ``commit.n``; without rows there is no part, and a leftover is removed."""
        n = commit.n
        if rows.num_rows == 0:
            with storage_errors(self._layout.table(table)):
                if table == "failed":
                    self._storage.remove(self._layout.part("failures", n))
                self._storage.remove(self._layout.part(table, n))
            return commit
        if table == "failed":
            self._show_failures(n, rows)
        make_folder(self._storage, self._layout.table(table))
        sums: list[int] = []
        announce = sums.append if table == "failed" else None
        put_table(self._storage, self._layout.part(table, n), rows, announce=announce)
        if table == "results":
            with storage_errors(self._layout.table(table)):
                self._storage.remove(self._layout.part(table, 0))
        commit = commit.with_part(table, n)
        return commit.with_sums(n, *sums) if sums else commit

    def _show_failures(self, number: int, rows: pa.Table) -> None:
        shown = tables.public(rows, self._known_schemas())
        put_table(self._storage, self._layout.part("failures", number), shown)
        with storage_errors(self._layout.table("failures")):
            self._storage.remove(self._layout.part("failures", 0))

    def _displaced_answers(self, displaced: dict[int, list[str]]) -> Iterator[pa.Table]:
        schema = self._known_schemas().superseded
        for place, ids in sorted(displaced.items()):
            if place > 0:
                rows = read_rows(self._layout.part("results", place), ids)
                yield rows.cast(schema)

    def _rewrite(self, table: Table, place: int) -> int:
        """Rewrite a part without its stale rows, public twin first; return how many rows stay."""
        number = abs(place)
        rows = read_part(self._layout.part(table, number))
        stale = self._stale(rows, place)
        if not stale:
            return int(rows.num_rows)
        import pyarrow.compute as pc  # noqa: PLC0415 - 9 MB that most runs never need

        stays = rows.filter(pc.invert(pc.is_in(rows["id"], value_set=pa.array(stale, pa.string()))))
        if stays.num_rows:
            announce = None
            if table == "failed":
                self._show_failures(number, stays)
                announce = partial(self._expect, number)
            put_table(self._storage, self._layout.part(table, number), stays, announce=announce)
        return int(stays.num_rows)

    def _expect(self, number: int, checksum: int) -> None:
        """From here on a part of failed may be the rewritten one; without a sum it may be any."""
        before = self.commit.sums.get(number)
        if before:
            self.commit = self.commit.with_sums(number, *before, checksum)
            put_commit(self._storage, self._layout, self.commit)

    def _stale(self, rows: pa.Table, place: int) -> list[str]:
        """Ids that truly stand in a higher part: the index is only a hash."""
        ids = list(texts(rows["id"]))
        elsewhere: dict[int, list[str]] = {}
        for row_id, found in zip(ids, self.index.find(ids, ids)[0], strict=True):
            if found != place:
                elsewhere.setdefault(found, []).append(row_id)
        stale: list[str] = []
        for found, candidates in elsewhere.items():
            there = self._layout.part("results" if found > 0 else "failed", abs(found))
            truly = set(texts(read_part(there, ["id"])["id"]))
            stale += [row_id for row_id in candidates if row_id in truly]
        return stale

    def _standings(self) -> Iterator[tuple[Sequence[str], Sequence[str], int]]:
        """Ids, digests and place of each part, lower numbers first."""
        names: tuple[Table, ...] = ("results", "failed")
        parts = [(n, table) for table in names for n in self.commit.parts[table]]
        for number, table in sorted(parts):
            columns = read_part(self._layout.part(table, number), ["id", _DIGEST[table]])
            place = number if table == "results" else -number
            yield list(texts(columns["id"])), list(texts(columns[_DIGEST[table]])), place

    def _enter(self, table: Table, place: int, rows: pa.Table) -> None:
        if rows.num_rows:
            self.index.add(texts(rows["id"]), texts(rows[_DIGEST[table]]), place)
