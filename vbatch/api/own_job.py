"""The job that a run keeps: loaded again for a retry, and said again as a command."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.errors import Mismatch
from vbatch.job import Job, differences, load_job
from vbatch.job.spoken import of_flags
from vbatch.profile import Profile
from vbatch.sink.schemas import FIXED, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.sink.kept import Kept


def own_job(kept: Kept, run: Path, overrides: Sequence[str]) -> Job:
    """The job that ``run`` keeps, under ``overrides``, asking into the run where it lies now.

    Raises Mismatch where ``${...}`` make another question of it than they did, or lead to another
    manifest: rows would get answers that belong to others.
    """
    load = partial(
        load_job,
        Path(kept.job_path) if kept.job_path else None,
        text=kept.job_text,
        output=run,
        env=os.environ,
        cwd=Path(kept.cwd),
        kept_profile=Profile.model_validate(kept.profile),
        kept_schema=kept.question.get(SCHEMA),
    )
    changes = _changes(kept, load(overrides=kept.overrides))
    if changes:
        raise Mismatch(
            f"the job that {run} keeps asks something else now, because of its ${{...}}:\n"
            + "\n".join(f"  {change}" for change in changes)
            + "\nSet these environment variables as they were when the run was made."
        )
    for override in overrides:
        if override.partition("=")[0].strip() in FIXED:
            raise Mismatch(
                f"-s {override}: this cannot change within a run, as it makes its columns"
            )
    return load(overrides=(*kept.overrides, *overrides))


def _changes(kept: Kept, now: Job) -> list[str]:
    """What is not as it was. A run of an earlier version does not know where its manifest lay."""
    changes = []
    if kept.job_digest != now.digest:
        changes = differences(kept.question, now.question())
    if kept.places_digest not in ("", now.places_digest):
        changes.append(f"manifest: now {', '.join(now.manifest)}")
        changes += [f"images.root: now {root}" for root in now.images.root]
    return changes


def run_command(
    path: str | Path | None,
    *,
    text: str = "",
    overrides: Sequence[str] = (),
    output: str | None = None,
    changed_images: bool = False,
) -> str:
    """The ``vbatch run`` command of a job; of one without a file, ``text`` says what it is.

    ``output``: where the run lies, should the job lead elsewhere by now.
    """
    settings = [*(() if path else text.splitlines()), *overrides]
    settings += [setting.text for setting in of_flags({"output": output}, Path.cwd())]
    words = ["vbatch", "run"] + ([str(path)] if path else [])
    for setting in settings:
        words += ["-s", setting]
    return shlex.join(words + ["--changed-images"] * changed_images)
