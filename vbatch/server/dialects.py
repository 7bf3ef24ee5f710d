"""The dialects the endpoint can speak, as data written from the gateways' own documentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from vbatch.errors import JobError

if TYPE_CHECKING:
    from vbatch.records import JsonValue
    from vbatch.server.refusals import ErrorForm
    from vbatch.server.settings import ServerSettings

ABOUT = "Measures the pixels of a picture and puts them into a sentence; it is no model."


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model name the endpoint answers to. ``reasoning`` ones refuse ``max_tokens``."""

    id: str
    vision: bool = True
    reasoning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one gateway takes and how it answers.

    ``fields`` are the body's known top-level fields; ``detail`` is where it may stand: inside
    ``image_url`` or at the top. ``vision_mark`` is the key of a listed model that tells whether it
    sees. ``max_answer_tokens`` ends an answer that asked for more, or for nothing.
    """

    name: str
    prefix: str = "/v1"
    models: tuple[Model, ...]
    fields: frozenset[str]
    detail: Literal["image", "top"] = "image"
    wrapped: bool = False
    answer_status: int = 200
    error_form: ErrorForm = "openai"
    vision_mark: Literal["input_modalities", "capabilities"] | None = None
    animated_gif: bool = True
    text_first: bool = True
    plain_http: bool = False
    max_images: int | None = None
    max_side: int | None = None
    max_request_bytes: int | None = None
    max_answer_tokens: int | None = None


_CORE = frozenset({"model", "messages", "max_tokens", "temperature", "stream"})
_USUAL = _CORE | {
    *("n", "top_p", "stop", "seed", "user", "presence_penalty", "frequency_penalty"),
    *("response_format", "tools", "tool_choice"),
}
_OPENAI = _USUAL | {
    *("max_completion_tokens", "reasoning_effort", "metadata", "store", "service_tier"),
    *("logit_bias", "logprobs", "top_logprobs", "parallel_tool_calls"),
}

_BLIND = Model(id="stand-in/text-only", vision=False)
_INDOXHUB = (
    Model(id="openai/gpt-4o"),
    Model(id="openai/gpt-4o-mini"),
    Model(id="anthropic/claude-opus-4-7"),
    Model(id="anthropic/claude-opus-4-6"),
    Model(id="google/gemini-2.0-flash"),
    _BLIND,
)

_ALL = (
    Dialect(
        name="local",
        models=(Model(id="pixels"),),
        fields=_OPENAI,
        vision_mark="capabilities",
        text_first=False,
    ),
    Dialect(
        name="openai",
        models=(
            Model(id="gpt-4o"),
            Model(id="gpt-4o-mini"),
            Model(id="o4-mini", reasoning=True),
            _BLIND,
        ),
        fields=_OPENAI,
        text_first=False,
        plain_http=True,
    ),
    Dialect(
        name="indoxhub",
        prefix="/api/v1",
        models=_INDOXHUB,
        fields=_USUAL,
        wrapped=True,
        error_form="detail",
        vision_mark="input_modalities",
    ),
    Dialect(
        name="indoxhub-openai",
        models=_INDOXHUB,
        fields=_USUAL,
        error_form="detail",
        vision_mark="input_modalities",
    ),
    Dialect(
        name="aimlapi",
        models=(Model(id="gpt-4o"), Model(id="gpt-4-turbo"), _BLIND),
        fields=_USUAL,
        answer_status=201,
    ),
    Dialect(
        name="vision",
        models=(Model(id="gpt-4-vision-preview"), Model(id="gpt-4o"), Model(id="gpt-4o-mini")),
        fields=_CORE | {"detail"},
        detail="top",
    ),
    Dialect(
        name="infinityblue",
        models=(Model(id="gpt-5.4"), _BLIND),
        fields=_USUAL,
        max_images=16,
        max_side=8_000,
        max_request_bytes=20_000_000,
    ),
    Dialect(
        name="flexai",
        models=(Model(id="phi-4-multimodal-instruct"), _BLIND),
        fields=_USUAL,
        vision_mark="capabilities",
        animated_gif=False,
        max_answer_tokens=2_048,
    ),
)

DIALECTS = {dialect.name: dialect for dialect in _ALL}


def dialect_of(settings: ServerSettings) -> Dialect:
    """Return the dialect the settings name, with their own limits in it.

    Raises JobError for an unknown name.
    """
    if settings.dialect not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise JobError(f"the built-in endpoint speaks no {settings.dialect!r}; choose from {known}")
    return _with_limits(DIALECTS[settings.dialect], settings)


def model_list(dialect: Dialect) -> dict[str, JsonValue]:
    """Return the body of GET models: who is there, and who sees, in the dialect's own way."""
    return {"object": "list", "data": [_listed(model, dialect) for model in dialect.models]}


def _with_limits(dialect: Dialect, settings: ServerSettings) -> Dialect:
    names = ("max_images", "max_side", "max_request_bytes")
    given = {name: value for name in names if (value := getattr(settings, name)) is not None}
    return replace(dialect, **given)


def _listed(model: Model, dialect: Dialect) -> dict[str, JsonValue]:
    listed = {"id": model.id, "object": "model", "owned_by": "vbatch", "description": ABOUT}
    if dialect.vision_mark == "input_modalities":
        return listed | {"input_modalities": ["text", "image"] if model.vision else ["text"]}
    if dialect.vision_mark == "capabilities":
        return listed | {"capabilities": ["text", "vision"] if model.vision else ["text"]}
    return listed
