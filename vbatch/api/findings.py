"""What looking without paying has found, in sentences."""

from __future__ import annotations

import difflib
import fnmatch
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vbatch.columns.parsed import NotSimpleError, parsed_type
from vbatch.errors import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vbatch.api.survey import Kind, Survey
    from vbatch.endpoint.models import ModelInfo
    from vbatch.job import Job

_NEAR = 3
_LIKENESS = 0.4


@dataclass(slots=True)
class Findings:
    """What ``check`` found: with ``problems`` nothing can work, ``warnings`` concern some rows."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def of(self, rows: int, all_rows: int) -> list[str]:
        """Where to put what keeps ``rows`` of ``all_rows`` from being answered."""
        return self.warnings if rows < all_rows else self.problems

    def without(self, secrets: Sequence[str]) -> Findings:
        """The same without ``secrets``."""
        kinds = (self.notes, self.warnings, self.problems)
        return Findings(*([redact(text, secrets) for text in texts] for texts in kinds))


def tell_images(job: Job, seen: Survey, found: Findings) -> None:
    """Say which images a gateway takes only after a change, and which not at all."""
    name, dialect = job.profile.name, job.profile.images
    taken = ", ".join(dialect.formats)
    if seen.crowded.rows:
        found.of(seen.crowded.rows, seen.rows).append(
            f"{_of(seen.crowded, seen)} more images than the {dialect.max_count} that {name} takes "
            f"in one request (the most: {seen.most_images}): they would fail as too_many_images"
        )
    for kind, rows in seen.foreign.items():
        found.of(rows.rows, seen.rows).append(
            f"{_of(rows, seen)} {kind} where an image should be, which cannot be sent: they would "
            "fail as image_unsupported"
        )
    for kind, rows in seen.converted.items():
        into = "re-encoded" if job.images.format == "auto" else f"made {job.images.format}"
        found.notes.append(
            f"{_of(rows, seen)} a {kind} image, which {name} does not take ({taken}): converted, "
            f"that is {into}"
        )
    for kind, rows in seen.unconverted.items():
        found.of(rows.rows, seen.rows).append(
            f"{_of(rows, seen)} a URL that ends like a {kind} image, which {name} does not take "
            f'({taken}); what goes as a URL is not converted (images.send = "inline" fetches it)'
        )


def tell_schema(job: Job, found: Findings) -> None:
    """What becomes of answers that follow a schema."""
    schema = job.request.response_schema
    if schema is None:
        return
    try:
        fields = parsed_type(schema).num_fields
    except NotSimpleError as error:
        found.notes.append(f"answers: checked, and in the column parsed as JSON text, as {error}")
    else:
        found.notes.append(f"answers: checked, and in the column parsed as {fields} typed fields")


def tell_fields(job: Job, found: Findings) -> None:
    """Say what the job sets and the gateway is not sent."""
    request, dialect = job.request, job.profile.request
    unsent = {*dialect.drop, *(["detail"] if dialect.detail == "none" else [])}
    given = {*request.extra, *request.model_dump(exclude_none=True)}
    if left_out := sorted(unsent & given):
        found.notes.append(
            f"request.{', request.'.join(left_out)}: left out, as {job.profile.name} does not take "
            f"{'them' if left_out[1:] else 'it'}"
        )


def tell_models(job: Job, seen: Survey, listed: Sequence[ModelInfo], found: Findings) -> None:
    """Say which models that rows ask are not listed, and which see no images."""
    if not listed:
        found.warnings.append("model: the endpoint lists none, so that nothing is known of it")
        return
    asked = seen.asked(job)
    unable: dict[str, str] = {}
    for model in asked:
        info = find(model, listed)
        if info is None:
            unable[model] = _unlisted(job, model, listed)
        elif info.vision is False:
            unable[model] = f"model {model} does not see images"
        else:
            seeing = "sees images" if info.vision else "whether it sees images is not said"
            found.notes.append(f"model {model}: listed, {seeing}")
    unanswered = sum(asked[model] for model in unable)
    place = found.of(unanswered, sum(asked.values()))
    for model, why in unable.items():
        sure = job.profile.list_models.complete or find(model, listed) is not None
        rows = (
            "" if place is found.problems else f" ({asked[model]:,} of the rows looked at ask it)"
        )
        (place if sure else found.warnings).append(why + rows)


def find(model: str, listed: Sequence[ModelInfo]) -> ModelInfo | None:
    """The entry that stands for ``model``: its own, a variant's, or a pattern's.

    Lists write ``models/NAME`` (Gemini), ``NAME:latest`` (Ollama), ``NAME`` for ``NAME:variant``
    (OpenRouter) and ``openai/*`` (LiteLLM).
    """
    base, _, variant = model.rpartition(":")
    names = [model, f"models/{model}", model.removeprefix("models/"), f"{model}:latest"]
    if variant:
        names.append(base)
    known = {info.id: info for info in listed}
    exact = next((known[name] for name in names if name in known), None)
    patterns = (info for info in listed if info.id.endswith("*"))
    return exact or next((one for one in patterns if fnmatch.fnmatchcase(model, one.id)), None)


def _unlisted(job: Job, model: str, listed: Sequence[ModelInfo]) -> str:
    name = job.profile.name
    seeing = [info.id.removeprefix("models/") for info in listed if info.vision is not False]
    meant = near(model, seeing)
    hint = f"; near it: {', '.join(meant)}" if meant else ""
    show = f"`vbatch models --profile {name}` shows all {len(listed)}"
    if job.profile.list_models.complete:
        return f"model {model}: {name} lists no such model{hint} ({show})"
    return f"model {model}: not among those {name} lists, which are not all it answers to{hint}"


def near(model: str, known: Collection[str]) -> list[str]:
    """Up to three of ``known`` that ``model`` may have been meant for, the likeliest first.

    A name without its maker's (``gpt-4o`` for ``openai/gpt-4o``) is near it.
    """
    short = {name.rpartition("/")[2].lower(): name for name in reversed([*known])}
    whole = {name.lower(): name for name in reversed([*known])}
    words = whole | short
    asked = model.rpartition("/")[2].lower()
    found = difflib.get_close_matches(asked, words, n=2 * _NEAR, cutoff=_LIKENESS)
    return [*dict.fromkeys(words[word] for word in found)][:_NEAR]


def _of(rows: Kind, seen: Survey) -> str:
    count = f"{rows.rows:,} of the first {seen.rows:,} rows"
    return f"{count} (first {rows.first}) {'have' if rows.rows > 1 else 'has'}"
