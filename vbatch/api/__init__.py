"""The verbs as functions. Blocking ones work inside a notebook too."""

from __future__ import annotations

import contextlib
import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbatch import server
from vbatch.api import estimating, looks, rehearsal
from vbatch.api.apart import outcomes_of, summary_of
from vbatch.api.blocking import blocking, to_its_end
from vbatch.api.own_job import own_job, run_command
from vbatch.api.retrying import Selection
from vbatch.api.secrecy import keeping_secret
from vbatch.api.session import Session, Wish
from vbatch.clock import SystemClock
from vbatch.errors import JobError, Mismatch, StorageFull
from vbatch.job import Job, load_job
from vbatch.profile import Profile, builtin_profiles
from vbatch.server import ServerSettings, parse_faults
from vbatch.sink.kept import read_kept
from vbatch.sink.layout import Layout
from vbatch.sink.reader import open_run
from vbatch.sink.storage import HIDDEN
from vbatch.source.manifest import needs_root, write_manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from vbatch.api.estimating import Estimate
    from vbatch.api.looks import Findings
    from vbatch.api.rehearsal import Rehearsal
    from vbatch.api.summary import Summary
    from vbatch.endpoint.models import ModelInfo
    from vbatch.records import Outcome
    from vbatch.server import RunningServer

__all__ = [
    "Job",
    "ServerSettings",
    "Session",
    "arun",
    "check",
    "estimate",
    "load",
    "models",
    "needs_root",
    "open_run",
    "parse_faults",
    "profiles",
    "rehearse",
    "retry",
    "retry_session",
    "run",
    "serve",
    "session",
    "stream",
    "write_manifest",
]


