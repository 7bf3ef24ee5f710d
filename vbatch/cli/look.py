"""``check``, ``status``, ``profiles``, ``models``: verbs that only look."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbatch.cli import options
from vbatch.cli.screen import as_document, say
from vbatch.costs.rates import dollars
from vbatch.errors import Corrupt, Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.api.looks import Findings


@click.command(epilog="Example: vbatch check captions.toml")
@options.job_file
@options.job_flags
@options.settings
@options.as_json
def check(job: Path | None, overrides: tuple[str, ...], *, as_json: bool, **words: Any) -> int:
    """Look JOB over, with its manifest, first images, key and model, without a paid request."""
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick

    loaded = api.load(job, overrides=overrides, flags=options.flags_of(words))
    found = api.check(loaded)
    if as_json:
        say(as_document(asdict(found)))
    else:
        for mark, texts in (" ", found.notes), ("!", found.warnings), ("✗", found.problems):
            for text in texts:
                say(f"{mark} {text}".replace("\n", "\n    "))
        say(_verdict(found))
    return Exit.USAGE if found.problems else Exit.OK


@click.command(epilog="Example: vbatch status runs/captions")
@click.argument("run", type=click.Path(path_type=Path))
@options.as_json
def status(run: Path, *, as_json: bool) -> None:
    """Tell how RUN stands."""
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick

    stands = api.open_run(run).status()
    if as_json:
        say(as_document(stands))
        return
    try:
        lines = [*_told(run, stands)]
    except (LookupError, TypeError, ValueError, AttributeError):
        raise Corrupt(
            f"{run / 'run.json'} is not as it was written; the next `vbatch run` or `vbatch retry` "
            "writes it anew"
        ) from None
    for line in lines:
        say(line)


@click.command(epilog="Example: vbatch profiles")
@options.as_json
def profiles(*, as_json: bool) -> None:
    """List the gateways known."""
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick

    known = api.profiles()
    if as_json:
        say(as_document([profile.model_dump(mode="json") for profile in known]))
        return
    width = max(len(profile.name) for profile in known)
    for profile in known:
        key = profile.api_key_env or "no key"
        where = "started by the run" if profile.starts_here else "any base URL (endpoint.base_url)"
        url = profile.base_url or where
        say(f"{profile.name:<{width}}  {profile.title}: {url}, {key}")


@click.command(epilog="Example: vbatch models --profile flexai")
@click.option("--profile", default="local", show_default=True, help="Gateway to ask.")
@options.settings
@options.as_json
def models(profile: str, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """List a gateway's models; those that see images are marked."""
    from vbatch import api  # noqa: PLC0415 - keeps `--help` quick

    listed = api.models(profile, overrides=overrides)
    if as_json:
        say(as_document([asdict(model) for model in listed]))
        return
    marks = {True: "sees images", False: "", None: "not said"}
    width = max((len(model.id) for model in listed), default=0)
    for model in listed:
        say(f"{model.id:<{width}}  {marks[model.vision]}".rstrip())


def _verdict(found: Findings) -> str:
    if found.problems:
        return "problems were found"
    return "ready to run, but see the warnings" if found.warnings else "ready to run"


def _told(run: Path, stands: dict[str, Any]) -> Iterator[str]:
    counts = stands.get("counts", {})
    totals = stands.get("totals", {})
    at_least = "≥ " if totals.get("at_least") else ""
    yield f"{run}: {stands['state']}"
    if counts:
        yield (
            f"  {counts['answered']:,} answered, {counts['failed']:,} failed, "
            f"{counts['left']:,} left of {counts['rows']:,} rows"
        )
        yield (
            f"  {at_least}{totals['total_tokens']:,} tokens{_spent(totals, at_least)}, "
            f"{totals['possibly_billed']:,} requests possibly billed without an answer"
        )
    if stands.get("waiting"):
        yield f"  waiting: {stands['waiting']}"
    for row in stands.get("stalled", ()):
        yield f"  nothing heard of {row['id']}: {row['step']} for {row['seconds']:.0f} s"
    stop = stands.get("stop")
    if stop:
        advice = f" ({stop['advice']})" if stop["advice"] else ""
        yield f"  stopped: {stop['message']}{advice}"
    if stands.get("updated_at"):
        yield f"  as of {stands['updated_at']}, pid {stands['pid']} on {stands['host']}"


def _spent(totals: dict[str, Any], at_least: str) -> str:
    """What the tokens cost, and what of it was wasted."""
    cost = totals.get("cost")
    told = "" if cost is None else f", {at_least}{dollars(cost)}"
    if totals["wasted_tokens"]:
        told += f", {totals['wasted_tokens']:,} tokens wasted"
        wasted = totals.get("wasted_cost")
        told += "" if wasted is None else f" ({dollars(wasted)})"
    return told
