"""A row's own request settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from vbatch.columns import exact
from vbatch.source.manifest.refs import BadValue, checked_detail, kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.records import JsonValue


def params_of(value: JsonValue) -> dict[str, JsonValue]:
    """The settings that ``params`` holds, checked where we know them; null is as good as unset."""
    if value is None:
        return {}
    params = {key: v for key, v in object_of(value, "params").items() if v is not None}
    for key in _PARAM_CHECKS.keys() & params.keys():
        params[key] = _PARAM_CHECKS[key](params[key])
    return params


def _model(value: JsonValue) -> str:
    if type(value) is str and value:
        return value
    raise BadValue("params.model must be a name")


def _max_tokens(value: JsonValue) -> int:
    whole = int(value) if type(value) is float and value.is_integer() else value
    if type(whole) is int and whole > 0:
        return whole
    raise BadValue(f"params.max_tokens must be a whole number above 0, not {shown(value)}")


def _temperature(value: JsonValue) -> float:
    if type(value) in {int, float} and value >= 0:
        return float(value)
    raise BadValue(f"params.temperature must be a number from 0, not {shown(value)}")


def object_of(value: JsonValue, name: str) -> dict[str, JsonValue]:
    """An object, or the one that JSON text stands for; BadValue for anything else."""
    if type(value) is str:
        try:
            value = exact.loads(value)
        except orjson.JSONDecodeError as e:
            raise BadValue(f"{name} must be an object or its JSON text: {e}") from e
    if type(value) is not dict:
        raise BadValue(f"{name} must be an object, not {kind_of(value)}")
    return value


def drop_nulls(value: JsonValue) -> JsonValue:
    """A struct without the fields that are null in this row, at every level."""
    if type(value) is dict:
        return {key: drop_nulls(v) for key, v in value.items() if v is not None}
    return [drop_nulls(v) for v in value] if type(value) is list else value


_PARAM_CHECKS: dict[str, Callable[[JsonValue], JsonValue]] = {
    "model": _model,
    "max_tokens": _max_tokens,
    "temperature": _temperature,
    "detail": lambda value: checked_detail(value, "params.detail"),
}
