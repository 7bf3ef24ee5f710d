"""Disks that are full, limited, read-only or dying: the run stops at once and loses nothing."""

from __future__ import annotations

import re

import pyarrow.parquet as pq
import pytest

from tests.crash.bench import Bench
from tests.crash.books import answers, delivered, settle
from tests.evidence import share

ROWS = 100
PADDING = 6_400
IN_FLIGHT = 8
"""As many answers fit into the smallest reserve."""
GRACE_S = 1.0
"""What a request sent before the error may need to arrive on a busy machine."""
SIZES = range(110, 590, share(8, 60))
TROUBLE = re.compile(r"No space left|File too large|Input/output error|Read-only|cannot be read")


@pytest.fixture
def bench_on(nursery, endpoint, workshop):
    """A run on a given disk, of rows that are long enough to fill it."""

    def make(disk=None, in_flight=IN_FLIGHT):
        server = endpoint(dialect="openai", latency_s=0.02)
        limits = {"max_in_flight": in_flight}
        return Bench(
            workshop, nursery, server, rows=ROWS, padding=PADDING, disk=disk, limits=limits
        )

    return make


def stopped_by_the_disk(bench, **pranks) -> int:
    """Run into the disk; return how many requests came after the run had learnt of it."""
    seen = bench.folder / "seen"
    process = bench.go(witness={"path": str(seen)}, **pranks)
    assert process.wait() == 6, process.err
    assert TROUBLE.search(process.last_line), process.err
    assert "Make room" in process.last_line
    assert "Traceback" not in process.err
    settle(bench.server)
    if not seen.exists():
        return bench.server.sums["requests"]
    assert "next: vbatch run" in process.last_line
    stopped_at = float(seen.read_text())
    return sum(entry.at > stopped_at + GRACE_S for entry in bench.server.entries)


def check_goes_on(bench) -> set[str]:
    """With room again the same command ends; return what is lost. Nothing was paid for twice."""
    bench.go_on_to_the_end()
    settle(bench.server)
    found = [row["id"] for row in answers(bench.run)]
    assert found == sorted({*found})
    assert sorted(delivered(bench.server.entries)) == found
    assert bench.usage("possibly_billed") == 0
    return bench.ids - {*found}


def prove(evidence, after: int, lost: set[str]) -> None:
    assert after == 0
    assert not lost
    evidence.add("disk full", cases=1, requests_after=after, lost=len(lost))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_a_disk_that_fills_up_stops_the_run_at_once(bench_on, small_disks, size, evidence):
    disk = small_disks.mount(size=size)
    bench = bench_on(disk)

    after = stopped_by_the_disk(bench)

    small_disks.remount(disk, size=65_536)
    lost = check_goes_on(bench)
    prove(evidence, after, lost)


@pytest.mark.slow
def test_there_is_room_for_more_answers_than_the_reserve_holds(bench_on, small_disks, evidence):
    disk = small_disks.mount(size=600)
    bench = bench_on(disk, in_flight=64)

    after = stopped_by_the_disk(bench)

    small_disks.remount(disk, size=65_536)
    lost = check_goes_on(bench)
    prove(evidence, after, lost)


@pytest.mark.slow
@pytest.mark.parametrize("inodes", range(6, 22, share(1, 8)))
def test_a_disk_out_of_inodes_stops_the_run_at_once(bench_on, small_disks, inodes, evidence):
    disk = small_disks.mount(size=65_536, nr_inodes=inodes)
    bench = bench_on(disk)

    after = stopped_by_the_disk(bench)

    small_disks.remount(disk, nr_inodes=1_000)
    lost = check_goes_on(bench)
    prove(evidence, after, lost)


@pytest.mark.slow
@pytest.mark.parametrize("left_kib", range(0, 72, share(4, 24)))
def test_a_disk_that_fills_up_in_a_commit_leaves_no_torn_part(
    bench_on,
    small_disks,
    left_kib,
    evidence,
):
    disk = small_disks.mount(size=16_384)
    bench = bench_on(disk)
    pranks = {"full_in_commit": {"disk": str(disk), "left_bytes": left_kib << 10}}

    after = stopped_by_the_disk(bench, **pranks)

    for part in (bench.run / "results").glob("part-000001*"):
        assert pq.read_table(part).num_rows, "whole: what failed came after it"
    (disk / "ballast").unlink()
    lost = check_goes_on(bench)
    prove(evidence, after, lost)


@pytest.mark.slow
@pytest.mark.parametrize("limit_kib", range(65, 110, share(5, 15)))
def test_a_limit_on_file_size_stops_the_run_at_once(bench_on, limit_kib, evidence):
    bench = bench_on()

    after = stopped_by_the_disk(bench, small_files={"size_bytes": limit_kib << 10})

    lost = check_goes_on(bench)
    prove(evidence, after, lost)


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, 10, share(1, 4)))
def test_a_sync_that_failed_is_never_trusted_again(bench_on, at, evidence):
    bench = bench_on()

    after = stopped_by_the_disk(bench, losing_disk={"at": at})

    lost = check_goes_on(bench)
    prove(evidence, after, lost)


@pytest.mark.slow
@pytest.mark.parametrize("begun", [False, True])
def test_a_disk_that_takes_nothing_is_found_before_anything_is_asked(
    bench_on,
    small_disks,
    begun,
    evidence,
):
    disk = small_disks.mount(size=65_536)
    bench = bench_on(disk)
    if begun:
        assert bench.go("--limit", "30").wait() == 0
    asked_before = bench.server.sums["requests"]
    small_disks.remount(disk, "ro")

    stopped_by_the_disk(bench)

    after = bench.server.sums["requests"] - asked_before
    small_disks.remount(disk, "rw")
    lost = check_goes_on(bench)
    prove(evidence, after, lost)
