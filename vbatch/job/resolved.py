"""The job as the rest of the house knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field

from vbatch.costs.book import PriceBook  # noqa: TC001 - as above
from vbatch.errors import JobError, redact
from vbatch.job import question
from vbatch.job.fitting import price_book
from vbatch.job.tables import Endpoint, JobTables
from vbatch.profile import Profile  # noqa: TC001 - pydantic resolves annotations
from vbatch.records import ImageLimits, JsonValue


class Job(JobTables):
    """A job, complete and checked: paths absolute, environment filled in, profile resolved.

    What the profile says stands in ``endpoint`` and ``images`` wherever the job left it open.
    ``manifest`` holds paths, and globs as patterns. ``base`` is the folder that relative paths in
    the file are relative to. ``secrets`` are the values that must never leave: the key, and
    whatever came in through ``${...}``. ``source_text`` and ``overrides`` are the file and the
    command line before replacement, as ``load_job`` takes them back.
    """

    name: str
    manifest: tuple[str, ...]
    output: str
    endpoint: Endpoint
    profile: Profile
    base: Path
    path: Path | None = None
    """The job file, None for a job given on the command line alone."""
    source_text: str = Field(default="", repr=False)
    overrides: tuple[str, ...] = Field(default=(), repr=False)
    api_key: str | None = Field(default=None, repr=False, exclude=True)
    key_problem: str | None = None
    """Why there is no key, when the profile asks for one."""
    secrets: tuple[str, ...] = Field(default=(), repr=False, exclude=True)

    @property
    def model(self) -> str:
        """The model to ask, the row's own aside."""
        return self.endpoint.model or ""

    @property
    def base_url(self) -> str:
        """Where requests go, without a slash at the end.

        Raises JobError for the built-in endpoint, whose address is not known before it has started.
        """
        if self.endpoint.base_url is None:
            raise JobError("endpoint.base_url: the built-in endpoint has not been started yet")
        return self.endpoint.base_url

    @property
    def starts_endpoint(self) -> bool:
        """Whether the run starts the built-in endpoint itself (see ``at``)."""
        return self.profile.starts_here and self.endpoint.base_url is None

    def at(self, base_url: str) -> Self:
        """Return the same job, asking at ``base_url``."""
        endpoint = self.endpoint.model_copy(update={"base_url": base_url})
        return self.model_copy(update={"endpoint": endpoint})

    def require_key(self) -> None:
        """Raise JobError if requests need a key and there is none that can be sent."""
        if self.key_problem is not None:
            raise JobError(self.key_problem)

    def price_book(self) -> PriceBook:
        """What models cost here: by the job's ``[price]``, else by the built-in table."""
        return price_book(self.price, self.profile, self.endpoint.base_url)

    def image_limits(self) -> ImageLimits:
        """What becomes of images on their way."""
        images, dialect = self.images, self.profile.images
        return ImageLimits(
            formats=frozenset(dialect.formats),
            animated=dialect.animated,
            max_side=images.max_side,
            max_bytes=images.max_bytes,
            format=images.format,
            quality=images.quality,
            strip=images.metadata == "strip",
        )

    def roots(self, default: Path) -> tuple[Path, ...]:
        """The folders under which local images must lie: the job's, else ``default``."""
        return tuple(map(Path, self.images.root)) or (default,)

    def question(self) -> dict[str, JsonValue]:
        """What is asked, flat under dotted keys; secrets in it stand as ``***`` and a short hash.

        Everything that makes an answer this job's answer, and nothing else: not who may be asked
        how fast, nor by which address and key.
        """
        return question.masked(self._asked(), self.secrets)  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """32 hex digits, the same for two jobs that ask the same. Reckoned anew each time."""
        return question.digest(self._asked())

    @property
    def places_digest(self) -> str:
        """32 hex digits, the same for two jobs that read the same manifest and the same folders."""
        return question.digest({"manifest": [*self.manifest], "root": [*self.images.root]})

    def _asked(self) -> dict[str, JsonValue]:
        return question.of(
            profile=self.profile,
            model=self.model,
            request=self.request,
            images=self.images,
            columns=self.columns,
        )

    def __repr__(self) -> str:
        return redact(super().__repr__(), self.secrets)

    __str__ = __repr__
