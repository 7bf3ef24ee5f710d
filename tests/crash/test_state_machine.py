"""Anything may happen to a run, in any order: what is found is what a dict and a list say.

The machine asks, answers, kills, pulls the plug and fills the disk as hypothesis likes. Beside it
stands a log of what was recorded. After a power cut the run may have lost the end of that log,
never any of what was synced, and never anything from its middle.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.crash.desk import Desk
from tests.crash.ledger import Ledger
from tests.evidence import SOAK, share

ROWS = [f"r{n}" for n in range(6)]
SEEDS = share(4, 2)
EXAMPLES = share(50, 25)
SOAK_S = 600.0


class Machine(RuleBasedStateMachine):
    """One run; ``steps`` counts what happened to all of them."""

    steps = 0
    examples = 0

    @initialize()
    def begin(self) -> None:
        type(self).examples += 1
        self.folder = Path(tempfile.mkdtemp(prefix="vbatch-machine-"))
        self.ledger = Ledger()
        self.desk = Desk(self.folder, self.ledger)
        self.desk.open()

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.disk.bad = False
            self.desk.make_room()
            self.desk.close()
            self.desk.open()
            self.desk.finish()
            shutil.rmtree(self.folder)

    def is_open(self) -> bool:
        return self.desk.is_open

    @precondition(is_open)
    @rule(row=st.sampled_from(ROWS))
    def ask(self, row):
        self.desk.ask(row)

    @precondition(is_open)
    @rule(row=st.sampled_from(ROWS))
    def answer(self, row):
        self.desk.answer(row)

    @precondition(is_open)
    @rule(row=st.sampled_from(ROWS), sent=st.booleans())
    def fail(self, row, sent):
        self.desk.fail(row, sent=sent)

    @precondition(is_open)
    @rule(row=st.sampled_from(ROWS), ambiguous=st.booleans())
    def try_again(self, row, ambiguous):
        self.desk.try_again(row, ambiguous=ambiguous)

    @precondition(is_open)
    @rule(row=st.sampled_from(ROWS))
    def change(self, row):
        self.desk.change(row)

    @precondition(is_open)
    @rule()
    def sync(self):
        self.desk.sync()

    @precondition(is_open)
    @rule()
    def roll(self):
        self.desk.roll()

    @precondition(is_open)
    @rule()
    def commit(self):
        self.desk.commit()

    @precondition(is_open)
    @rule()
    def tidy(self):
        self.desk.tidy()

    @precondition(is_open)
    @rule()
    def finish_and_begin_again(self):
        self.desk.finish()
        self.desk.open()

    @rule()
    def kill(self):
        self.desk.close()
        self.desk.open()

    @rule(at=st.integers(1, 60))
    def kill_at_some_step_while_it_ends(self, at):
        self.desk.die_at(at)

    @rule(dice=st.integers(0, 2**32))
    def power_cut(self, dice):
        self.desk.cut_power(random.Random(dice))
        self.desk.open()

    @precondition(is_open)
    @rule(full=st.booleans())
    def a_sync_fails(self, full):
        self.desk.disk.bad = True
        self.desk.disk.full |= full
        if self.desk.is_open:
            self.desk.sync()

    @precondition(is_open)
    @rule()
    def a_sync_says_that_the_disk_is_full_while_answers_come(self):
        for row in ROWS:
            self.desk.ask(row)
        self.desk.sync()
        for row in ROWS:
            if row == ROWS[-2]:
                self.a_sync_fails(full=True)
            if self.desk.is_open:
                self.desk.answer(row)

    @rule()
    def fill_the_disk(self):
        self.desk.disk.full = True

    @rule()
    def make_room(self):
        self.desk.make_room()

    @invariant()
    def readers_see_what_is_committed(self):
        type(self).steps += 1
        if hasattr(self, "desk"):
            self.desk.look()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SEEDS))
def test_whatever_happens_the_run_is_what_was_recorded(evidence, number):
    until = time.monotonic() + SOAK_S
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    while True:
        machine = seed(number)(type("Seeded", (Machine,), {}))
        run_state_machine_as_test(machine, settings=profile)
        assert machine.examples > 0
        evidence.add("state machine", examples=machine.examples, steps=machine.steps)
        number += SEEDS
        if not SOAK or time.monotonic() > until:
            break
