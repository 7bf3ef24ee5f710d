"""Hypothesis for as many examples as CI has time for, or for minutes in the long suite."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter

from hypothesis import HealthCheck, given, seed, settings

from tests.corpora.cases import watched
from tests.evidence import SOAK

SOAK_S = float(os.environ.get("VBATCH_FUZZ_S", "600"))
_ROUND = 200
_QUIET = list(HealthCheck)


def fuzz(name, strategy, read, evidence, *, ci):
    """Give ``read`` what ``strategy`` draws; what it raises ends the test and names the seed.

    Returns how many examples it survived.
    """
    done = Counter()

    def check(drawn):
        done["examples"] += 1
        with watched(name):
            read(drawn)
        done["survived"] += 1

    began = time.monotonic()
    if SOAK:
        _for_minutes(name, strategy, check, began + SOAK_S)
    else:
        _run(strategy, check, settings(derandomize=True, max_examples=ci))
    assert done["survived"] == done["examples"] > 0
    evidence.add(
        "fuzzed readers",
        examples=done["examples"],
        uncaught=done["examples"] - done["survived"],
        seconds=round(time.monotonic() - began, 1),
    )
    return done["survived"]


def _for_minutes(name, strategy, check, until):
    while time.monotonic() < until:
        number = secrets.randbits(32)
        try:
            _run(strategy, seed(number)(check), settings(max_examples=_ROUND))
        except BaseException as error:
            error.add_note(f"{name}: seed {number}")
            raise


def _run(strategy, check, chosen):
    unhurried = settings(chosen, deadline=None, database=None, suppress_health_check=_QUIET)
    unhurried(given(strategy)(check))()
