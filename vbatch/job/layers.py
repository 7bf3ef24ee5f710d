"""What counts when several say something: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vbatch.profile import Profile

Tree = Mapping[str, Any]


def layered(profile: Profile | None, file: Tree, said: Sequence[Tree]) -> dict[str, Any]:
    """Return what counts: profile, under job file, under ``-s`` and flags in their order."""
    return stacked(_defaults(profile), file, *said)


def _defaults(profile: Profile | None) -> Tree:
    """What a profile says of a job's keys."""
    if profile is None:
        return {}
    images = {"max_side": profile.images.max_side, "max_bytes": profile.images.max_raw_bytes}
    return {
        "endpoint": profile.model_dump(include={"base_url", "api_key_env", "model"}),
        "images": images,
    }


def stacked(*layers: Tree) -> dict[str, Any]:
    """Return the layers as one tree, the last on top, tables within tables merged likewise."""
    tree: dict[str, Any] = {}
    for layer in layers:
        tree = _over(tree, layer)
    return tree


def _over(under: Tree, layer: Tree) -> dict[str, Any]:
    """None is not set, and covers nothing."""
    both = {
        key: _over(under[key], value)
        for key, value in layer.items()
        if isinstance(value, dict) and isinstance(under.get(key), dict)
    }
    return {**under, **{key: value for key, value in layer.items() if value is not None}, **both}


def without(tree: Tree, place: tuple[str, ...]) -> dict[str, Any]:
    """Return ``tree`` without the key at ``place``, if it is there."""
    head, *rest = place
    inner = tree.get(head)
    if not rest:
        return {key: value for key, value in tree.items() if key != head}
    return {**tree, head: without(inner, tuple(rest))} if isinstance(inner, dict) else {**tree}
