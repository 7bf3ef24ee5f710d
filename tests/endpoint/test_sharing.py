"""Processes that look into one ledger live by one limit, fairly, and leave nothing behind."""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter

import pytest

from tests.endpoint.gates import limiter, most_within
from tests.endpoint.test_found import Bucket
from tests.virtual import run_virtual
from vbatch.endpoint.ledger import Common, LedgerFile, Memory, ledger_name
from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.endpoint.settings import ClientSettings

LATENCY_S = 0.5


@pytest.fixture(params=[Memory, LedgerFile])
def ledgers(request, tmp_path):
    """What each of several processes opens for itself, though here they are one."""
    opened = []
    memory = Memory()

    def another():
        if request.param is Memory:
            return memory
        opened.append(LedgerFile(tmp_path / "state" / "limit"))
        return opened[-1]

    yield another
    for ledger in opened:
        ledger.close()


class Crowd:
    """Runs that share a limit: what each of them sent, and what was refused."""

    def __init__(self, clock, endpoint=None) -> None:
        self.clock = clock
        self.endpoint = endpoint
        self.sent: list[tuple[float, int]] = []
        self.by_run: Counter[str] = Counter()
        self.refused: list[float] = []
        self._tasks: list[asyncio.Task] = []

    def join(self, name, gate, *, rows=16, tokens=0, every_s=0.0) -> list[asyncio.Task]:
        """Let a run of so many rows at once take part; ``every_s``: it has little to do."""
        tasks = [
            asyncio.create_task(self._row(name, n, gate, tokens, every_s)) for n in range(rows)
        ]
        self._tasks += tasks
        return tasks

    async def _row(self, name, number, gate, tokens, every_s):
        while True:
            async with await gate.acquire(tokens) as permit:
                now = self.clock.monotonic()
                wait = self.endpoint.wait(now) if self.endpoint else None
                if wait is not None:
                    self.refused.append(now)
                    permit.throttled(f"{name} {number}", "429", math.ceil(wait))
                    continue
                self.sent.append((now, max(tokens, 1)))
                self.by_run[name] += 1
                await self.clock.sleep(LATENCY_S)
                permit.answered(tokens)
            if every_s:
                await self.clock.sleep(every_s)

    async def go_on(self, seconds) -> None:
        await self.clock.sleep(seconds)

    async def go_home(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def together(prepare, *, seconds=180, endpoint=None, seed=0):
    """What a crowd came to that ``prepare(crowd)`` has brought together."""

    async def scenario(clock):
        crowd = Crowd(clock, endpoint)
        await prepare(crowd)
        await crowd.go_on(seconds)
        await crowd.go_home()
        return crowd

    return run_virtual(scenario, seed=seed)


@pytest.mark.parametrize("runs", [2, 3])
def test_runs_that_know_a_limit_share_it_evenly_and_never_pass_it(ledgers, runs):
    async def prepare(crowd):
        for n in range(runs):
            gate = limiter(crowd.clock, requests_per_minute=600, ledger=ledgers())
            crowd.join(f"run {n}", gate)

    crowd = together(prepare)
    assert most_within(crowd.sent) <= 600
    assert len(crowd.sent) >= 0.98 * 600 * 3
    assert min(crowd.by_run.values()) >= 0.97 * max(crowd.by_run.values())


def test_tokens_are_shared_too_and_what_was_not_used_goes_back(ledgers):
    async def prepare(crowd):
        for n in range(2):
            gate = limiter(crowd.clock, tokens_per_minute=60_000, ledger=ledgers())
            crowd.join(f"run {n}", gate, tokens=500)

    crowd = together(prepare)
    assert most_within(crowd.sent) <= 60_000 + 3_500
    assert sum(tokens for _, tokens in crowd.sent) >= 0.97 * 60_000 * 3
    assert min(crowd.by_run.values()) >= 0.97 * max(crowd.by_run.values())


def test_what_one_run_does_not_ask_for_the_other_has(ledgers):
    async def prepare(crowd):
        for name, every_s in (("busy", 0.0), ("idle", 5.0)):
            gate = limiter(crowd.clock, requests_per_minute=600, ledger=ledgers())
            crowd.join(name, gate, rows=16 if name == "busy" else 4, every_s=every_s)

    crowd = together(prepare)
    assert len(crowd.sent) >= 0.98 * 600 * 3
    assert 0.9 * 4 * 180 / 5.6 <= crowd.by_run["idle"] <= 4 * 180 / 5.4


def test_a_run_that_dies_leaves_its_share_within_a_turn(ledgers):
    async def prepare(crowd):
        gates = [limiter(crowd.clock, requests_per_minute=600, ledger=ledgers()) for _ in range(2)]
        doomed = crowd.join("doomed", gates[0])
        crowd.join("other", gates[1])
        await crowd.go_on(60)
        for task in doomed:
            task.cancel()
        crowd.before = crowd.by_run["other"]

    crowd = together(prepare, seconds=60)
    assert crowd.by_run["other"] - crowd.before >= 0.98 * 600


def test_a_limit_that_nobody_told_is_found_together(ledgers):
    async def prepare(crowd):
        for n in range(2):
            crowd.join(f"run {n}", limiter(crowd.clock, ledger=ledgers()), rows=32)

    crowd = together(prepare, seconds=300, endpoint=Bucket(600))
    after = [at for at, _ in crowd.sent if at > 60]
    assert len(after) >= 0.95 * 600 * 4
    assert len([at for at in crowd.refused if at > 60]) <= 0.01 * len(after)
    assert min(crowd.by_run.values()) >= 0.9 * max(crowd.by_run.values())


def test_one_who_comes_later_begins_with_what_the_others_found(ledgers):
    async def prepare(crowd):
        crowd.join("first", limiter(crowd.clock, ledger=ledgers()), rows=32)
        await crowd.go_on(120)
        crowd.refused.clear()
        crowd.join("second", limiter(crowd.clock, ledger=ledgers()), rows=32)

    crowd = together(prepare, seconds=60, endpoint=Bucket(600))
    assert len(crowd.refused) <= 0.01 * 600
    assert crowd.by_run["second"] >= 0.9 * 300


def test_all_are_quiet_when_the_endpoint_asks_one_to_wait(ledgers):
    async def scenario(clock):
        gates = [limiter(clock, requests_per_minute=600, ledger=ledgers()) for _ in range(2)]
        permit = await gates[0].acquire()
        permit.throttled("row", "429", 30.0)
        await gates[1].acquire()
        return clock.monotonic()

    assert 30 <= run_virtual(scenario) < 32


def test_a_long_pause_is_each_ones_own(ledgers):
    async def scenario(clock):
        gates = [limiter(clock, requests_per_minute=600, ledger=ledgers()) for _ in range(2)]
        permit = await gates[0].acquire()
        permit.throttled("row", "429", 600.0)
        await gates[1].acquire()
        return clock.monotonic()

    assert run_virtual(scenario) < 2


def test_a_wait_for_a_turn_is_said_to_be_for_the_limit():
    async def scenario(clock):
        ledger = Memory()
        first, second = (limiter(clock, requests_per_minute=6, ledger=ledger) for _ in range(2))
        (await first.acquire()).answered()
        waiting = asyncio.create_task(second.acquire())
        await clock.sleep(0)
        state = second.state
        waiting.cancel()
        return state.reason, round(state.waiting_until - clock.time())

    assert run_virtual(scenario) == ("requests per minute", 10)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 88,
        b"\xff" * 88,
        b"vbatch 1" + b"\x7f" * 80,
        bytes(range(256)) * 16,
        b"vbatch 1",
    ],
    ids=["empty", "zeros", "ones", "large", "long", "short"],
)
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    path = tmp_path / "limit"
    path.write_bytes(content)
    ledger = LedgerFile(path)
    seen = []
    for now in (100.0, 100.5):
        ledger.change(now, lambda common: seen.append(common.requests_due))
    ledger.close()
    assert seen == [-math.inf, -math.inf]
    assert path.stat().st_size >= 88


