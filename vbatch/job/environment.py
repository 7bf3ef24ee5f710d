"""``${NAME}`` in strings: values from the environment."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from vbatch.errors import sounds_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbatch.profile.problems import Place, Problems

_DOLLAR = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<inside>[^{}]*)(?P<end>\}?))")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

MIN_SECRET_CHARS = 6
"""Shorter values from the environment are taken for settings (``8080``, ``prod``): blotting them
out everywhere would spoil every message and hide nothing."""


class Environment:
    """Fills in trees of TOML values, and remembers what came from outside.

    ``secrets`` are the values that were filled in, also as JSON writes them; defaults stand in the
    file and are none.
    """

    def __init__(self, variables: Mapping[str, str], problems: Problems) -> None:
        self._variables = variables
        self._problems = problems
        self.secrets: set[str] = set()
        self._sounding_secret: set[str] = set()

    def secrets_beside(self, *places: str) -> set[str]:
        """``secrets`` but what stands in ``places``: the paths that a command has to name.

        They lie open on the disk, and without them no command goes on. A value whose variable
        sounds secret stays one.
        """
        named = {value for value in self.secrets if any(value in place for place in places)}
        return self.secrets - (named - self._sounding_secret)

    def fill(self, value: Any, place: Place = ()) -> Any:
        """Return ``value`` with every reference in its strings replaced.

        A string that cannot be filled in is noted as a problem and returned as it is.
        """
        match value:
            case str():
                return self._filled(value, place)
            case list():
                return [self.fill(one, place) for one in value]
            case dict():
                return {key: self.fill(one, (*place, key)) for key, one in value.items()}
            case _:
                return value

    def _filled(self, text: str, place: Place) -> str:
        try:
            filled = _DOLLAR.sub(self._value, text)
            filled.encode()
        except UnicodeEncodeError:
            self._problems.add(place, "is not UTF-8 text")
        except LookupError as error:
            self._problems.add(place, str(error.args[0]))
        else:
            return filled
        return text

    def _value(self, found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        reference = _REFERENCE.fullmatch(found["inside"])
        if reference is None or not found["end"]:
            raise LookupError(
                f"{found[0]} names no variable; write ${{NAME}}, ${{NAME:-default}}, or $$ for $"
            )
        return self._looked_up(reference[1], reference[2])

    def _looked_up(self, name: str, default: str | None) -> str:
        """As in a shell, a default also stands in for a variable that is set to nothing."""
        value = self._variables.get(name)
        if value is None and default is None:
            raise LookupError(
                f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        if default is not None and not value:
            return default.replace("$$", "$")
        value = value or ""
        if len(value) >= MIN_SECRET_CHARS:
            forms = {value, json.dumps(value, ensure_ascii=False)[1:-1]}
            self.secrets |= forms
            if sounds_secret(name):
                self._sounding_secret |= forms
        return value
