"""The dialects the endpoint can speak, as data written from the gateways' own documentation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vbatch.errors import JobError
from vbatch.server.dialect import CORE, OPENAI, USUAL, Dialect, Model
from vbatch.server.further_dialects import FURTHER

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.records import JsonValue
    from vbatch.server.dialect import VisionMark
    from vbatch.server.settings import ServerSettings

__all__ = ["ABOUT", "DIALECTS", "Dialect", "Model", "dialect_of", "model_list"]

ABOUT = "Measures the pixels of a picture and puts them into a sentence; it is no model."

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
        batches=True,
        models=(Model(id="pixels"),),
        fields=OPENAI,
        vision_mark="capabilities",
        text_first=False,
    ),
    Dialect(
        name="openai",
        batches=True,
        models=(
            Model(id="gpt-4o"),
            Model(id="gpt-4o-mini"),
            Model(id="o4-mini", reasoning=True),
            _BLIND,
        ),
        fields=OPENAI,
        text_first=False,
        plain_http=True,
    ),
    Dialect(
        name="indoxhub",
        prefix="/api/v1",
        models=_INDOXHUB,
        fields=USUAL,
        wrapped=True,
        error_form="detail",
        vision_mark="input_modalities",
    ),
    Dialect(
        name="indoxhub-openai",
        models=_INDOXHUB,
        fields=USUAL,
        error_form="detail",
        vision_mark="input_modalities",
    ),
    Dialect(
        name="aimlapi",
        models=(Model(id="gpt-4o"), Model(id="gpt-4-turbo"), _BLIND),
        fields=USUAL,
        answer_status=201,
    ),
    Dialect(
        name="vision",
        streams=False,
        models=(Model(id="gpt-4-vision-preview"), Model(id="gpt-4o"), Model(id="gpt-4o-mini")),
        fields=CORE | {"detail"},
        detail="top",
    ),
    Dialect(
        name="infinityblue",
        models=(Model(id="gpt-5.4"), _BLIND),
        fields=USUAL,
        max_images=16,
        max_side=8_000,
        max_request_bytes=20_000_000,
    ),
    Dialect(
        name="flexai",
        models=(Model(id="phi-4-multimodal-instruct"), _BLIND),
        fields=USUAL,
        vision_mark="capabilities",
        animated_gif=False,
        max_answer_tokens=2_048,
    ),
)

DIALECTS = {dialect.name: dialect for dialect in (*_ALL, *FURTHER)}


def dialect_of(settings: ServerSettings) -> Dialect:
    """Return the dialect the settings name, with their own limits in it.

    Raises JobError for an unknown name.
    """
    if settings.dialect not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise JobError(f"the built-in endpoint speaks no {settings.dialect!r}; choose from {known}")
    return _with_limits(DIALECTS[settings.dialect], settings)


def model_list(dialect: Dialect) -> JsonValue:
    """Return the body of GET models: who is there, and who sees, in the dialect's own way."""
    listed = [_listed(model, dialect) for model in dialect.models]
    if dialect.list_form == "bare":
        return listed
    if dialect.list_form == "models":
        return {"models": listed}
    if dialect.list_form == "both":
        plain = [
            {"id": model.id, "object": "model", "description": ABOUT} for model in dialect.models
        ]
        return {"object": "list", "data": plain, "models": listed}
    return {"object": "list", "data": listed}


def _with_limits(dialect: Dialect, settings: ServerSettings) -> Dialect:
    names = ("max_images", "max_side", "max_request_bytes")
    given = {name: value for name in names if (value := getattr(settings, name)) is not None}
    return replace(dialect, **given)


def _listed(model: Model, dialect: Dialect) -> dict[str, JsonValue]:
    listed: dict[str, JsonValue] = {
        "id": dialect.id_prefix + model.id,
        "object": "model",
        "owned_by": "vbatch",
        "description": ABOUT,
    }
    if dialect.list_form == "both":
        listed |= {"name": model.id, "model": model.id}
    if dialect.vision_mark is None:
        return listed
    return listed | _MARKS[dialect.vision_mark](model.vision)


def _taken_in(sees: bool) -> list[str]:
    return ["text", "image"] if sees else ["text"]


_MARKS: dict[VisionMark, Callable[[bool], dict[str, JsonValue]]] = {
    "input_modalities": lambda sees: {"input_modalities": _taken_in(sees)},
    "architecture": lambda sees: {"architecture": {"input_modalities": _taken_in(sees)}},
    "capabilities": lambda sees: {"capabilities": ["text", "vision"] if sees else ["text"]},
    "multimodal": lambda sees: {"capabilities": ["completion", *["multimodal"] * sees]},
    "vision": lambda sees: {"capabilities": {"completion_chat": True, "vision": sees}},
    "supported": lambda sees: {
        "capabilities": {"batch": {"supported": True}, "image_input": {"supported": sees}}
    },
    "flag": lambda sees: {"supports_chat": True, "supports_image_input": sees},
}
"""How a listed model tells whether it sees."""
