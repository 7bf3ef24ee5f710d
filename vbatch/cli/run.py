"""``run`` and ``retry``: the verbs that send requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbatch.cli import options
from vbatch.cli.screen import as_document, say
from vbatch.errors import Exit, printable

if TYPE_CHECKING:
    from vbatch.api.rehearsal import Rehearsal


@click.command(epilog="Example: vbatch run captions.toml -s limits.requests_per_minute=600")
@options.job_file
@options.job_flags
@options.settings
@click.option("--limit", type=click.IntRange(min=1), help="Ask at most this many rows.")
@click.option("--dry-run", is_flag=True, help="Do all but sending.")
@click.option("--fresh", is_flag=True, help="Start over; the old run is renamed, never deleted.")
@click.option(
    "--accept-change",
    is_flag=True,
    help="Ask what is not answered yet with the changed job; answers stay.",
)
@click.option(
    "--changed-images",
    is_flag=True,
    help="Ask answered rows again whose picture was replaced under the same path.",
)
@options.as_json
@options.quiet
def run(
    job: Path | None,
    overrides: tuple[str, ...],
    *,
    limit: int | None,
    dry_run: bool,
    fresh: bool,
    accept_change: bool,
    changed_images: bool,
    as_json: bool,
    quiet: bool,
    **words: Any,
) -> int:
    """Do everything of JOB that is still to do, then stop."""
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick

    flags = options.flags_of(words)
    loaded = api.load(job, overrides=overrides, flags=flags, fresh=fresh)
    if dry_run:
        report = api.rehearse(loaded, limit=limit, fresh=fresh, accept_change=accept_change)
        return _tell(report, as_json=as_json)
    from vbatch.cli.drive import drive  # noqa: PLC0415

    again = options.command(job, flags, overrides)
    session = api.session(
        loaded,
        limit=limit,
        fresh=fresh,
        accept_change=accept_change,
        changed_images=changed_images,
        again=again,
    )
    return drive(session, quiet=quiet, as_json=as_json)


@click.command(epilog="Example: vbatch retry runs/captions --only timeout,server_error")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--only", default="", metavar="CODE,…", help="Failures with these codes only.")
@click.option("--finish-reason", help="Answers that ended so, as in --finish-reason length.")
@options.settings
@options.as_json
@options.quiet
def retry(
    run: Path,
    only: str,
    finish_reason: str | None,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Ask failed rows of RUN again, into the same tables. -s holds for these rows only."""
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick
    from vbatch.cli.drive import drive  # noqa: PLC0415

    codes = tuple(filter(None, (code.strip() for code in only.split(","))))
    session = api.retry_session(run, only=codes, finish_reason=finish_reason, overrides=overrides)
    return drive(session, quiet=quiet, as_json=as_json)


def _tell(report: Rehearsal, *, as_json: bool) -> int:
    if as_json:
        say(as_document(report.as_json()))
    else:
        for row_id, why in report.failures:
            say(printable(f"{row_id}: {why}"))
        say(f"dry run: {report.line()}")
    return Exit.ROWS_FAILED if report.codes else Exit.OK
