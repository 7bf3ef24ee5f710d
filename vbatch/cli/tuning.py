"""What the whole process is tuned to; the library leaves all of it alone."""

from __future__ import annotations

import gc
import os
import sys

GARBAGE_EVERY = (50_000, 20, 50)
"""A row makes hundreds of objects that reference counts free. To look for cycles among them as
often as Python does by itself takes a twelfth of a run's CPU."""
_SETTINGS = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}


def spare_memory() -> None:
    """Before Arrow is imported: 55 MB less for a run, and a quarter of a second.

    Arrow imports pandas wherever it is installed, though vbatch makes no use of it, and its own
    memory pools keep 24 MB more than the system's. NumPy starts a thread per core for matrices,
    that first turns for a tenth of a second, and there are none here.
    """
    for name, setting in _SETTINGS.items():
        os.environ.setdefault(name, setting)
    sys.meta_path.insert(0, _NoPandas())


def collect_garbage_rarely() -> None:
    """Take what was imported out of the garbage collector's sight, and let it look rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_EVERY)


class _NoPandas:
    """Says of pandas that it is not installed; ``None`` in its place makes Arrow crash."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the command line makes no use of pandas", name=name)
