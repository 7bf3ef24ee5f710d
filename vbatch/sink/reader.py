"""Looking at a run from outside, also while another process works on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from vbatch.errors import Corrupt, Mismatch
from vbatch.sink.kept import check_version, read_json
from vbatch.sink.layout import TABLES, Layout, Table
from vbatch.sink.parts import count_rows, read_part, texts
from vbatch.sink.schemas import FAILURES, RESULTS, USAGE
from vbatch.sink.status import status_of
from vbatch.sink.storage import is_there, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def open_run(path: str | Path) -> Run:
    """A run's tables and state; ``Mismatch`` if there is none or a newer vbatch wrote it.

    Raises ``Corrupt`` if it cannot be read.
    """
    run = Run(Path(path))
    layout = Layout(root=run.path)
    with reading(run.path):
        tables = any(layout.parts(table) for table in TABLES if table != "failed")
        if not tables and not any(map(is_there, (layout.hidden, layout.run_json))):
            raise Mismatch(f"{path} is no run of vbatch: neither results nor run.json are there")
        if is_there(layout.run_json):
            check_version(read_json(layout.run_json), layout.run_json)
    return run


@dataclass(frozen=True, slots=True)
class Run:
    """One run, read afresh at every call and never written. Made by ``open_run``.

    Tables are Arrow tables. They show what was committed: while a run is at work, and after a kill
    until the next command, the newest answers are only in its journal.
    """

    path: Path

    def results(self) -> pa.Table:
        """Answered rows, each id once."""
        return self._current("results", "failures")

    @property
    def answered(self) -> int:
        """How many rows ``results`` has, read from the parts' footers.

        While a run is at work, and after a kill until the next command, displaced rows count too.
        """
        return sum(self._each_part("results", count_rows).values())

    def failures(self) -> pa.Table:
        """Rows that were tried and have no answer, each id once."""
        return self._current("failures", "results")

    def superseded(self) -> pa.Table:
        """Answers that later ones replaced."""
        return _joined(self._parts("superseded"), RESULTS)

    def usage(self) -> pa.Table:
        """Totals: a row per invocation, model and endpoint."""
        path = self.path / "usage.parquet"
        return read_part(path) if path.exists() else USAGE.empty_table()

    def status(self) -> dict[str, Any]:
        """run.json; its ``state`` says killed where it said running and nobody holds the run.

        After a kill, requests that were on their way count as possibly billed. A run that was
        refused before its first request has never begun. While a process has the run and has not
        written run.json yet, ``state`` and ``pid`` are that one's. Of somebody else's run only what
        run.json says can be told.
        """
        return status_of(Layout(root=self.path))

    def _current(self, table: Table, other: Table) -> pa.Table:
        """The rows of ``table`` whose id stands in no higher part, of it or of the other one."""
        import pyarrow.compute as pc  # noqa: PLC0415 - 9 MB that most runs never need

        parts = self._parts(table)
        rivals = self._parts(other, ["id"])
        schema = RESULTS if table == "results" else FAILURES
        ids = [part["id"] for part in [*parts.values(), *rivals.values()]]
        everything = pa.chunked_array([c for i in ids for c in i.chunks], pa.string())
        if pc.count_distinct(everything).as_py() == len(everything):
            return _joined(parts, schema)
        newest: dict[str, int] = {}
        for number, part in sorted([*parts.items(), *rivals.items()], key=lambda pair: pair[0]):
            newest.update(dict.fromkeys(texts(part["id"]), number))
        current = {
            number: part.filter(pa.array([newest[i] == number for i in texts(part["id"])]))
            for number, part in parts.items()
        }
        return _joined(current, schema)

    def _parts(self, table: Table, columns: list[str] | None = None) -> dict[int, pa.Table]:
        return self._each_part(table, lambda path: read_part(path, columns))

    def _each_part(self, table: Table, read: Callable[[Path], T]) -> dict[int, T]:
        """What ``read`` makes of the parts, by number.

        They are listed again if a run at work removed one before we read it.
        """
        layout = Layout(root=self.path)
        numbers = layout.parts(table)
        while True:
            try:
                return {n: read(layout.part(table, n)) for n in numbers}
            except Corrupt:
                listed, numbers = numbers, layout.parts(table)
                if numbers == listed:
                    raise


def _joined(parts: Mapping[int, pa.Table], schema: pa.Schema) -> pa.Table:
    tables = [parts[number] for number in sorted(parts)]
    return pa.concat_tables(tables) if tables else schema.empty_table()
