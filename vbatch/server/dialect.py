"""What a dialect is made of: everything by which one gateway differs from another."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vbatch.records import JsonValue

ErrorForm = Literal[
    "openai", "detail", "number", "text", "flat", "typed", "list", "pair", "routed", "brief"
]
"""The shape of an error's body; see ``refusals.told``."""
Kind = Literal["key", "model", "blind", "images", "format", "url", "bytes", "request", "field"]
"""What a request can be refused for in words of the dialect's own."""
LimitHeaders = Literal["openai", "dated", "mistral", "together", "fireworks", "none"]
"""The names of rate-limit headers and the form of their values; see ``limits``."""

VisionMark = Literal[
    "input_modalities", "architecture", "capabilities", "multimodal", "vision", "supported", "flag"
]
"""How a listed model tells whether it sees; see ``dialects``."""

CORE = frozenset({"model", "messages", "max_tokens", "temperature", "stream"})
USUAL = CORE | {
    *("n", "top_p", "stop", "seed", "user", "presence_penalty", "frequency_penalty"),
    *("response_format", "tools", "tool_choice"),
}
OPENAI = USUAL | {
    "stream_options",
    *("max_completion_tokens", "reasoning_effort", "metadata", "store", "service_tier"),
    *("logit_bias", "logprobs", "top_logprobs", "parallel_tool_calls"),
}
"""Top-level fields of a body, as the gateways' references list them."""
ALL_FORMATS = frozenset({"JPEG", "PNG", "GIF", "WEBP"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model name the endpoint answers to. ``reasoning`` ones refuse ``max_tokens``."""

    id: str
    vision: bool = True
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Saying:
    """How a gateway says no: ``message`` with the facts in braces."""

    status: int
    message: str
    code: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one gateway takes and how it answers.

    ``fields`` are the body's known top-level fields, others are refused unless ``lenient``;
    ``detail`` is where it may stand: inside ``image_url``, at the top, or nowhere. ``vision_mark``
    is how a listed model tells whether it sees. ``max_answer_tokens`` ends an answer that asked for
    more, or for nothing. ``version``: whether addresses must, must not or may end in an
    ``api-version``. ``any_model``: a wrong name gets an answer. ``max_image_bytes`` are of base64,
    ``max_request_bytes`` of what ``reckons`` says. ``cost`` is where an answer's price stands, and
    ``wait`` how a refusal says when to come again. ``says`` are refusals in words of its own, and
    ``extras`` what stands in every answer besides.
    """

    name: str
    prefix: str = "/v1"
    models: tuple[Model, ...]
    fields: frozenset[str]
    lenient: bool = False
    detail: Literal["image", "top", "none"] = "image"
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    list_key_header: str | None = None
    version: Literal["must", "never", "may"] = "may"
    wrapped: bool = False
    streams: bool = True
    batches: bool = False
    answer_status: int = 200
    stop_word: str = "stop"
    extras: Mapping[str, JsonValue] = field(default_factory=dict)
    cost: Literal["cost", "estimated_cost", "cost_in_usd_ticks", "header"] | None = None
    error_form: ErrorForm = "openai"
    says: Mapping[Kind, Saying] = field(default_factory=dict)
    wait: Literal["header", "milliseconds", "provider", "body"] = "header"
    limit_headers: LimitHeaders = "openai"
    window_s: float = 60.0
    models_path: str = "/models"
    list_form: Literal["data", "models", "bare", "both"] = "data"
    id_prefix: str = ""
    vision_mark: VisionMark | None = None
    any_model: bool = False
    urls: bool = True
    formats: frozenset[str] = ALL_FORMATS
    animated_gif: bool = True
    text_first: bool = True
    plain_http: bool = False
    max_images: int | None = None
    max_side: int | None = None
    max_image_bytes: int | None = None
    max_request_bytes: int | None = None
    reckons: Literal["decoded", "encoded"] = "decoded"
    max_answer_tokens: int | None = None