@pytest.mark.parametrize(
    "figures",
    [
        {"looked_at": 39.0},
        {"looked_at": 102.0},
        {"requests_due": 300.0},
        {"tokens_due": math.inf},
        {"quiet_until": 1e9},
        {"cut_at": 200.0},
        {"kept": 0.0},
        {"base": -1.0},
        {"calm_s": 0.0},
        {"sent": math.inf},
        {"free_at": math.nan},
    ],
    ids=str,
)
def test_figures_of_another_day_or_another_world_are_not_believed(figures):
    assert Common(looked_at=99.0).is_sound(100.0)
    assert not Common(**{"looked_at": 99.0} | figures).is_sound(100.0)


def test_the_file_is_the_owners_alone_and_holds_no_key(tmp_path):
    settings = ClientSettings(base_url="https://api.example.com/v1", api_key="sk-very-secret")
    path = tmp_path / "state" / ledger_name(settings)
    path.parent.mkdir()
    path.touch(mode=0o644)
    ledger = LedgerFile(path)
    ledger.change(1.0, lambda common: None)
    ledger.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"vbatch 1")
    assert "secret" not in path.name
    assert "example" not in path.name


def test_another_key_or_address_is_another_limit():
    one = {"base_url": "https://a/v1", "api_key": "k1"}
    names = [
        ledger_name(ClientSettings(**one | other))
        for other in ({}, {}, {"api_key": "k2"}, {"base_url": "https://b/v1"}, {"api_key": None})
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 4


def test_a_link_or_pipe_in_its_place_is_refused(tmp_path):
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=name):
            LedgerFile(tmp_path / name)


