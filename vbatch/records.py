"""The values that flow through the house: frozen, without behaviour beyond arithmetic.

Units stand in the names: ``_s`` seconds, ``_bytes`` bytes, ``_at`` seconds since the epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - dataclasses resolve them
from dataclasses import dataclass, field, fields
from decimal import Decimal  # noqa: TC003
from typing import Any, Literal

from vbatch.errors import RETRYABLE_CODES, Exit, Fault

JsonValue = Any
"""Anything orjson can hold: None, bool, int (64 bit), float, str, list, dict with string keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """Where one image of a row comes from.

    ``ref`` is the reference as the manifest gives it (a path, URL or data URI), None for embedded
    bytes; ``data`` the embedded bytes; ``detail`` the row's own wish: low, high or auto.
    """

    kind: Literal["path", "url", "data_uri", "bytes"]
    ref: str | None = None
    data: bytes | None = field(default=None, repr=False)
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A valid row, ready to be asked.

    ``row`` counts from 0 through the whole manifest. ``prompt`` and ``system`` are final (templates
    rendered). ``params`` overrides the job's request settings for this row. ``body`` is set for a
    line in OpenAI's Batch format and then sent as it is. ``given`` holds ``image``/``images``,
    ``prompt``, ``system``, ``params`` as the manifest had them, and ``passthrough`` the carried
    columns under their output names; both are JSON values as ``columns.encode`` makes them, and
    neither holds image bytes. ``former_digests`` are the digests this row had under templates that
    the run used earlier. ``extra`` is JSON text of what did not fit the settled columns.
    """

    id: str
    row: int
    images: tuple[ImageSource, ...]
    prompt: str | None
    system: str | None = None
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    body: Mapping[str, JsonValue] | None = None
    passthrough: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: str | None = None
    given: Mapping[str, JsonValue] = field(default_factory=dict)
    row_digest: str
    former_digests: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A manifest row that cannot become an item; it fails with ``bad_row`` and ``message``."""

    id: str
    row: int
    message: str
    row_digest: str
    passthrough: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: str | None = None
    given: Mapping[str, JsonValue] = field(default_factory=dict)
    former_digests: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What an endpoint takes, and what the job makes of images on their way to it.

    ``formats`` are Pillow's names in lower case (jpeg, png, gif, webp). ``max_side`` in pixels;
    ``max_bytes`` of one encoded image (before base64); None: no limit.
    """

    formats: frozenset[str]
    animated: bool = True
    max_side: int | None = None
    max_bytes: int | None = None
    format: Literal["auto", "jpeg", "png", "webp"] = "auto"
    quality: int = 85
    strip: bool = True
    max_pixels: int = 178_956_970


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class PreparedImage:
    """Bytes as they will be sent. ``media_type`` is ``image/jpeg`` or the like; sizes in pixels."""

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    sha256: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """An image the endpoint fetches itself."""

    url: str
    detail: str | None = None


SentImage = PreparedImage | RemoteImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and money of one or more answers, as reported. None: not reported.

    ``a + b`` adds field by field; what is None on one side counts as nothing there.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            **{f.name: _plus(getattr(self, f.name), getattr(other, f.name)) for f in fields(Usage)}
        )


def _plus(a: Any, b: Any) -> Any:
    if a is None:
        return b
    return a if b is None else a + b


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A parsed answer. ``tool_calls`` is JSON text. ``finish_reason`` is kept as it was said.

    ``parsed`` is the value in ``text`` that follows the job's schema; None without a schema.
    ``raw`` is the whole answer as JSON text, where the job wants it.
    """

    text: str | None
    finish_reason: str | None
    refusal: str | None = None
    tool_calls: str | None = None
    model: str | None = None
    response_id: str | None = None
    usage: Usage = Usage()
    parsed: JsonValue = None
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An answered row. ``usage`` is that of the last attempt only; ``latency_s`` likewise."""

    id: str
    row: int
    completion: Completion
    images: tuple[str | None, ...]
    image_sha256: tuple[str | None, ...]
    prompt: str | None
    endpoint: str
    attempts: int
    latency_s: float
    started_at: float
    finished_at: float
    row_digest: str
    job_digest: str
    invocation: str
    passthrough: Mapping[str, JsonValue]
    extra: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A row that was tried and has no answer, and why.

    ``possibly_billed`` and ``attempts`` count over all invocations, ``usage`` is what was spent in
    vain likewise; ``server_errors`` counts the invocations that ended in ``server_error``.
    """

    id: str
    row: int
    code: str
    stage: Literal["manifest", "image", "request", "answer"]
    message: str
    retryable: bool
    attempts: int = 0
    possibly_billed: int = 0
    server_errors: int = 0
    usage: Usage = Usage()
    http_status: int | None = None
    provider_code: str | None = None
    request_id: str | None = None
    response_body: str | None = None
    first_at: float
    last_at: float
    row_digest: str
    former_digests: tuple[str, ...] = ()
    job_digest: str
    invocation: str
    file: str | None = None
    line: int | None = None
    given: Mapping[str, JsonValue]
    passthrough: Mapping[str, JsonValue]
    extra: str | None = None


