"""What the whole process is tuned to while a run is at work; the library leaves it alone."""

from __future__ import annotations

import gc

GARBAGE_EVERY = (50_000, 20, 50)
"""A row makes hundreds of objects that reference counts free. To look for cycles among them as
often as Python does by itself takes a twelfth of a run's CPU."""


def collect_garbage_rarely() -> None:
    """Take what was imported out of the garbage collector's sight, and let it look rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_EVERY)
