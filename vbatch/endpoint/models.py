"""A gateway's list of models, and whether each sees images. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vbatch.records import JsonValue

_SIGHT = frozenset({"image", "images", "vision", "image_input", "image_url", "multimodal"})

_MAX_LAYERS = 4
_VISION_FIELDS = ("input_modalities", "modalities", "capabilities", "modality")


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
    for _ in range(_MAX_LAYERS):
        if not isinstance(document, Mapping):
            break
        wrapped = (document.get(name) for name in ("data", "models"))
        document = next((one for one in wrapped if one is not None), [])
    if not isinstance(document, list):
        return []
    found = (_model(entry, names) for entry in document)
    return [model for model in found if model is not None]


def _model(entry: JsonValue, names: tuple[str, ...]) -> ModelInfo | None:
    if isinstance(entry, str):
        return ModelInfo(id=entry)
    if not isinstance(entry, Mapping):
        return None
    name = entry.get("id") or entry.get("name") or entry.get("model")
    return ModelInfo(id=name, vision=_sees(entry, names)) if isinstance(name, str) else None


def _sees(entry: Mapping[str, JsonValue], names: tuple[str, ...]) -> bool | None:
    architecture = entry.get("architecture")
    places = [entry, architecture if isinstance(architecture, Mapping) else {}]
    said = [_sight(place[name]) for place in places for name in names if name in place]
    known = [sees for sees in said if sees is not None]
    return any(known) if known else None


def _sight(said: JsonValue) -> bool | None:
    """Whether a list of abilities, an object of them, or ``text+image->text`` includes images."""
    if isinstance(said, str):
        said = said.partition("->")[0].split("+")
    if isinstance(said, Mapping):
        if isinstance(said.get("input"), list):
            return _sight(said["input"])
        said = [name for name, able in said.items() if able]
    if not isinstance(said, list):
        return None
    return any(isinstance(one, str) and one.strip().lower() in _SIGHT for one in said)