def test_who_holds_the_lock_and_never_lets_go_stops_nobody(tmp_path):
    held, other = LedgerFile(tmp_path / "limit"), LedgerFile(tmp_path / "limit")
    seen = []
    held.change(1.0, lambda common: other.change(1.0, seen.append))
    assert len(seen) == 1
    held.close()
    other.close()


def test_who_removes_the_file_parts_nobody_for_long(tmp_path):
    path = tmp_path / "limit"
    old = LedgerFile(path)
    old.change(1.0, lambda common: None)
    path.unlink()
    new = LedgerFile(path)
    old.change(3.0, lambda common: setattr(common, "sent", 7.0))
    seen = []
    new.change(3.0, lambda common: seen.append(common.sent))
    old.close()
    new.close()
    assert seen == [7.0]


class Failing(Memory):
    """A disk that goes away."""

    def change(self, now, change):
        if now > 30:
            raise OSError(5, "Input/output error")
        super().change(now, change)


def test_a_ledger_that_fails_leaves_the_run_alone_at_full_speed():
    async def prepare(crowd):
        crowd.gate = limiter(crowd.clock, requests_per_minute=600, ledger=Failing())
        crowd.join("run", crowd.gate)

    crowd = together(prepare)
    assert crowd.gate.sharing.trouble == "Input/output error"
    assert most_within(crowd.sent) <= 600
    assert len(crowd.sent) >= 0.98 * 600 * 3


def test_headers_teach_all_who_share():
    async def scenario(clock):
        ledger = Memory()
        gates = [limiter(clock, ledger=ledger) for _ in range(2)]
        for gate in gates:
            gate.learn(LimitHeaders(limit_requests=60.0))
        for _ in range(5):
            for gate in gates:
                (await gate.acquire()).answered()
        return clock.monotonic()

    assert 8.5 <= run_virtual(scenario) <= 9.5


def test_a_file_that_cannot_be_begun_anew_leaves_others_files_alone(tmp_path):
    """Somebody removed it and put a link in its place."""
    path = tmp_path / "state" / "limit"
    ledger = LedgerFile(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        ledger.change(10.0, lambda common: None)
    others = [os.open(tmp_path, os.O_RDONLY) for _ in range(8)]
    ledger.close()

    for fd in others:
        os.fstat(fd)
        os.close(fd)


@pytest.mark.parametrize(
    "damage",
    [{"kept": 1e-9}, {"kept": 5e-324}, {"base": 1e-9}, {"calm_s": 1e-200}, {"sent": 1e18}],
)
def test_figures_that_no_run_finds_are_begun_anew(damage):
    assert Common(looked_at=10.0).is_sound(10.0)
    assert not Common(looked_at=10.0, **damage).is_sound(10.0)
