"""What the command line says about a job: ``-s key=value`` and flags."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbatch.errors import JobError
from vbatch.job.paths import PATHS, anchored_value
from vbatch.profile import toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbatch.profile.problems import Place

FLAGS: Mapping[str, Place] = {
    "manifest": ("manifest",),
    "output": ("output",),
    "profile": ("endpoint", "profile"),
    "model": ("endpoint", "model"),
    "prompt": ("request", "prompt"),
}
"""The key each flag sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key said on the command line. ``value`` may still hold ``${NAME}``."""

    where: str
    place: Place
    value: Any
    text: str
    """As ``-s`` takes it; in place of a relative path, the absolute one."""

    def tree(self) -> dict[str, Any]:
        """The setting as a tree of tables."""
        tree = self.value
        for key in reversed(self.place):
            tree = {key: tree}
        return tree  # type: ignore[no-any-return]

    def places(self) -> Iterator[Place]:
        """The keys that it sets, those of a table it gives one by one."""
        return _leaves(self.value, self.place)


def _leaves(value: Any, place: Place) -> Iterator[Place]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*place, key))
    else:
        yield place


def override(text: str, cwd: Path) -> Setting:
    """Read one ``key=value``: the value as TOML if it is that, else as plain text.

    Raises JobError.
    """
    key, equals, written = text.partition("=")
    place = _place(key.strip()) if equals else ()
    if not place:
        what = f"{key!r} is no key" if equals else "there is no = in it"
        raise JobError(f"-s: {what}; write it like -s limits.requests_per_minute=600")
    return _setting("-s", place, _value(written), text, cwd)


def of_flags(flags: Mapping[str, Any], cwd: Path) -> tuple[Setting, ...]:
    """Read flags that are given; their text is literal, the shell has had its say."""
    given = {name: value for name, value in flags.items() if value is not None}
    return tuple(_of_flag(name, value, cwd) for name, value in given.items())


def _of_flag(name: str, value: str | Sequence[str], cwd: Path) -> Setting:
    place = FLAGS[name]
    literal = _literal(value) if isinstance(value, str) else [_literal(one) for one in value]
    return _setting(f"--{name}", place, literal, _text(place, literal), cwd)


def _literal(text: str) -> str:
    return text.replace("$", "$$")


def _setting(where: str, place: Place, value: Any, text: str, cwd: Path) -> Setting:
    fixed = _fixed(place, value, Path(_literal(str(cwd)))) if place in PATHS else value
    if fixed != value:
        text = _text(place, fixed)
    return Setting(where=where, place=place, value=fixed, text=text)


def _fixed(place: Place, value: Any, cwd: Path) -> Any:
    """A path that begins with a reference may be absolute already, and waits until it is known."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [_fixed(place, one, cwd) for one in value]
    if not isinstance(value, str) or value.startswith("${"):
        return value
    return anchored_value(place, value, folder=cwd)


def _text(place: Place, value: str | list[str]) -> str:
    return f"{'.'.join(place)}={toml.write(value)}"


def _place(key: str) -> Place:
    """The path of a dotted key, read as TOML, so that quoted parts work; () if it is none."""
    try:
        tree: Any = tomllib.loads(f"{key} = 0") if "\n" not in key else 0
    except ValueError:
        return ()
    place: list[str] = []
    while isinstance(tree, dict) and len(tree) == 1:
        place += tree
        tree = next(iter(tree.values()))
    return tuple(place)


def _value(written: str) -> Any:
    try:
        tree = tomllib.loads(f"value = {written}")
    except ValueError:
        return written
    return tree["value"] if len(tree) == 1 else written


def as_file(settings: Sequence[Setting]) -> str:
    """The job file that flags amount to, for a job that has none."""
    return "".join(f"{setting.text.replace('=', ' = ', 1)}\n" for setting in settings)
