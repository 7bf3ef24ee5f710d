"""What a job will come to: requests, tokens, cost and hours. Nothing is sent or decoded."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from vbatch.api.expected import Expected, Sample
from vbatch.api.rehearsal import known_of
from vbatch.api.wiring import manifest_of, roots_of
from vbatch.costs.pictures import UNSEEN_SIDE, formula_of
from vbatch.costs.rates import dollars
from vbatch.endpoint import lines, tokens, wire
from vbatch.errors import EndpointError, ImageError
from vbatch.records import BadRow, ImageSource, Item
from vbatch.source.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbatch.api.rehearsal import Known
    from vbatch.clock import Clock
    from vbatch.endpoint.wire import Question
    from vbatch.job import Job
    from vbatch.records import JsonValue, ManifestScan
    from vbatch.source.manifest import Manifest
    from vbatch.state import Tally

ENOUGH_ANSWERS = 20
"""Answers of a run that say how long its next ones will be, and how fast they come."""
AT_ONCE = 16
ANSWER_S = 5.0
"""Where nothing says how fast an endpoint is: so many requests at once, of so many seconds."""
_BUILT_IN = (8, 22)
"""About the tokens of the built-in endpoint's answer, and of what it says of each image."""
_BUILT_IN_QUOTES = 80


@dataclass(slots=True, kw_only=True)
class Estimate:
    """What is still to do, and what it will come to.

    Tokens, USD and hours of the rows to do; ``_error`` is how far a figure may be off because only
    ``looked_at`` of the rows were looked at (95 % certain). ``cost_at_most`` is for answers as long
    as they may be. None: not known. ``assumptions`` say what the figures rest on.
    """

    name: str
    model: str
    rows: int
    done: int
    held_by: str | None
    looked_at: int
    requests: int
    images: int
    remote_images: int
    image_bytes: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    tokens_error: int
    cost: Decimal | None
    cost_error: Decimal | None
    cost_at_most: Decimal | None
    price: str | None
    hours: float
    codes: dict[str, int] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()

    def as_json(self) -> dict[str, JsonValue]:
        """The estimate as one JSON object."""
        fields = asdict(self)
        for name in ("cost", "cost_error", "cost_at_most"):
            fields[name] = None if fields[name] is None else float(fields[name])
        return fields | {"assumptions": list(self.assumptions)}

    def lines(self) -> list[str]:
        """For people."""
        done = f"{self.done:,} done already"
        if self.held_by is not None:
            done = f"all taken as still to do because {self.held_by}, is at work on this run"
        size = f"{self.image_bytes / 1e6:,.1f} MB"
        parts = f"{self.prompt_tokens:,} in, {self.completion_tokens:,} out"
        told = [
            f"{self.name}: {self.rows:,} rows, {done}",
            f"  requests  {self.requests:,} with {self.images:,} images ({size})",
            f"  tokens    about {self.total_tokens:,}{_off(self.tokens_error)}: {parts}",
            f"  cost      {self._cost()}",
            f"  hours     about {self.hours:,.2f}",
        ]
        if self.codes:
            failing = ", ".join(f"{count:,} {code}" for code, count in self.codes.items())
            told.append(f"  failing   {failing}")
        return told + [f"  assumed   {text}" for text in self.assumptions]

    def _cost(self) -> str:
        if self.cost is None:
            return f"not known: there is no price of {self.model}; set [price] input and output"
        off = f" ± {dollars(self.cost_error)}" if self.cost_error else ""
        most = ""
        if self.cost_at_most is not None and self.cost_at_most > self.cost:
            most = f", at most {dollars(self.cost_at_most)}"
        return f"about {dollars(self.cost)}{off}{most}; {self.price}"


async def estimate(
    job: Job,
    *,
    clock: Clock,
    fresh: bool = False,
    accept_change: bool = False,
    answer_tokens: int | None = None,
) -> Estimate:
    """Estimate what of ``job`` is still to do; ``fresh``: all of it, whatever run is there.

    ``answer_tokens``: what an answer takes, where the caller knows. Raises what a run would raise
    before its first request.
    """
    known = await asyncio.to_thread(known_of, job, clock, fresh=fresh, accept_change=accept_change)
    manifest = manifest_of(job, known.before)
    sizes = Sizes(job.image_limits(), roots_of(job, manifest))
    look = _Look(job, sizes, _Answers.of(job, known.spent, answer_tokens))
    scan = await asyncio.to_thread(manifest.scan)
    done = await asyncio.to_thread(look.over, manifest, scan, known)
    return await asyncio.to_thread(_summed, job, scan, known, look, done)


