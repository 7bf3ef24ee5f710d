"""The JSON Schema that a job's answers follow: read once, refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from vbatch.profile.rules import is_text, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 1_000_000
_DEEPEST = 64
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
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
    for reference in _references(schema):
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise wrong(
                f"a JSON Schema that stands alone; it refers to {reference!r}, and no "
                "other file or address is read"
            )
    _check(schema)
    return schema


def _read(value: Any) -> dict[str, Any]:
    if not is_text(value):
        raise wrong("a path to a JSON Schema file")
    try:
        data = Path(value).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise wrong(f"a path to a JSON Schema file; it cannot be read: {reason}") from None
    if len(data) > _MOST_BYTES:
        raise wrong(f"a JSON Schema file of at most {_MOST_BYTES:,} bytes")
    try:
        schema = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise wrong(f"a JSON Schema file; this is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise wrong("a JSON Schema file that holds an object")
    return schema


def _check(schema: dict[str, Any]) -> None:
    from jsonschema import SchemaError  # noqa: PLC0415 - only jobs with a schema pay for it
    from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        raise wrong(f"a valid JSON Schema; at {error.json_path}: {error.message}") from None
    for reference in _references(schema):
        if not _leads_somewhere(schema, reference):
            raise wrong(f"a valid JSON Schema; {reference!r} leads nowhere")


def _references(schema: Any) -> Iterator[Any]:
    if isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)
    if not isinstance(schema, dict):
        return
    for name, inner in schema.items():
        if name in _REFERENCES:
            yield inner
        elif name in _NAMED and isinstance(inner, dict):
            yield from _references([*inner.values()])
        elif name not in _VALUES:
            yield from _references(inner)


def _leads_somewhere(schema: Any, reference: str) -> bool:
    """Whether a JSON pointer does; an anchor is left to the validator."""
    if reference != "#" and not reference.startswith("#/"):
        return True
    place = schema
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdigit() and int(name) < len(place):
            place = place[int(name)]
        else:
            return False
    return True


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
