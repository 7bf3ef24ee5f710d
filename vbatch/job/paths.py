"""Relative to what: a file's paths to the file, the command line's to the working folder."""

from __future__ import annotations

import glob
import re
from functools import partial
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbatch.profile import is_profile_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.profile.problems import Place

PATHS: tuple[Place, ...] = (
    ("manifest",),
    ("output",),
    ("images", "root"),
    ("endpoint", "profile"),
    ("request", "response_schema"),
    ("cache", "path"),
)
"""The keys that hold paths."""

_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def anchored(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return ``tree`` with the paths in it made absolute from ``folder``."""
    for place in PATHS:
        tree = _changed(tree, place, partial(anchored_value, place, folder=folder))
    return tree


def anchored_value(place: Place, value: Any, *, folder: Path) -> Any:
    """Return the value of the key at ``place`` made absolute; what is no path stays as it is."""
    if isinstance(value, list):
        return [anchored_value(place, one, folder=folder) for one in value]
    if not isinstance(value, str) or not value.strip() or scheme(value):
        return value
    if place == ("endpoint", "profile") and not is_profile_path(value):
        return value
    value, folder = _climbed(value, folder)
    if place == ("manifest",) and glob.has_magic(value) and not Path(value).is_absolute():
        folder = Path(glob.escape(str(folder)))
    return str(folder / value)


def _climbed(value: str, folder: Path) -> tuple[str, Path]:
    """Take leading ``..`` from ``value`` where they lead on disk, so that messages read well."""
    while value == ".." or value.startswith("../"):
        value, folder = value[3:].lstrip("/"), Path(realpath(folder)).parent
    return value, folder


def scheme(value: str) -> str | None:
    """The scheme of something that is no local path: ``s3`` of ``s3://bucket/key``."""
    found = _REMOTE.match(value)
    return found[1].lower() if found else None


def _changed(tree: Any, place: Place, change: Callable[[Any], Any]) -> Any:
    if not place:
        return change(tree)
    if not isinstance(tree, dict) or place[0] not in tree:
        return tree
    return {**tree, place[0]: _changed(tree[place[0]], place[1:], change)}


def default_name(path: Path | None, manifest: tuple[str, ...]) -> str:
    """A job's name: the stem of its file; without a file, of its manifest if that is one path."""
    if path is not None:
        return path.stem
    if len(manifest) == 1 and not glob.has_magic(manifest[0]):
        return Path(manifest[0]).name.partition(".")[0] or "vbatch"
    return "vbatch"
