"""What the suites promise to reach, and how their counts say whether they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Counts = Mapping[str, float]


@dataclass(frozen=True)
class Claim:
    """``at_least`` and ``none_of`` name counts; ``words`` says what each count is of.

    ``within`` pairs a count with the one that bounds it.
    """

    method: str
    does: str
    tests: str
    words: Mapping[str, str]
    at_least: Mapping[str, int]
    none_of: tuple[str, ...] = ()
    within: Mapping[str, str] = field(default_factory=dict)

    def is_reached(self, counts: Counts) -> bool:
        """Whether all counts are there and reach the figure."""
        return (
            self.words.keys() <= counts.keys()
            and all(counts[name] >= figure for name, figure in self.at_least.items())
            and not any(counts[name] for name in self.none_of)
            and all(counts[name] <= counts[bound] for name, bound in self.within.items())
        )

    def to_reach(self) -> str:
        """The promised figures as words."""
        least = [f"{figure:,} {self.words[name]}" for name, figure in self.at_least.items()]
        none = [f"0 {self.words[name]}" for name in self.none_of]
        bound = [f"{self.words[a]} ≤ {self.words[b]}" for a, b in self.within.items()]
        return ", ".join([*least, *none, *bound])

    def reached(self, counts: Counts) -> str:
        """The counts as words."""
        there = (name for name in self.words if name in counts)
        return ", ".join(f"{counts[name]:,.0f} {self.words[name]}" for name in there)


def _claim(
    method: str, does: str, tests: str, least: tuple[str, str, int], **none_of: str
) -> Claim:
    name, words, figure = least
    return Claim(
        method=method,
        does=does,
        tests=tests,
        words={name: words, **none_of},
        at_least={name: figure},
        none_of=tuple(none_of),
    )


CLAIMS = (
    Claim(
        method="random kill -9",
        does="`kill -9` at random moments of real runs, against the endpoint's own ledger",
        tests="tests/crash/test_kills.py",
        words={
            "kills": "kills",
            "in_commit": "of them within a commit",
            "lost": "answers lost",
            "twice": "twice in the tables",
            "re_asked": "asked again",
            "allowed": "in flight when killed",
        },
        at_least={"kills": 200},
        none_of=("lost", "twice"),
        within={"re_asked": "allowed"},
    ),
    _claim(
        "kill at every write/fsync/rename",
        "`kill -9` at every write, sync and rename of journal and parts, before, after and within",
        "tests/crash/test_every_syscall.py",
        ("points", "points", 300),
        wrong="that went on to other tables than an undisturbed run",
    ),
    _claim(
        "kill at every system call",
        "the same from outside, by `strace --inject`",
        "tests/crash/test_every_syscall.py",
        ("points", "system calls", 100),
        wrong="that went on to other tables",
    ),
    _claim(
        "power cuts",
        "power cuts in a model of the disk: what is not synced is kept, dropped or torn",
        "tests/crash/test_power_cuts.py",
        ("cuts", "cuts", 10_000),
        synced_lost="synced answers lost",
        torn_accepted="torn ones accepted",
    ),
    _claim(
        "kills in the model",
        "up to eight kills in a row at any step, in the model",
        "tests/crash/test_steps.py",
        ("kills", "kills", 3_000),
        lost="answers lost",
        twice="twice in the tables",
    ),
    _claim(
        "damaged bytes",
        "bits flipped in what a run keeps for itself",
        "tests/crash/test_damaged_bytes.py",
        ("flips", "flips", 10_000),
        silent="that changed a table in silence",
    ),
    _claim(
        "failed writes",
        "a disk that fails at every step in turn: full, short writes, EIO, failing renames",
        "tests/crash/test_failed_writes.py",
        ("points", "failures", 500),
        lost="recorded answers lost",
    ),
    _claim(
        "state machine",
        "random nights against a model of rows, answers, usage and kills",
        "tests/crash/test_state_machine.py",
        ("examples", "nights that agree with it", 1_000),
    ),
    _claim(
        "disk full",
        "real disks that fill up, limits on file size, EIO on fsync, read-only disks",
        "tests/crash/test_full_disk.py",
        ("cases", "cases", 60),
        requests_after="requests after the error",
        lost="answers lost",
    ),
    _claim(
        "one signal",
        "one SIGINT, SIGTERM or SIGHUP at any moment",
        "tests/crash/test_signals.py",
        ("signals", "signals", 100),
        wasted="paid answers wasted",
    ),
    _claim(
        "two signals",
        "two signals, also while a disk or a thread hangs",
        "tests/crash/test_signals.py",
        ("signals", "times", 100),
        over_2s="that took longer than 2 s",
    ),
    _claim(
        "two processes on one run",
        "two processes started on one run",
        "tests/crash/test_locks.py",
        ("pairs", "pairs", 100),
        both_worked="of which both worked",
        sent_by_the_other="requests by the one that was refused",
    ),
    _claim(
        "locks of the dead",
        "locks left by processes that died here, elsewhere, before a restart",
        "tests/crash/test_locks.py",
        ("cases", "cases", 12),
        blocked="that blocked the next",
    ),
    _claim(
        "fault server",
        "every fault of [faults.md](faults.md), at the first, a middle and the last request",
        "tests/faults/test_faults.py",
        ("runs", "runs", 500),
        wrong="that came to anything else than the page says",
    ),
    _claim(
        "canary key",
        "the key, echoed by the endpoint wherever it can, sought in all that a run writes and says",
        "tests/faults/test_canary.py",
        ("files", "files and streams", 1_000),
        hits="hits",
    ),
    _claim(
        "strays on idle connections",
        "answers that nobody asked for on idle connections",
        "tests/faults/test_strays_in_a_run.py",
        ("requests", "requests", 10_000),
        mismatches="answers in another's row",
    ),
    _claim(
        "strays with keep_alive=false",
        "the same at any moment, with `keep_alive = false`",
        "tests/faults/test_strays_in_a_run.py",
        ("requests", "requests", 10_000),
        mismatches="answers in another's row",
    ),
    _claim(
        "cancellation storm",
        "answers that come after their request was given up",
        "tests/faults/test_strays_in_a_run.py",
        ("requests", "requests", 10_000),
        mismatches="answers in another's row",
    ),
    _claim(
        "addresses refused",
        "URLs that lead to private addresses: spellings, names, redirects, rebinding",
        "tests/guards/test_addresses.py",
        ("forms", "forms", 32),
        connections="connections made",
    ),
    _claim(
        "paths refused",
        "paths that lead out of the root, or to no regular file",
        "tests/guards/test_paths.py",
        ("forms", "forms", 40),
        bytes_sent="bytes of them sent",
    ),
    _claim(
        "bombs",
        "pixels, gzip, lines, templates and columns that unpack to gigabytes",
        "tests/guards/test_bombs.py",
        ("cases", "cases", 60),
        over_memory="that took more memory than allowed",
    ),
    _claim(
        "secrets in our output",
        "keys and other secrets in what vbatch itself says and writes",
        "tests/guards/test_secrets.py",
        ("places", "places", 100),
        hits="hits",
    ),
    _claim(
        "control characters",
        "control characters in answers, ids, names and errors on their way to a terminal",
        "tests/guards/test_terminal.py",
        ("cases", "cases", 50),
        raw="that arrived",
    ),
    _claim(
        "bad corpora",
        "damaged images, manifests and answers",
        "tests/corpora",
        ("cases", "cases", 2_000),
        uncaught="uncaught exceptions",
        hangs="hangs",
        wrong="wrong verdicts",
    ),
    Claim(
        method="fuzzed readers",
        does="fuzzing of the readers of manifests, answers and images, ten minutes each",
        tests="tests/corpora/test_fuzz.py",
        words={"examples": "examples", "seconds": "seconds", "uncaught": "uncaught exceptions"},
        at_least={"seconds": 1_800},
        none_of=("uncaught",),
    ),
    _claim(
        "outage in the middle",
        "outages of ten minutes (on a virtual clock) and of seconds in the middle of a run",
        "tests/stories/test_long_waits.py",
        ("rows", "rows", 25_000),
        attempts_used_up="that ran out of attempts",
        lost="lost",
    ),
    _claim(
        "slow endpoints",
        "endpoints that drip, stall, never read or never end",
        "tests/stories/test_tails.py",
        ("cases", "cases", 10),
        hangs="hangs",
    ),
    _claim(
        "limiter schedules",
        "random schedules of load under a known limit, on a virtual clock",
        "tests/endpoint/test_limits_schedules.py",
        ("schedules", "schedules", 10_000),
        over_limit="over the limit",
        under_97="that used less than 97 % of it",
    ),
    _claim(
        "mutants",
        "sabotages of vbatch itself: no sync, no checksum, the lock not taken, …",
        "tests/mutants",
        ("sabotages", "sabotages", 30),
        survivors="that no test noticed",
    ),
)