def load(
    job: Job | str | Path | None,
    *,
    overrides: Sequence[str] = (),
    flags: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> Job:
    """Return the job of a file, with ``overrides`` (``key=value``) and ``flags`` over it.

    A run in progress keeps the profile it began with, unless it is to begin ``fresh``. Raises
    JobError, with all that is wrong.
    """
    if isinstance(job, Job):
        if overrides or flags:
            raise JobError("a job that is loaded already takes no overrides")
        return job
    path = None if job is None else Path(job)
    read = partial(load_job, path, overrides=overrides, flags=flags, env=os.environ, cwd=Path.cwd())
    loaded = read()
    _refuse_odd_places(loaded)
    kept = None if fresh else read_kept(Layout(root=Path(loaded.output)))
    return loaded if kept is None else read(kept_profile=Profile.model_validate(kept.profile))


def session(
    job: Job | str | Path,
    *,
    overrides: Sequence[str] = (),
    limit: int | None = None,
    fresh: bool = False,
    accept_change: bool = False,
    changed_images: bool = False,
    again: str = "",
) -> Session:
    """Return a session that does everything of ``job`` that is still to do.

    ``limit``: ask at most so many rows. ``fresh``: start over, the old run is renamed.
    ``accept_change``: go on although the job asks something else; answered rows stay.
    ``changed_images``: answered rows whose local pictures were replaced are asked again.
    """
    loaded = load(job, overrides=overrides, fresh=fresh)
    if not again:
        again = _run_command(job, loaded, changed_images=changed_images)
    elif changed_images:
        again += " --changed-images"
    wish = Wish(
        limit=limit,
        fresh=fresh,
        accept_change=accept_change,
        changed_images=changed_images,
        again=again,
    )
    return Session(loaded, wish, clock=SystemClock())


def retry_session(
    run: str | Path,
    *,
    only: Sequence[str] = (),
    finish_reason: str | None = None,
    overrides: Sequence[str] = (),
) -> Session:
    """Return a session that asks rows of a run again, with the job that the run keeps.

    ``only``: failures with these codes (all when empty); ``finish_reason``: answers that ended so.
    ``overrides`` hold for these rows only. Raises Mismatch where there is no run.
    """
    selection = Selection(only=tuple(only), finish_reason=finish_reason, overrides=tuple(overrides))
    path = Path(run).absolute()
    _refuse_unseen(str(path / HIDDEN))
    kept = read_kept(Layout(root=path))
    if kept is None:
        raise Mismatch(f"{run} is no run of vbatch: there is no job kept in it")
    wish = Wish(
        selection=selection,
        again=_retry_command(run, selection),
        whole=run_command(
            kept.job_path, text=kept.job_text, overrides=kept.overrides, output=str(run)
        ),
    )
    return Session(own_job(kept, path, overrides), wish, clock=SystemClock())


def run(job: Job | str | Path, **wishes: Any) -> Summary:
    """Do everything of ``job`` that is still to do; takes what ``session`` takes.

    A KeyboardInterrupt first waits for the answers on their way; a second one gives them up.
    """
    return to_its_end(session(job, **wishes))


async def arun(job: Job | str | Path, **wishes: Any) -> Summary:
    """As ``run``, inside a running event loop.

    Cancelled, it keeps the answers that come within ``retry.drain``; cancelled again, it ends.
    """
    return await summary_of(session(job, **wishes))


def retry(run: str | Path, **wishes: Any) -> Summary:
    """Ask rows of a run again; takes what ``retry_session`` takes."""
    return to_its_end(retry_session(run, **wishes))


async def stream(job: Job | str | Path, **wishes: Any) -> AsyncIterator[Outcome]:
    """Yield each outcome of ``job`` once it is recorded.

    Left early, it waits for the answers on their way once Python closes it: at the latest when the
    loop ends. ``contextlib.aclosing`` does so at once.
    """
    async with contextlib.aclosing(outcomes_of(session(job, **wishes))) as outcomes:
        async for outcome in outcomes:
            yield outcome


def check(job: Job) -> Findings:
    """Look a job over without a paid request."""
    with keeping_secret(job.secrets):
        return blocking(looks.check(job, clock=SystemClock())).without(job.secrets)


def rehearse(
    job: Job, *, limit: int | None = None, fresh: bool = False, accept_change: bool = False
) -> Rehearsal:
    """Do everything of a job but sending. Raises what a run would raise before it sends."""
    with keeping_secret(job.secrets):
        job.require_key()
        return blocking(
            rehearsal.rehearse(
                job, clock=SystemClock(), limit=limit, fresh=fresh, accept_change=accept_change
            )
        )


def estimate(
    job: Job | str | Path,
    *,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    accept_change: bool = False,
    answer_tokens: int | None = None,
) -> Estimate:
    """Return what is still to do of ``job`` and what it will come to; nothing is sent.

    Only headers of images are read, and of more than some thousand rows a sample. ``answer_tokens``
    is what an answer takes, where you know it. Raises what a run would raise before it sends.
    """
    loaded = load(job, overrides=overrides, fresh=fresh)
    with keeping_secret(loaded.secrets):
        return blocking(
            estimating.estimate(
                loaded,
                clock=SystemClock(),
                fresh=fresh,
                accept_change=accept_change,
                answer_tokens=answer_tokens,
            )
        )


def profiles() -> tuple[Profile, ...]:
    """Return the gateways known."""
    return builtin_profiles()


def models(profile: str, *, overrides: Sequence[str] = ()) -> list[ModelInfo]:
    """Return what a gateway lists. ``overrides`` as for a job, as in ``endpoint.base_url=...``."""
    words = [*overrides]
    if not any(word.startswith("endpoint.model=") for word in words):
        words.append("endpoint.model=any")
    job = load(None, overrides=words, flags={"profile": profile, "manifest": "."})
    with keeping_secret(job.secrets):
        return blocking(looks.models(job, clock=SystemClock()))


async def serve(*, host: str, port: int, settings: ServerSettings) -> tuple[RunningServer, str]:
    """Start the built-in endpoint; returns it with a text that says what it is."""
    running = await server.start(settings, clock=SystemClock(), host=host, port=port)
    return running, server.welcome(running)


def _refuse_odd_places(job: Job) -> None:
    """Raise where no run can be: better before anything than in the middle."""
    for path in (str(Path.cwd()), job.output):
        if not path.isprintable() and path != path.encode(errors="ignore").decode():
            raise JobError(f"{path!a} is not UTF-8: work in a folder whose name is")
    _refuse_unseen(job.output)
    for path in job.manifest:
        if os.path.realpath(path) == os.path.realpath(job.output):
            raise JobError(
                f"output {job.output} is the manifest's own folder: results would lie among the "
                "pictures. Choose another output"
            )


def _refuse_unseen(output: str) -> None:
    """Raise JobError for a path that cannot be, StorageFull for one that is closed to us."""
    try:
        os.lstat(output)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except PermissionError as error:
        raise StorageFull(f"{output} cannot be written: {error.strerror}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise JobError(f"output {output!a} cannot be: {reason}") from None


def _run_command(job: Job | str | Path, loaded: Job, *, changed_images: bool) -> str:
    """The command that does what a call did; a path stays as the caller wrote it."""
    return run_command(
        loaded.path if isinstance(job, Job) else job,
        text=loaded.source_text,
        overrides=loaded.overrides,
        changed_images=changed_images,
    )


def _retry_command(run: str | Path, selection: Selection) -> str:
    words = ["vbatch", "retry", str(run)]
    if selection.only:
        words += ["--only", ",".join(selection.only)]
    if selection.finish_reason:
        words += ["--finish-reason", selection.finish_reason]
    for override in selection.overrides:
        words += ["-s", override]
    return shlex.join(words)
