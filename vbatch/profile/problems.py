"""Everything that is wrong with a file, collected and said at once."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import ValidationError

from vbatch.errors import JobError, redact
from vbatch.profile.rules import ALLOWED, PRIVATE, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

Place = tuple[str, ...]
"""A key's path: ``("images", "quality")``."""

TableT = TypeVar("TableT", bound=Table)

_SHOWN_CHARS = 100
_KINDS = {str: "a text", list: "a list", dict: "a table", int: "a number"}
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Problems:
    """Problems found so far, one per key: the first one said is the one that counts.

    ``where`` names what a key was read from: a file, ``-s``, a flag.
    """

    def __init__(self, where: Callable[[Place], str]) -> None:
        self._where = where
        self._lines: dict[Place, tuple[str, ...]] = {}

    def add(self, place: Place, sentence: str) -> None:
        """Note that the key at ``place`` is wrong, unless it is known to be, or its table is."""
        if place not in self:
            self._lines[place] = (f"{self._where(place)}: {dotted(place)}: {sentence}",)

    def add_all(self, place: Place, error: JobError) -> None:
        """Note what another file, to which the key at ``place`` leads, has wrong."""
        self._lines.setdefault(place, error.problems)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._lines)

    def __contains__(self, place: Place) -> bool:
        return any(place[: end + 1] in self._lines for end in range(len(place)))

    def raise_if_any(self, secrets: Sequence[str] = ()) -> None:
        """Raise a JobError that lists every problem, without any of ``secrets``."""
        if self._lines:
            lines = chain.from_iterable(self._lines.values())
            raise JobError(*(redact(line, secrets) for line in lines))


def checked(model: type[TableT], tree: Mapping[str, Any], problems: Problems) -> TableT | None:
    """Return ``tree`` as a ``model``, or None after noting all that is wrong with it."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place = tuple(map(str, detail["loc"]))
            problems.add(place, _sentence(model, place, detail))
        return None


def dotted(place: Place) -> str:
    """``place`` as TOML writes a key."""
    return ".".join(part if _BARE.fullmatch(part) else shown(part) for part in place)


def refusal(found: Any, allowed: str) -> str:
    """The sentence for a value that cannot stand."""
    return f"found {shown(found)}; allowed: {allowed}"


def shown(value: Any) -> str:
    """``value`` much as TOML writes it, whole or not at all.

    Half a secret could not be recognised, and would be shown.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=_as_text)
    except ValueError:  # Python writes no integer of thousands of digits
        return "an endless number"
    if len(text) <= _SHOWN_CHARS:
        return text
    return f"{_KINDS.get(type(value), 'a value')} of {len(text)} characters"


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `` - did you mean "…"?``, or nothing if no word is like it."""
    near = difflib.get_close_matches(word, known, n=1)
    return f' - did you mean "{near[0]}"?' if near else ""


def _sentence(model: type[Table], place: Place, detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(model, place)
        case "missing":
            field = _table(model, place[:-1]).model_fields[place[-1]]
            return f"required, but not set; allowed: {field.description}"
        case "literal_error":
            return refusal(detail["input"], detail["ctx"]["expected"].replace("'", '"'))
        case kind if kind == PRIVATE:
            return f"allowed: {detail['ctx']['text']}"
        case kind if kind == ALLOWED:
            return refusal(detail["input"], detail["ctx"]["text"])
        case _:
            return refusal(detail["input"], "a table")


def _unknown(model: type[Table], place: Place) -> str:
    siblings = list(_table(model, place[:-1]).model_fields)
    meant = did_you_mean(place[-1], siblings) or _elsewhere(model, place[-1])
    table = f"in [{dotted(place[:-1])}]" if place[1:] else "at the top of the file"
    return f"unknown key{meant}; allowed {table}: {', '.join(siblings)}"


def _elsewhere(model: type[Table], word: str) -> str:
    """A suggestion from other tables, for a key that stands in the wrong one."""
    places = {place[-1]: ".".join(place) for place in _places(model)}
    near = difflib.get_close_matches(word, places, n=1, cutoff=0.8)
    return f' - did you mean "{places[near[0]]}"?' if near else ""


def _places(model: type[Table], within: Place = ()) -> Iterator[Place]:
    for name in model.model_fields:
        yield (*within, name)
        if (inner := _inner(model, name)) is not None:
            yield from _places(inner, (*within, name))


def _table(model: type[Table], place: Place) -> type[Table]:
    for name in place:
        model = _inner(model, name) or model
    return model


def _inner(model: type[Table], name: str) -> type[Table] | None:
    kind = model.model_fields[name].annotation
    kinds = [each for each in (kind, *get_args(kind)) if isinstance(each, type)]
    return next((each for each in kinds if issubclass(each, Table)), None)
