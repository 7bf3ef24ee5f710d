"""Sabotages vbatch in every way on the list, one at a time, and shows which test catches it.

``python -m tests.mutants [NAME ...]`` prints one line per sabotage and ends with 1 if any of them
gets through. Each is done to a copy of the tree; the tree itself is not touched.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.evidence import Evidence
from tests.mutants.sabotages import SABOTAGES

if TYPE_CHECKING:
    from tests.mutants.sabotages import Sabotage

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("vbatch", "tests", "jobs", "sample_data", "docs", "pyproject.toml", "README.md")
AT_ONCE = 2
PATIENCE_S = 300
"""A sabotage that makes its tests hang this long is caught too: the suite would not pass."""


def catcher(sabotage: Sabotage, tree: Path) -> str | None:
    """The test that fails once ``tree`` is sabotaged, None if all pass; the tree is mended."""
    path = tree / sabotage.path
    sound = path.read_text(encoding="utf-8")
    path.write_text(sabotage.applied(sound), encoding="utf-8")
    try:
        return _first_failure(tree, sabotage.caught_by)
    finally:
        path.write_text(sound, encoding="utf-8")


def _first_failure(tree: Path, tests: tuple[str, ...]) -> str | None:
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("VBATCH_EVIDENCE", None)  # what a sabotaged tree reaches is no evidence
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, cwd=tree, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"{' '.join(tests)} (never ends)"
        said.seek(0)
        text = said.read()
    if code == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", text, re.MULTILINE)
    if code != 1 or found is None:
        raise SystemExit(f"pytest could not run {tests}:\n{text}")
    return found[1]


def main(names: list[str]) -> int:
    """Try the sabotages with these names, or all; return the exit code."""
    chosen = [s for s in SABOTAGES if not names or s.name in names]
    evidence = Evidence(os.environ.get("VBATCH_EVIDENCE"))
    with tempfile.TemporaryDirectory() as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_ONCE):
            trees.put(_copy(Path(folder) / str(number)))

        def attempt(sabotage: Sabotage) -> bool:
            tree = trees.get()
            try:
                caught = catcher(sabotage, tree)
            finally:
                trees.put(tree)
            print(f"{sabotage.name}: {caught or 'NOT CAUGHT'}", flush=True)  # noqa: T201 - its output
            evidence.add("mutants", sabotages=1, survivors=caught is None)
            return caught is not None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            caught = list(pool.map(attempt, chosen))
    print(f"{sum(caught)} of {len(chosen)} sabotages are caught")  # noqa: T201 - as above
    return 0 if caught and all(caught) else 1


def _copy(tree: Path) -> Path:
    tree.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    return tree


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
