"""Where profiles come from: the shelf of built-in ones, or a file of the user's."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from vbatch.errors import JobError
from vbatch.profile.dialect import Profile
from vbatch.profile.problems import Problems, checked, did_you_mean, shown
from vbatch.profile.toml import parse, read

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

_SUFFIX = ".toml"


def load_profile(name_or_path: str, base: Path) -> Profile:
    """Return a built-in profile, or the one in a file (its path relative to ``base``).

    Raises JobError with all that is wrong with the file, or with the names that are known.
    """
    if is_profile_path(name_or_path):
        path = base / name_or_path
        return _profile(read(path, str(path), what="profile"), str(path), path.stem)
    if name_or_path not in builtin_names():
        raise JobError(
            f"no profile is called {shown(name_or_path)}"
            f"{did_you_mean(name_or_path, builtin_names())}; allowed: "
            f'{", ".join(builtin_names())}, or a path to a profile file like "./mine.toml"'
        )
    return _builtin(name_or_path)


def is_profile_path(name_or_path: str) -> bool:
    """Whether a profile is meant by its file rather than by name."""
    return "/" in name_or_path or name_or_path.endswith(_SUFFIX)


def builtin_profiles() -> tuple[Profile, ...]:
    """All built-in profiles, by name."""
    return tuple(map(_builtin, builtin_names()))


@cache
def builtin_names() -> tuple[str, ...]:
    """The names of the built-in profiles, sorted; none of them is read for it."""
    found = [one.name for one in _shelf().iterdir()]
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


@cache
def _builtin(name: str) -> Profile:
    file = _shelf() / f"{name}{_SUFFIX}"
    return _profile(file.read_text("utf-8"), str(file), name)


def _shelf() -> Traversable:
    return files("vbatch") / "profiles"


def _profile(text: str, where: str, name: str) -> Profile:
    """``name`` is taken unless the file says its own."""
    problems = Problems(lambda _: where)
    profile = checked(Profile, {"name": name, **_whole(parse(text, where), problems)}, problems)
    problems.raise_if_any()
    assert profile is not None  # noqa: S101 - whatever is wrong was a problem
    return profile


def _whole(tree: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """``tree`` over the tree of the built-in profile it is ``like``."""
    like = tree.get("like")
    if like is None:
        return tree
    if like not in builtin_names():
        meant = did_you_mean(str(like), builtin_names())
        known = ", ".join(builtin_names())
        problems.add(("like",), f"found {shown(like)}{meant}; allowed: {known}")
        return tree
    file = _shelf() / f"{like}{_SUFFIX}"
    base = _whole(parse(file.read_text("utf-8"), str(file)), problems)
    merged = {**base, **tree}
    for key, inner in base.items():
        own = tree.get(key)
        if isinstance(inner, dict) and isinstance(own, dict):
            merged[key] = {**inner, **own}
    return merged