class _Answers(NamedTuple):
    """What answers take, and why that is thought."""

    tokens: float
    why: str
    built_in: bool = False

    @classmethod
    def of(cls, job: Job, spent: Tally, told: int | None) -> _Answers:
        if told is not None:
            return cls(told, f"an answer takes {told:,} tokens")
        if spent.answered >= ENOUGH_ANSWERS and spent.completion_tokens:
            mean = (spent.completion_tokens) / spent.answered
            return cls(mean, f"an answer takes {mean:,.0f} tokens, as the run's so far")
        if job.profile.starts_here:
            return cls(0, "answers as the built-in endpoint gives them", built_in=True)
        usual = tokens.ANSWER_TOKENS
        return cls(usual, f"an answer takes {usual:,} tokens, less where it is capped")

    def to(self, question: Question, images: int) -> float:
        """What the answer to ``question`` takes."""
        expected = self.tokens
        if self.built_in:
            said = (question.prompt or "")[:_BUILT_IN_QUOTES]
            expected = _BUILT_IN[0] + _BUILT_IN[1] * images + tokens.of_text(said)
        cap = tokens.cap_of(question)
        return expected if cap is None else min(expected, cap)


class _Look:
    """Goes through the manifest, and adds up what the rows take."""

    def __init__(self, job: Job, sizes: Sizes, answers: _Answers) -> None:
        self._job = job
        self._sizes = sizes
        self._asked: set[int] | None = set() if job.dedupe else None
        self.answers = answers
        self.same = 0
        """Rows that ask what a row before asks, and are answered with it."""
        self.sum = Expected()

    def over(self, manifest: Manifest, scan: ManifestScan, known: Known) -> int:
        """Look at the rows to do; returns how many are done."""
        sample, done = Sample(scan.rows), 0
        for row in manifest.rows(scan):
            if known.todo is not None and not known.todo.wanted(row):
                done += 1
                continue
            self.sum.rows += 1
            if sample.takes(row):
                self.sum.looked_at += 1
                self._row(row)
        return done

    def _row(self, row: Item | BadRow) -> None:
        if isinstance(row, BadRow):
            self.sum.codes["bad_row"] += 1
            return
        question, sources = _asked(self._job, row)
        most = self._job.profile.images.max_count
        if most is not None and len(sources) > most:
            self.sum.codes["too_many_images"] += 1
            return
        if self._is_asked_already(question, sources):
            self.same += 1
            return
        try:
            self._count(question, sources)
        except (ImageError, EndpointError) as error:
            self.sum.codes[error.code] += 1

    def _is_asked_already(self, question: Question, sources: Sequence[ImageSource]) -> bool:
        if self._asked is None:
            return False
        key = hash(f"{question!r}{sources!r}{[source.data for source in sources]!r}")
        known = key in self._asked
        self._asked.add(key)
        return known

    def _count(self, question: Question, sources: Sequence[ImageSource]) -> None:
        formula, seen, stored, remote = formula_of(question.model), 0, 0, 0
        for source in sources:
            detail = source.detail or question.detail
            if source.kind == "url":
                remote += 1
                seen += formula(UNSEEN_SIDE, UNSEEN_SIDE, detail)
                continue
            size = self._sizes.of(source)
            seen += formula(size.width, size.height, detail)
            stored += size.stored_bytes
        self._add(question, tokens.of_prompt(question, ()) + seen, len(sources))
        self.sum.image_bytes.add(stored)
        self.sum.remote.add(remote)

    def _add(self, question: Question, prompt: int, images: int) -> None:
        sum_, model = self.sum, question.model
        answer = self.answers.to(question, images)
        cap = tokens.cap_of(question)
        sum_.sent.add(1)
        sum_.images.add(images)
        sum_.tokens.add(prompt + answer)
        sum_.prompts[model] += prompt
        sum_.answers[model] += answer
        sum_.caps[model] += cap or 0
        sum_.uncapped += cap is None


