"""Bad input as named cases, and the watch under which each is read."""

from __future__ import annotations

import faulthandler
import signal
from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

PATIENCE_S = 20.0
"""Far more than any case takes on a busy machine; what takes longer hangs."""


class Case(NamedTuple):
    """``data`` is what is read; ``name`` says what is wrong with it."""

    name: str
    data: bytes


class Hung(BaseException):
    """A case took too long. No ``except Exception`` of the product holds it up."""


@contextmanager
def watched(name, patience_s=PATIENCE_S):
    """Raise ``Hung`` when the block takes too long, and end the process if even that cannot."""

    def late(_signal, _frame):
        raise Hung(name)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, patience_s)
    faulthandler.dump_traceback_later(3 * patience_s, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Corpus:
    """Goes through cases, and writes down what came of them."""

    def __init__(self, evidence):
        self._evidence = evidence

    def go_through(self, cases, judge):
        """Let ``judge`` read each case and say in a word what came of it; count the words."""
        words = Counter()
        uncaught, hung, wrong = [], [], []
        for case in cases:
            try:
                with watched(case.name):
                    words[judge(case)] += 1
            except Hung:
                hung.append(case.name)
            except AssertionError as error:
                wrong.append(f"{case.name}: {error}")
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                uncaught.append(f"{case.name}: {error!r}")
        for found in (uncaught, hung, wrong):
            assert found == [], "\n".join(found)
        count = words.total()
        assert count
        self._evidence.add(
            "bad corpora", cases=count, uncaught=len(uncaught), hangs=len(hung), wrong=len(wrong)
        )
        return words


def part_of(cases, number, count):
    """Every ``count``-th case from ``number`` on, so that a corpus can be shared by processes."""
    return islice(cases, number, None, count)
