"""Answers that follow a JSON Schema: asked for in the gateway's form, found, checked. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from vbatch.endpoint.strings import OutsizedJsonError, dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbatch.records import JsonValue

Form = Literal["json_schema", "json_object", "prompt"]

_NAME = "answer"
_MOST_STARTS = 200
"""Places in a chatty answer at which JSON is looked for."""
_MOST_SHOWN = 300
_THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THOUGHT_OUT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL)
_START = re.compile(r"[{\[]")


class MismatchError(Exception):
    """An answer that does not follow the schema; the message says where and how."""


class AnswerSchema:
    """A JSON Schema (draft 2020-12 unless it says otherwise) that every answer shall follow."""

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        from jsonschema.validators import (  # noqa: PLC0415 - only jobs with a schema pay for it
            Draft202012Validator,
            validator_for,
        )
        from referencing import Registry  # noqa: PLC0415

        self._validator = validator_for(schema, default=Draft202012Validator)(
            schema, registry=Registry()
        )

    def read(self, text: str | None) -> JsonValue:
        """The value in an answer, bare, fenced or among other words.

        The first that follows the schema, whatever else the answer holds. Raises MismatchError
        with what is wrong with the first value there is.
        """
        complaint = None
        for value in _values(text or ""):
            error = self._complaint(value)
            if error is None:
                return value
            complaint = complaint or error
        raise MismatchError(complaint or "it holds no whole JSON value")

    def _complaint(self, value: JsonValue) -> str | None:
        from jsonschema.exceptions import best_match  # noqa: PLC0415 - as above

        try:
            error = best_match(self._validator.iter_errors(value))
        except RecursionError:
            return "it is nested too deeply"
        except Exception as bug:  # noqa: BLE001 - numbers that no float holds, for one
            return f"it cannot be checked: {bug!r}"
        if error is None:
            return None
        message = error.message
        if len(message) > _MOST_SHOWN:
            message = f"{message[:_MOST_SHOWN]}…"
        return f"at {error.json_path}: {message}"


def response_format(schema: Mapping[str, JsonValue], form: Form) -> JsonValue:
    """The field of that name; None where the gateway knows none.

    ``strict`` is said where the schema keeps to what strict decoding wants of one: closed objects,
    all of whose properties are required (https://platform.openai.com/docs/guides/structured-outputs).
    """
    if form == "json_schema":
        named = {"name": _NAME, "strict": _is_strict(schema), "schema": schema}
        return {"type": "json_schema", "json_schema": named}
    return {"type": "json_object"} if form == "json_object" else None


def instructions(schema: Mapping[str, JsonValue]) -> str:
    """What a prompt ends with where the gateway does not see to the schema itself."""
    return (
        "Answer with one JSON value and nothing else, no code fence around it. It must follow this "
        f"JSON Schema:\n{_text(schema)}"
    )


def reproach(complaint: str) -> str:
    """What is said to an answer that does not follow the schema."""
    return (
        f"That answer does not follow the JSON Schema: {complaint}. Answer again, with one JSON "
        "value that does, and nothing else."
    )


def _text(schema: Mapping[str, JsonValue]) -> str:
    try:
        return dump(schema).decode()
    except OutsizedJsonError:  # pragma: no cover - a job's schema is looked at when it is read
        return json.dumps(schema)


def _is_strict(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if "properties" in schema or schema.get("type") == "object":
        names = set(schema.get("properties", {}))
        if schema.get("additionalProperties") is not False or names - set(
            schema.get("required", ())
        ):
            return False
    return all(_is_strict(inner) for name, inner in schema.items() if name != "enum")


def _values(text: str) -> Iterator[JsonValue]:
    """What in ``text`` is JSON: all of it, what stands in fences, what begins with a bracket."""
    spoken = _spoken(text).strip()
    for whole in (spoken, *(fenced.strip() for fenced in _FENCE.findall(spoken))):
        found = _loaded(whole)
        if found:
            yield found[0]
    position = 0
    for _ in range(_MOST_STARTS):
        start = _START.search(spoken, position)
        if start is None:
            return
        try:
            value, position = _DECODER.raw_decode(spoken, start.start())
        except (ValueError, RecursionError):
            position = start.start() + 1
        else:
            yield value


def _spoken(text: str) -> str:
    """``text`` without thoughts; one that does not end is none."""
    said, position = [], 0
    while (begun := _THOUGHT.search(text, position)) is not None:
        over = _THOUGHT_OUT.search(text, begun.end())
        if over is None:
            break
        said.append(text[position : begun.start()])
        position = over.end()
    return "".join([*said, text[position:]])


def _loaded(text: str) -> list[JsonValue]:
    try:
        return [_DECODER.decode(text)]
    except (ValueError, RecursionError):
        return []


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
