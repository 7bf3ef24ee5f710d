"""Whether a run may go on with a job: it must ask what the run's answers were asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.errors import Mismatch
from vbatch.job import differences
from vbatch.sink.kept import Kept

if TYPE_CHECKING:
    from vbatch.job import Job
    from vbatch.records import ManifestScan


def check_question(kept: Kept | None, job: Job, *, has_answers: bool, accept: bool) -> None:
    """Refuse a job that asks something else than the run's answers were asked.

    Raises Mismatch with the differences and the ways out.
    """
    if kept is None or not has_answers or accept or kept.job_digest == job.digest:
        return
    changes = "\n".join(f"  {change}" for change in differences(kept.question, job.question()))
    raise Mismatch(
        f"{job.output} holds answers to another question:\n{changes}\n"
        "Choose another output; or --fresh to start over (the old run is renamed, never deleted); "
        "or --accept-change to ask what is not answered yet with the new settings."
    )


def to_keep(kept: Kept | None, job: Job, scan: ManifestScan, columns: tuple[str, ...]) -> Kept:
    """What the run keeps from now on. Types of columns and former templates stay as they were."""
    former = kept.template_columns if kept else ()
    return Kept(
        job_text=job.source_text,
        overrides=job.overrides,
        question=job.question(),
        job_digest=job.digest,
        profile=job.profile.model_dump(mode="json"),
        carried_schema=scan.carried_schema,
        given_schema=scan.given_schema,
        renamed=scan.renamed,
        template_columns=former if columns in former else (*former, columns),
        job_path=str(job.path) if job.path else None,
        cwd=str(Path.cwd()),
    )
