"""One run under test: its manifest, which may grow, its job, and what it came to."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

import vbatch
from tests.crash.books import answers, delivered
from tests.crash.processes import wait_until

if TYPE_CHECKING:
    from tests.crash.processes import Process

IN_FLIGHT = 32
SEGMENT = 25
"""Outcomes after which these runs roll their journal."""


class Bench:
    """Runs of one job in processes of their own, against one endpoint.

    ``tables`` adds to the job file; the manifest is ``kind`` ("jsonl" or "parquet"), its prompts
    are ``padding`` characters longer than they need be. The run lies in ``disk``.
    """

    def __init__(
        self, workshop, nursery, server, *, rows, kind="jsonl", padding=0, disk=None, **tables
    ) -> None:
        self.server = server
        self.folder = workshop.folder
        self.run = (disk or self.folder) / "run"
        self._noise = random.Random(1).randbytes(rows * padding).hex()
        self._padding = padding
        self._workshop = workshop
        self._nursery = nursery
        self._kind = kind
        for number, color in enumerate(("teal", "gold", "navy")):
            workshop.picture(f"{number}.jpg", color)
        self.grow(rows)
        limits = {"max_in_flight": IN_FLIGHT, **tables.pop("limits", {})}
        self.job = workshop.job(server.base_url, limits=limits, **tables)
        text = self.job.read_text().replace('output = "run"', f'output = "{self.run}"')
        self.job.write_text(text.replace("manifest.jsonl", f"manifest.{kind}"))

    def grow(self, rows: int) -> None:
        """Give the manifest this many rows; those it has stay what they are."""
        self.rows = rows
        made = [
            {
                "id": f"r{n}",
                "image": f"{n % 3}.jpg",
                "prompt": f"row {n} {self._noise[n * self._padding :][: self._padding]}".strip(),
                "label": f"label {n % 7}",
                "n": n,
            }
            for n in range(rows)
        ]
        if self._kind == "parquet":
            pq.write_table(pa.Table.from_pylist(made), self.folder / "aside")
            (self.folder / "aside").rename(self.folder / "manifest.parquet")
        else:
            self._workshop.manifest(made)

    @property
    def ids(self) -> set[str]:
        return {f"r{n}" for n in range(self.rows)}

    def go(self, *words, segment=SEGMENT, **pranks) -> Process:
        """Start ``vbatch run`` on the job."""
        pranks = {"short_segments": {"outcomes": segment}, **pranks}
        return self._nursery.fork("run", self.job, *words, cwd=self.folder, **pranks)

    def go_on_to_the_end(self) -> Process:
        """Give the same command until it has nothing left to ask, as every night does."""
        for _ in range(5):
            process = self.go()
            if process.wait() != 3:  # rows that failed are asked again
                break
        assert process.code == 0, process.err
        return process

    def undisturbed(self, server=None) -> list[dict]:
        """The answers of another run of the same job, to which nothing happens."""
        address = f"endpoint.base_url={(server or self.server).base_url}"
        process = self.go("-s", "output=calm", "-s", address)
        assert process.wait() == 0, process.err
        return answers(self.folder / "calm")

    def usage(self, name: str) -> int:
        """The sum over all invocations of one column of usage."""
        return sum(row[name] or 0 for row in vbatch.open_run(self.run).usage().to_pylist())

    def wait_for_moment(self, process, chance) -> None:
        """Wait for a random moment while it starts, while it asks, or while it comes to its end."""
        phase = chance.choice(("start", "ask", "ask", "end"))
        if phase == "ask":
            before = self.server.sums["requests"]
            self.wait_for_requests(before + chance.randrange(1, 80), process)
        elif phase == "end":
            wait_until(lambda: self.ids <= {*delivered(self.server.entries)} or process.ended)
        time.sleep(chance.random() * 0.08)

    def wait_for_requests(self, count: int, process) -> None:
        """Wait until the endpoint was asked so often, in all, or the process has ended."""
        wait_until(lambda: self.server.sums["requests"] >= count or process.ended)