def _summed(job: Job, scan: ManifestScan, known: Known, look: _Look, done: int) -> Estimate:
    sum_ = look.sum
    prompt = sum_.whole(sum_.prompts.total())
    total, off = sum_.tokens.of(sum_.looked_at, sum_.rows)
    requests = sum_.total(sum_.sent)
    cost, price = _cost(job, known, sum_, sum_.answers, requests)
    at_most = None if sum_.uncapped else _cost(job, known, sum_, sum_.caps, requests)[0]
    hours, why = _hours(job, known.spent, requests, total)
    assumptions = [look.answers.why, why]
    if remote := sum_.total(sum_.remote):
        side = f"{UNSEEN_SIDE} x {UNSEEN_SIDE} pixels"
        assumptions.append(f"{remote:,} images by URL are not looked at: {side} each")
    if look.same:
        again = sum_.whole(look.same)
        assumptions.append(
            f"{again:,} rows ask what another asks, and are answered with it (dedupe)"
        )
    if job.cache.path is not None:
        assumptions.append("answers that [cache] holds are asked for like all others")
    if sum_.looked_at < sum_.rows:
        assumptions.append(f"{sum_.looked_at:,} of {sum_.rows:,} rows were looked at")
    return Estimate(
        name=job.name,
        model=job.model,
        rows=scan.rows,
        done=done,
        held_by=known.held_by,
        looked_at=sum_.looked_at,
        requests=requests,
        images=sum_.total(sum_.images),
        remote_images=sum_.total(sum_.remote),
        image_bytes=sum_.total(sum_.image_bytes),
        prompt_tokens=prompt,
        completion_tokens=total - prompt,
        total_tokens=total,
        tokens_error=off,
        cost=cost,
        cost_error=None if cost is None else (cost * off / max(total, 1)),
        cost_at_most=at_most,
        price=price,
        hours=hours,
        codes={code: sum_.whole(count) for code, count in sum_.codes.most_common()},
        assumptions=tuple(assumptions),
    )


def _cost(
    job: Job, known: Known, sum_: Expected, answers: Mapping[str, float], requests: int
) -> tuple[Decimal | None, str | None]:
    """USD of the rows to do, and by which price; by the run's own answers where none is listed."""
    prices = job.price_book()
    rates = {model: prices.rate(model) for model in sum_.prompts or {job.model: 0}}
    spent = known.spent
    told = [rate.told() for rate in rates.values() if rate is not None]
    if len(told) == len(rates):
        cost = sum(
            (
                rate.of(sum_.prompts[model], round(answers[model]))
                for model, rate in rates.items()
                if rate is not None and sum_.prompts[model]
            ),
            Decimal(),
        )
        return cost * sum_.rows / max(sum_.looked_at, 1), "; ".join(dict.fromkeys(told))
    if spent.cost is not None and spent.answered >= ENOUGH_ANSWERS:
        return spent.cost / spent.answered * requests, "as the run's answers so far cost"
    return None, None


def _hours(job: Job, spent: Tally, requests: int, total: int) -> tuple[float, str]:
    """How long it takes at the limits that are set, and at the pace of the run so far."""
    limits, bounds = job.limits, [(0.0, "")]
    if limits.requests_per_minute is not None:
        minutes = requests / limits.requests_per_minute
        bounds.append((minutes / 60, "as fast as limits.requests_per_minute allows"))
    if limits.tokens_per_minute is not None:
        minutes = total / limits.tokens_per_minute
        bounds.append((minutes / 60, "as fast as limits.tokens_per_minute allows"))
    at_once = AT_ONCE if limits.max_in_flight == "auto" else limits.max_in_flight
    seconds = spent.finished_at - spent.started_at
    if spent.answered >= ENOUGH_ANSWERS and seconds > 0:
        pace = requests * seconds / spent.answered
        bounds.append((pace / 3600, "as fast as the run was last"))
    elif len(bounds) == 1:
        why = f"{at_once} requests at once, {ANSWER_S:g} s each"
        bounds.append((requests * ANSWER_S / at_once / 3600, why))
    return max(bounds)


def _asked(job: Job, item: Item) -> tuple[Question, tuple[ImageSource, ...]]:
    """What is asked about which images, also by a line in OpenAI's Batch format."""
    question = wire.question(job, item)
    if item.body is None:
        return question, item.images
    return lines.inside(question, item.body)


def _off(error: int) -> str:
    return f" ± {error:,}" if error else ""
