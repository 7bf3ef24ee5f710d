"""What stands where in a run's folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vbatch.sink.storage import ASIDE, HIDDEN, PROBE, reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT_VERSION = 1
"""Of everything in a run's folder. An older run opens, a newer one is refused."""

Table = Literal["results", "failures", "superseded", "failed"]
"""``failed`` is ``failures`` with what picking up needs, inside ``.vbatch``."""

TABLES: tuple[Table, ...] = ("superseded", "results", "failures", "failed")
"""In the order in which a commit puts them; a public table before its private twin."""

OURS = ("results", "failures", "superseded", "usage.parquet", "run.json", "README.md")
"""Names that only a run may bear, in the folder where vbatch writes."""

_PART = re.compile(r"part-(\d{6,})\.parquet")
_SEGMENT = re.compile(r"(\d{6,})\.seg")
_COMMIT = re.compile(r"(\d{6,})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths of one run."""

    root: Path

    @property
    def hidden(self) -> Path:
        """Journal, lock, job and profile as they were: the owner's only."""
        return self.root / HIDDEN

    @property
    def journal(self) -> Path:
        """Folder of segments."""
        return self.hidden / "journal"

    @property
    def commits(self) -> Path:
        """Folder of commit records."""
        return self.hidden / "commits"

    @property
    def lock(self) -> Path:
        """Held by the process that works on the run."""
        return self.hidden / "lock"

    @property
    def reserve(self) -> Path:
        """Room kept for answers on their way when the disk is full."""
        return self.journal / "reserve"

    @property
    def run_json(self) -> Path:
        """State and counts, for people and tools."""
        return self.root / "run.json"

    def table(self, table: Table) -> Path:
        """Folder of a table's parts."""
        return (self.hidden if table == "failed" else self.root) / table

    def part(self, table: Table, number: int) -> Path:
        """One part; 0 is the file of a table without rows."""
        return self.table(table) / f"part-{number:06d}.parquet"

    def segment(self, number: int) -> Path:
        """One segment of the journal."""
        return self.journal / f"{number:06d}.seg"

    def commit(self, number: int) -> Path:
        """The record of commit ``number``."""
        return self.commits / f"{number:06d}.json"

    def parts(self, table: Table) -> list[int]:
        """Numbers of the parts on disk, ascending."""
        return _numbers(self.table(table), _PART)

    def segments(self) -> list[int]:
        """Numbers of the segments on disk, ascending."""
        return _numbers(self.journal, _SEGMENT)

    def commit_numbers(self) -> list[int]:
        """Numbers of the commit records on disk, ascending."""
        return _numbers(self.commits, _COMMIT)

    def folders(self) -> Iterator[Path]:
        """Every folder that files of a run are put into."""
        yield from (self.root, self.hidden, self.journal, self.commits)
        yield from (self.table(table) for table in TABLES)

    def unfinished(self) -> Iterator[Path]:
        """What a kill left aside: in folders that people look into, only under names of ours."""
        for folder in self.folders():
            ours = HIDDEN in folder.relative_to(self.root).parts
            for path in folder.iterdir() if folder.is_dir() else ():
                name, aside = path.name.removesuffix(ASIDE), path.name.endswith(ASIDE)
                named = name in OURS or (folder != self.root and _PART.fullmatch(name))
                if name.startswith(PROBE) or (aside and (ours or named)):
                    yield path


def _numbers(folder: Path, pattern: re.Pattern[str]) -> list[int]:
    with reading(folder):
        try:
            paths = list(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
    matches = (pattern.fullmatch(path.name) for path in paths)
    return sorted(int(match[1]) for match in matches if match)
