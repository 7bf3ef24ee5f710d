"""Whether a run may go on with a job: it must ask what the run's answers were asked."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from vbatch.columns import deserialize as columns_of
from vbatch.errors import JobError, Mismatch
from vbatch.job import differences
from vbatch.sink.kept import Kept
from vbatch.sink.schemas import FIXED, SCHEMA

if TYPE_CHECKING:
    from vbatch.job import Job
    from vbatch.records import ManifestScan


def check_question(kept: Kept | None, job: Job, *, has_answers: bool, accept: bool) -> None:
    """Refuse a job that asks something else than the run's answers were asked.

    Raises Mismatch with the differences and the ways out. A run's tables have the same columns
    for all answers, so what decides about columns is refused even where changes are accepted.
    """
    if kept is None or not has_answers or kept.job_digest == job.digest:
        return
    for name in FIXED:
        if kept.question.get(name) != job.question().get(name):
            raise Mismatch(
                f"{job.output} holds answers to another {name}, which cannot change within a run. "
                "Choose another output; or --fresh to start over (the old run is renamed, never "
                "deleted)."
            )
    if accept:
        return
    changes = "\n".join(f"  {change}" for change in differences(kept.question, job.question()))
    raise Mismatch(
        f"{job.output} holds answers to another question:\n{changes}\n"
        "Choose another output; or --fresh to start over (the old run is renamed, never deleted); "
        "or --accept-change to ask what is not answered yet with the new settings."
    )


def to_keep(kept: Kept | None, job: Job, scan: ManifestScan, columns: tuple[str, ...]) -> Kept:
    """What the run keeps from now on. Types of columns and former templates stay as they were.

    Raises JobError where two columns would have one name.
    """
    if job.request.raw and "raw" in columns_of(scan.carried_schema).names:
        raise JobError(
            "request.raw: the manifest has a column raw already; call it something else, or take "
            "request.raw out"
        )
    question = job.question()
    if kept is not None and kept.question.get(SCHEMA) == question.get(SCHEMA) is not None:
        question[SCHEMA] = kept.question[SCHEMA]  # the order of its properties is its columns'
    return Kept(
        job_text=job.source_text,
        overrides=job.overrides,
        question=question,
        job_digest=job.digest,
        profile=job.profile.model_dump(mode="json"),
        carried_schema=scan.carried_schema,
        given_schema=scan.given_schema,
        renamed=scan.renamed,
        template_columns=_with(kept.template_columns if kept else (), columns),
        job_path=str(job.path) if job.path else None,
        cwd=str(Path.cwd()),
        places_digest=job.places_digest,
    )


def reach_digest(job: Job, job_digest: str, default_root: Path) -> str:
    """``job_digest``, and which images the job may read."""
    reach = [job_digest, str(job.images.allow_private_urls), *map(str, job.roots(default_root))]
    return blake2b("\0".join(reach).encode("utf-8", "replace"), digest_size=16).hexdigest()


def with_columns(kept: Kept, columns: tuple[str, ...]) -> Kept:
    """``kept``, knowing its rows by what a retry's template asks, too."""
    return replace(kept, template_columns=_with(kept.template_columns, columns))


def _with(
    former: tuple[tuple[str, ...], ...], columns: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    return former if columns in former else (*former, columns)
