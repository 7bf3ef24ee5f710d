"""Measures who installs and writes PEERS.md: ``python -m benchmarks.peers [ROUNDS [NAME…]]``."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import whole, workload
from benchmarks.endpoint import serving
from benchmarks.measure import BenchmarkError, PerRow, per_row, spent
from benchmarks.peers.crew import CREW, NotInstalledError, Peer, python_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.endpoint import Endpoint
    from benchmarks.measure import Spent

PAGE = Path(__file__).parents[1] / "PEERS.md"
TREE = Path(__file__).with_name("tree.py")
ROUNDS = 3
DRIVER_S = 300.0
MOST_PER_S = 1e6
"""More is a start-up that took longer with few rows than with many."""
ASKED_BESIDE = 1
"""Requests beyond the rows that are let pass: Curator asks once what its limits are."""

HEAD = """# Beside others

The same rows, the same endpoint in C that answers at once, 64 requests in flight where that can be
set. Rates and CPU (user and system time of all processes) are without start-up: the difference of
two sizes, the median of interleaved rounds. Each is used as its documentation shows
(`peers/drivers`), with an environment of its own, and keeps its answers in memory at most; vbatch
reads and checks the images, keeps a synced journal and writes Parquet. "vbatch" says how many rows
it answers while the other answers one.

| | rows by URL | CPU per row | vbatch | to reach | 160 kB JPEGs | CPU per row | vbatch | to reach |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Rows of one kind: how they are made, and how many a peer and vbatch are asked."""

    bodies: Callable[[Path], Path]
    manifest: Callable[[Path, int], Path]
    theirs: tuple[int, int]
    ours: tuple[int, int]


KINDS = (
    Kind(
        bodies=workload.url_bodies,
        manifest=workload.url_manifest,
        theirs=(200, 2_200),
        ours=whole.URL_SIZES,
    ),
    Kind(
        bodies=workload.photo_bodies,
        manifest=workload.photo_manifest,
        theirs=(100, 1_100),
        ours=whole.PHOTO_SIZES,
    ),
)


@dataclass(slots=True)
class Found:
    """What was measured of one way with one kind of rows; ``why`` it could not be."""

    each: list[PerRow] = field(default_factory=list)
    why: str = ""

    @property
    def lack(self) -> str:
        """Why there is no figure, empty where there is one."""
        return self.why or ("" if self.each else "the machine was too busy to tell")

    @property
    def rate(self) -> float:
        """Rows a second."""
        return median(one.rows_per_s for one in self.each)

    def told(self) -> str:
        """Two cells of the table."""
        cpu_ms = median(one.cpu_us for one in self.each) / 1e3
        return f"{self.rate:,.0f}/s | {cpu_ms:.2f} ms"


def driven(peer: Peer, folder: Path, endpoint: Endpoint, bodies: Path) -> Callable[[int], Spent]:
    """A peer's driver with as many rows as it is called with."""
    place = folder / peer.driver
    place.mkdir(exist_ok=True)
    command = [sys.executable, TREE, str(DRIVER_S), python_of(peer), peer.script]

    def run(rows: int) -> Spent:
        before = endpoint.requests()
        took = spent([*command, endpoint.base_url, bodies, str(rows)], cwd=place)
        asked = endpoint.requests() - before
        if not rows <= asked <= rows + ASKED_BESIDE:
            raise BenchmarkError(f"{asked} requests for {rows} rows")
        return took

    return run


def measured(folder: Path, crew: list[Peer], rounds: int) -> dict[str, list[Found]]:
    """Everything, round by round, by name; vbatch under its own."""
    found = {name: [Found() for _ in KINDS] for name in ("vbatch", *(p.name for p in crew))}
    with serving() as endpoint:
        for _ in range(rounds):
            for number, kind in enumerate(KINDS):
                ours = whole.vbatch(folder, endpoint, kind.manifest)
                _note(found["vbatch"][number], ours, kind.ours)
                bodies = kind.bodies(folder)
                for peer in crew:
                    theirs = driven(peer, folder, endpoint, bodies)
                    _note(found[peer.name][number], theirs, kind.theirs)
    return found


def _note(found: Found, way: Callable[[int], Spent], sizes: tuple[int, int]) -> None:
    """Measure once more, unless it failed before; noise greater than the rows is not counted."""
    if found.why:
        return
    try:
        one = per_row({"": way}, sizes, 1)[""]
    except BenchmarkError as error:
        found.why = str(error).strip().splitlines()[-1]
    else:
        if one.cpu_us > 0 and one.rows_per_s < MOST_PER_S:
            found.each.append(one)


def line(peer: Peer, found: list[Found], ours: list[Found]) -> str:
    """A peer's line of the table."""
    cells = []
    for theirs, own, wanted in zip(found, ours, (peer.by_url, peer.inline), strict=True):
        if theirs.lack or own.lack:
            cells.append(f"left out: {theirs.lack or own.lack} | | |")
        else:
            cells.append(f"{theirs.told()} | **{own.rate / theirs.rate:.1f}** | ≥ {wanted:g}")
    return f"| {peer.name} {version_of(peer)} | {' | '.join(cells)} |"


def installed() -> tuple[list[Peer], list[str]]:
    """Peers that can be measured, and lines of the table for the others."""
    ready, lines = [], []
    for peer in CREW:
        try:
            python_of(peer)
            ready.append(peer)
        except NotInstalledError as error:
            lines.append(f"| {peer.name} | left out: {error} | | | | | | | |")
    return ready, lines


def main(words: list[str]) -> None:
    """Install, measure, print, write."""
    rounds = int(words[0]) if words else ROUNDS
    os.environ["BENCH_KEY"] = "none"
    crew, missing = installed()
    crew = [peer for peer in crew if len(words) < 2 or peer.name in words[1:]]  # noqa: PLR2004
    with tempfile.TemporaryDirectory(prefix="vbatch-bench-") as folder:
        found = measured(Path(folder), crew, rounds)
    ours = found["vbatch"]
    own = " | ".join(f"{one.lack} | | |" if one.lack else f"{one.told()} | |" for one in ours)
    lines = [f"| vbatch | {own} |", *(line(peer, found[peer.name], ours) for peer in crew)]
    where = (
        f"{platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores; "
        f"{rounds} rounds. Again: `make bench-peers`."
    )
    page = HEAD + "\n".join([*lines, *missing]) + f"\n\n{where}\n"
    if len(words) < 2:  # noqa: PLR2004 - some of them are no page
        PAGE.write_text(page, encoding="utf-8")
    print(page)  # noqa: T201 - its output


if __name__ == "__main__":
    main(sys.argv[1:])
