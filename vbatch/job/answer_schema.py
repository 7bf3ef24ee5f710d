"""The JSON Schema that a job's answers follow: read once, refused before anything is sent."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from vbatch.profile.rules import is_text, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 1_000_000
_DEEPEST = 64
_ELSEWHERE = frozenset({"$dynamicRef", "$recursiveRef"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Words whose object names schemas by words of its own."""
_VALUES = frozenset({"enum", "const", "default", "examples"})


def answer_schema(value: Any) -> dict[str, Any]:
    """A job's ``response_schema``: an absolute path to a JSON Schema file, or what stood in one.

    Raises pydantic's error that says what is wrong with it.
    """
    schema = value if isinstance(value, dict) else _read(value)
    if _depth(schema) > _DEEPEST:
        raise wrong(f"a JSON Schema nested at most {_DEEPEST} levels deep")
    for word, said in _words(schema):
        _refuse(schema, word, said)
    _check(schema)
    return schema


def _read(value: Any) -> dict[str, Any]:
    if not is_text(value):
        raise wrong("a path to a JSON Schema file")
    try:
        data = _bytes_of(Path(value))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise wrong(f"a path to a JSON Schema file; it cannot be read: {reason}") from None
    try:
        schema = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise wrong(f"a JSON Schema file; this is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise wrong("a JSON Schema file that holds an object")
    return schema


def _bytes_of(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise wrong("a path to a JSON Schema file; this is no regular file")
    if status.st_size > _MOST_BYTES:
        raise wrong(f"a JSON Schema file of at most {_MOST_BYTES:,} bytes")
    return path.read_bytes()


def _check(schema: dict[str, Any]) -> None:
    from jsonschema import SchemaError  # noqa: PLC0415 - only jobs with a schema pay for it
    from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        raise wrong(f"a valid JSON Schema; at {error.json_path}: {error.message}") from None


def _refuse(schema: dict[str, Any], word: str, value: Any) -> None:
    """Refuse what cannot be followed while an answer is checked."""
    if word == "$id":
        raise wrong("a JSON Schema that stands alone, without an $id within it")
    if word in _ELSEWHERE:
        raise wrong(f"a JSON Schema that uses $ref instead of {word}")
    if not isinstance(value, str) or not value.startswith("#"):
        raise wrong(
            f"a JSON Schema that stands alone; it refers to {value!r}, and no other file or "
            "address is read"
        )
    if value != "#" and not value.startswith("#/"):
        raise wrong(f'a JSON Schema that refers to places, like "#/$defs/item", not to {value!r}')
    if not isinstance(_found(schema, value), dict | bool):
        raise wrong(f"a valid JSON Schema; {value!r} leads nowhere")


def _words(schema: Any, *, inner: bool = False) -> Iterator[tuple[str, Any]]:
    """Each word that refers to something, and what it says."""
    if isinstance(schema, list):
        for one in schema:
            yield from _words(one, inner=True)
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        if name == "$ref" or name in _ELSEWHERE or (name == "$id" and inner):
            yield name, value
        elif name in _NAMED and isinstance(value, dict):
            yield from _words([*value.values()])
        elif name not in _VALUES:
            yield from _words(value, inner=True)


def _found(schema: Any, reference: str) -> Any:
    """What a JSON pointer leads to, None where that is nothing."""
    place = schema
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict):
            place = place.get(name)
        elif isinstance(place, list) and name.isdigit() and int(name) < len(place):
            place = place[int(name)]
        else:
            return None
    return place


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
