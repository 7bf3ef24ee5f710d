"""A gateway's dialect, field by field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vbatch.profile.rules import (
    Count,
    Flag,
    HeaderName,
    Headers,
    HttpUrl,
    KeyPrefix,
    Rate,
    Size,
    SomeSeconds,
    Table,
    UrlPath,
    Variable,
    Word,
    names,
    pairs,
    wrong,
)

ImageFormat = Literal["jpeg", "png", "gif", "webp"]

_FORMATS: tuple[ImageFormat, ...] = ("jpeg", "png", "gif", "webp")


def _formats(value: Any) -> tuple[ImageFormat, ...]:
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(one in _FORMATS for one in value)
    ):
        raise wrong(f"a list of {', '.join(_FORMATS)}")
    return tuple(value)


Words = Annotated[tuple[str, ...], BeforeValidator(names("a list of names"))]
Query = Annotated[dict[str, str], BeforeValidator(pairs('a table like { "api-version" = "1" }'))]
Renamed = Annotated[dict[str, str], BeforeValidator(pairs('a table like { seed = "random_seed" }'))]


class RequestDialect(Table):
    """How a request is written."""

    path: UrlPath = "/chat/completions"
    token_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105 - no password
    detail: Literal["image_url", "body", "none"] = "image_url"
    """Where ``detail`` goes: in each ``image_url``, at the top level of the body, or nowhere."""
    drop: Words = ()
    """Body fields this gateway refuses; left out when they come from the job."""
    rename: Renamed = Field(default_factory=dict)
    """Body fields that have another name here, ours first."""
    query: Query = Field(default_factory=dict)
    """What stands after the ``?`` of every address."""
    query_for: Word | None = None
    """Only where the base URL contains this."""
    structured: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    """How answers that follow a schema are asked for; ``prompt``: by words alone."""
    stream: Flag = True
    """Whether it can stream at all."""
    stream_usage: Flag = True
    """Whether it takes ``stream_options``, without which many tell no usage of a stream."""
    max_choices: Count | None = None
    """The most answers (``n``) one request may ask for."""
    max_completion_tokens: Count | None = None
    """The most tokens one whole answer can have, when the gateway caps it."""

    def query_at(self, base_url: str) -> dict[str, str]:
        """What stands after the ``?`` of addresses under ``base_url``."""
        return self.query if self.query_for is None or self.query_for in base_url else {}


class ImageDialect(Table):
    """What images a request may carry. None: no limit is known."""

    urls: Flag = True
    """Whether the gateway fetches https URLs by itself."""
    formats: Annotated[tuple[ImageFormat, ...], BeforeValidator(_formats)] = _FORMATS
    animated: Flag = False
    max_count: Count | None = None
    max_side: Count | None = None
    """Pixels of the longer side."""
    max_bytes: Size | None = None
    """Of one image, counted as ``count_bytes`` says."""
    max_request_bytes: Size | None = None
    """Of all images and text of one request, counted likewise."""
    count_bytes: Literal["encoded", "decoded"] = "encoded"
    """Whether byte limits mean base64 text or the bytes it stands for."""

    @property
    def max_raw_bytes(self) -> int | None:
        """``max_bytes`` in bytes before base64."""
        return self._raw(self.max_bytes)

    @property
    def max_raw_request_bytes(self) -> int | None:
        """``max_request_bytes`` in bytes before base64."""
        return self._raw(self.max_request_bytes)

    def _raw(self, limit: int | None) -> int | None:
        """Base64 writes 3 bytes as 4."""
        if limit is None or self.count_bytes == "decoded":
            return limit
        return max(limit // 4 * 3, 1)


class ModelsDialect(Table):
    """Where the models are listed, and how the list says "sees images"."""

    path: UrlPath = "/models"
    vision_field: Literal["input_modalities", "capabilities", "any"] = "any"
    complete: Flag = True
    """Whether a model that is not listed cannot be asked."""
    auth_header: HeaderName | None = None
    """Where the list wants its key, if not where requests have it; then without a prefix."""
    headers: Headers = Field(default_factory=dict)
    """What the list wants to be told besides."""


class Profile(Table):
    """A gateway. Units as in the field names; what is not set is not known or not needed."""

    name: Word
    title: Word | None = None
    like: Word | None = None
    """The built-in profile that says whatever this one does not."""
    base_url: HttpUrl | None = None
    api_key_env: Variable | None = None
    """Environment variable that holds the key; None: the gateway needs none."""
    auth_header: HeaderName = "Authorization"
    auth_prefix: KeyPrefix = "Bearer "
    model: Word | None = None
    """Taken when the job names none."""
    models: Words = ()
    """Vision models known by name; only to be shown."""
    starts_here: Flag = False
    """The built-in endpoint: a run starts it by itself when no ``base_url`` is set."""
    keep_alive_s: SomeSeconds = 4.0
    """How long an idle connection is kept; below the 5 s after which common servers hang up."""
    limit_window_s: Rate = 60.0
    """What ``x-ratelimit-limit-*`` counts over."""
    max_in_flight: Count | None = None
    """The most requests it takes at once, for ``limits.max_in_flight = "auto"``."""
    request: RequestDialect = Field(default_factory=RequestDialect)
    images: ImageDialect = Field(default_factory=ImageDialect)
    list_models: ModelsDialect = Field(default_factory=ModelsDialect)
