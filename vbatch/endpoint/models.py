"""A gateway's list of models, and whether each sees images. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vbatch.records import JsonValue

_SIGHT = frozenset({"image", "images", "vision", "image_input", "image_url", "multimodal"})

_MAX_LAYERS = 4
_VISION_FIELDS = ("input_modalities", "modalities", "capabilities", "modality")
_FLAGS = ("supports_image_input", "supports_vision")
_INSIDE = ("architecture", "model_info")
"""Where a model's abilities may stand, if not beside its name (OpenRouter, LiteLLM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model by its id. ``vision`` is None where the list does not say."""

    id: str
    vision: bool | None = None


def read_models(document: JsonValue, *, vision_field: str = "any") -> list[ModelInfo]:
    """Return the models of a list, however it is wrapped; what has no id is left out.

    ``vision_field`` names the field that says whether a model sees images; ``any`` looks at all
    known ones.
    """
    names = _VISION_FIELDS if vision_field == "any" else (vision_field,)
    beside = document.get("models") if isinstance(document, Mapping) else None
    for _ in range(_MAX_LAYERS):
        if not isinstance(document, Mapping):
            break
        wrapped = (document.get(name) for name in ("data", "models"))
        document = next((one for one in wrapped if one is not None), [])
    if not isinstance(document, list):
        return []
    models = _models(document, names)
    if isinstance(beside, list) and beside is not document:  # llama.cpp: names here, sight there
        seen = {model.id: model.vision for model in _models(beside, names)}
        models = [replace(model, vision=seen.get(model.id, model.vision)) for model in models]
    return models


def _models(document: list[JsonValue], names: tuple[str, ...]) -> list[ModelInfo]:
    found = (_model(entry, names) for entry in document)
    return [model for model in found if model is not None]


def _model(entry: JsonValue, names: tuple[str, ...]) -> ModelInfo | None:
    if isinstance(entry, str):
        return ModelInfo(id=entry)
    if not isinstance(entry, Mapping):
        return None
    named = (entry.get(key) for key in ("id", "name", "model", "model_name"))
    name = next(filter(None, named), None)
    return ModelInfo(id=name, vision=_sees(entry, names)) if isinstance(name, str) else None


def _sees(entry: Mapping[str, JsonValue], names: tuple[str, ...]) -> bool | None:
    inside = (entry.get(name) for name in _INSIDE)
    places = [entry, *(place for place in inside if isinstance(place, Mapping))]
    said = [_sight(place[name]) for place in places for name in names if name in place]
    said += [place[flag] is True for place in places for flag in _FLAGS if _is_flag(place, flag)]
    known = [sees for sees in said if sees is not None]
    return any(known) if known else None


def _is_flag(place: Mapping[str, JsonValue], name: str) -> bool:
    return isinstance(place.get(name), bool)


def _is_able(said: JsonValue) -> bool:
    """An ability is there or not, or an object that says so (Anthropic)."""
    return bool(said.get("supported", said) if isinstance(said, Mapping) else said)


def _sight(said: JsonValue) -> bool | None:
    """Whether a list of abilities, an object of them, or ``text+image->text`` includes images."""
    if isinstance(said, str):
        said = said.partition("->")[0].split("+")
    if isinstance(said, Mapping):
        if isinstance(said.get("input"), list):
            return _sight(said["input"])
        if not any(str(name).strip().lower() in _SIGHT for name in said):
            return None  # abilities of another sort
        said = [name for name, able in said.items() if _is_able(able)]
    if not isinstance(said, list):
        return None
    return any(isinstance(one, str) and one.strip().lower() in _SIGHT for one in said)