Outcome = Result | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one HTTP exchange ended when it did not end in a kept answer."""

    fault: Fault
    code: str
    http_status: int | None = None
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An attempt is about to be sent. ``attempt`` counts from 1 within the invocation."""

    id: str
    row_digest: str
    invocation: str
    at: float
    attempt: int
    model: str
    endpoint: str
    images: int
    image_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The attempt is over, the row goes on (or stays to do)."""

    id: str
    invocation: str
    at: float
    model: str
    endpoint: str
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The row is answered."""

    result: Result
    model: str
    """As asked for: usage is counted by it. The answer's own is ``result.completion.model``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The row has failed. ``attempt`` is the exchange that ended it, None if nothing was sent."""

    failure: Failure
    model: str
    endpoint: str
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """Written by a later invocation for an Asked that a kill left open: possibly billed."""

    id: str
    row_digest: str
    invocation: str
    at: float
    model: str
    endpoint: str


Event = Asked | Tried | Completed | Failed | Abandoned


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """One file of a manifest as it was when scanned. ``mtime_ns`` in nanoseconds."""

    path: str
    size_bytes: int
    mtime_ns: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestScan:
    """What the scan found; a run works on the manifest as it was then.

    ``carried_schema`` and ``given_schema`` are Arrow schemas in IPC form: the carried columns under
    their output names, and ``image``/``images``, ``prompt``, ``system``, ``params`` as failures
    give them back. ``renamed`` maps output names to the manifest's own (``in_id`` to ``id``, and
    ``image`` to ``photo`` where ``[columns]`` says so).
    """

    rows: int
    files: tuple[ManifestFile, ...]
    carried_schema: bytes
    given_schema: bytes
    renamed: Mapping[str, str] = field(default_factory=dict)
    remote_images: int = 0
    """Rows that name an http(s) image."""
    repeated: int = 0
    """Rows that ask under one id what an earlier row asks: they are counted, not read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a run ends before its rows do. ``advice`` is what the operator can do about it."""

    exit_code: Exit
    code: str
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRow:
    """A row on its way of which nothing has been heard: what it is at, and for how long."""

    id: str
    step: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressView:
    """How far a run is at one moment.

    ``total`` counts the run's rows; ``answered`` and ``failed`` ones need nothing more. ``cost`` is
    in USD; what is None is not known. ``waiting_reason`` says why nothing is sent just now,
    ``notices`` is all that was worth a line of its own so far.
    """

    total: int
    answered: int = 0
    failed: int = 0
    tokens: int = 0
    in_flight: int = 0
    waiting_reason: str | None = None
    rows_per_s: float = 0.0
    eta_s: float | None = None
    cost: Decimal | float | None = None
    notices: Sequence[str] = ()

    @property
    def done(self) -> int:
        """Rows that need nothing more."""
        return self.answered + self.failed


def is_retryable(
    code: str, *, possibly_billed: int, server_errors: int, max_ambiguous: int
) -> bool:
    """Whether a later run asks a row again by itself, so that no night pays for it for ever."""
    if code not in RETRYABLE_CODES:
        return False
    return possibly_billed <= 2 * (max_ambiguous + 1) and server_errors < 5  # noqa: PLR2004
