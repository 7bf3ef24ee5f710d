"""The journal alone: ``recording.py FOLDER ROWS AT_ONCE`` records rows as the engine does.

Each row is an intent and an answer, each awaited; one fold in memory is all that is left out of
what the engine does with them. Prints the longest time in ms that a record was not yet synced.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from vbatch.clock import SystemClock
from vbatch.records import Asked, Completed, Completion, Result, Usage
from vbatch.sink.fence import Fenced
from vbatch.sink.journal import Journal, Rolling
from vbatch.sink.layout import Layout
from vbatch.sink.lock import Lock
from vbatch.sink.recorder import Recorder
from vbatch.sink.storage import Storage, make_folder

PAIRS = 1_024
"""Made before the first is recorded, and then taken in turn: what making them costs is not asked.
They are the engine's."""
ANSWER = (
    "A quiet street at dusk, with wet cobblestones, two parked bicycles and a lamp that has just "
    "come on above a green door."
)


class Watched(Storage):
    """A disk on which it is seen how long what was written waits for its sync."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._oldest: float | None = None

    def write(self, fd: int, data: memoryview, at: int) -> int:
        """Write, and note since when something waits."""
        if self._oldest is None:
            self._oldest = time.monotonic()
        return super().write(fd, data, at)

    def sync(self, fd: int) -> None:
        """Sync, and note how long the oldest byte had waited at its end."""
        oldest, self._oldest = self._oldest, None
        super().sync(fd)
        if oldest is not None:
            self.longest_s = max(self.longest_s, time.monotonic() - oldest)


def pairs(number: int) -> list[tuple[Asked, Completed]]:
    """Intents and answers of about 800 bytes a row in the journal."""
    return [(_asked(row), Completed(result=_result(row), model="bench")) for row in range(number)]


def _asked(row: int) -> Asked:
    return Asked(
        id=f"row-{row:08d}",
        row_digest=f"{row:032x}",
        invocation="0123456789ab",
        at=1_700_000_000.25,
        attempt=1,
        model="bench",
        endpoint="http://127.0.0.1:8000/v1",
        images=1,
        image_bytes=163_840,
    )


def _result(row: int) -> Result:
    return Result(
        id=f"row-{row:08d}",
        row=row,
        completion=Completion(
            text=ANSWER,
            finish_reason="stop",
            model="bench",
            response_id=f"chatcmpl-{row:012d}",
            usage=Usage(prompt_tokens=812, completion_tokens=27, total_tokens=839),
        ),
        images=(f"photos/{row:08d}.jpg",),
        image_sha256=(f"{row:064x}",),
        prompt="Describe this picture in one sentence.",
        endpoint="http://127.0.0.1:8000/v1",
        attempts=1,
        latency_s=0.512,
        started_at=1_700_000_000.25,
        finished_at=1_700_000_000.762,
        row_digest=f"{row:032x}",
        job_digest=f"{7:032x}",
        invocation="0123456789ab",
        passthrough={},
    )


async def _answer(recorder: Recorder, todo: Iterator[int], made: list) -> None:
    record = recorder.record
    for row in todo:
        asked, completed = made[row % PAIRS]
        await record(asked)
        await record(completed)


async def main(folder: Path, rows: int, at_once: int) -> None:
    """Record ``rows`` rows, ``at_once`` at a time."""
    layout, clock, disk = Layout(root=folder), SystemClock(), Watched()
    make_folder(disk, layout.journal)
    lock = Lock(layout.lock, clock)
    journal = Journal(
        layout, number=1, boot=lock.holder.boot, clock=clock, storage=Fenced(disk, lock)
    )
    recorder = Recorder(
        journal, lock=lock, clock=clock, rolling=Rolling(), on_closed=lambda _closed: None
    )
    todo, made = iter(range(rows)), pairs(PAIRS)
    await asyncio.gather(*(_answer(recorder, todo, made) for _ in range(at_once)))
    await recorder.close()
    lock.release()
    print(round(disk.longest_s * 1e3))  # noqa: T201 - read by journal.py


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
