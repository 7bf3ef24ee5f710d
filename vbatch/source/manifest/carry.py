"""Columns that are carried on: their types, and each row's values brought to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from vbatch.columns import AS, Misfit, Shape, as_json, fitter, output_names, plain_type
from vbatch.records import JsonValue  # noqa: TC001 - NamedTuple resolves it
from vbatch.source.manifest.cells import restorer
from vbatch.source.manifest.pictures import is_picture, reference_type
from vbatch.source.manifest.refs import BadValue, without_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from vbatch.source.manifest.layout import Layout

SETTLED_ROWS = 10_000
"""JSONL rows that say what type a column has."""

NAME = b"vbatch.name"
"""Key of a field's metadata: the manifest's own name, where the column is carried under another."""
ROLE = b"vbatch.role"
"""Key of a field's metadata: ``body`` marks the request of a Batch line in failures."""

_MAX_COLUMNS = 1000

Actions = dict[str, "tuple[str, Callable[[JsonValue], JsonValue] | None]"]
"""The manifest's own name of a column to its output name and what brings values to its type.

None: they are of that type already.
"""


class Carried(NamedTuple):
    """One row's values as the tables take them. ``extra`` is JSON text of what did not fit."""

    passthrough: dict[str, JsonValue]
    given: dict[str, JsonValue]
    extra: str | None


class Survey:
    """Settles the types while the manifest is scanned: by a schema, or by the first rows."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._columns: dict[str, pa.Field | Shape] = {}
        self._pictures: dict[str, pa.Field | Shape] = {}
        self.rows_left = SETTLED_ROWS

    def see_schema(self, schema: pa.Schema) -> None:
        """A Parquet file's columns. A later file can only say what a column of nulls holds."""
        first = not self._columns and not self._pictures
        for field in schema:
            if field.name in self._layout.consumed:
                self._see_picture(field)
                continue
            if is_picture(field.type):
                continue
            known = self._columns.get(field.name)
            null = isinstance(known, pa.Field) and pa.types.is_null(known.type)
            if null or (first and known is None):
                self._columns[field.name] = field

    def see_row(self, values: Mapping[str, JsonValue]) -> None:
        """One of the first rows of JSONL."""
        self.rows_left -= 1
        for name, value in values.items():
            if name in self._layout.consumed:
                self._see_reference(name, value)
            elif name in self._columns or len(self._columns) < _MAX_COLUMNS:
                _see(self._columns, name, value)

    def _see_reference(self, name: str, value: JsonValue) -> None:
        role = self._role(name)
        if role is not None and type(value) in {str, dict, list}:
            _see(self._pictures, role, without_bytes(value))

    def _see_picture(self, field: pa.Field) -> None:
        role = self._role(field.name)
        if role is not None:
            kept = reference_type(plain_type(field.type)) or pa.string()
            self._pictures.setdefault(role, pa.field(role, kept, metadata=field.metadata))

    def _role(self, name: str) -> str | None:
        roles = {self._layout.image[0]: "image", self._layout.images: "images"}
        return roles.get(name)

    @property
    def names(self) -> Collection[str]:
        """The manifest's own names of the columns seen, but those that vbatch reads."""
        return self._columns.keys()

    def carried(self) -> pa.Schema:
        """The carried columns under their output names."""
        outputs = output_names(self._columns)
        return pa.schema(
            [_output(_settled(name, held), outputs[name]) for name, held in self._columns.items()]
        )

    def given(self) -> pa.Schema:
        """What failures give back, so that they are a manifest: our names, images as references."""
        held = self._pictures or {"image": Shape()}
        fields = [_settled(role, held[role]) for role in ("image", "images") if role in held]
        fields += [pa.field(role, pa.string()) for role in ("prompt", "system")]
        fields.append(pa.field("params", pa.string(), metadata={AS: b"json"}))
        if self._layout.body is not None:
            fields.append(pa.field("body", pa.string(), metadata={AS: b"json", ROLE: b"body"}))
        return pa.schema(fields)


class Carrier:
    """Brings each row's values to the settled types."""

    def __init__(self, layout: Layout, carried: pa.Schema, given: pa.Schema) -> None:
        self._layout = layout
        self._carried = {own_name(field): field for field in carried}
        fitters = {field.name: fitter(field) for field in given}
        self._image = fitters.get("image", _misfit)
        self._roles = [
            (role, name, fitters.get(role, _misfit))
            for role, name in (layout.canonical() | {"body": layout.body}).items()
            if name is not None and role not in {"id", "image"}
        ]

    def actions(self, schema: pa.Schema | None = None) -> Actions:
        """What to do with each carried column. ``schema``: of the file, whose types are certain."""
        certain = {field.name: plain_type(field.type) for field in schema or ()}
        return {
            name: (
                field.name,
                None if _is_certain(field, certain.get(name)) else fitter(field),
            )
            for name, field in self._carried.items()
        }

    def carry(self, values: Mapping[str, JsonValue], image: JsonValue, actions: Actions) -> Carried:
        """One row's values; ``image`` is the value of its image column.

        Raises:
            BadValue: a value is nested too deeply to be written.
        """
        passthrough: dict[str, JsonValue] = {}
        extra: dict[str, JsonValue] = {}
        consumed = self._layout.consumed
        for name, value in values.items():
            if value is None or name in consumed:
                continue
            output, fit = actions.get(name, _NOWHERE)
            if fit is None:
                passthrough[output] = value
            else:
                _place(passthrough, output, extra, name, value, fit)
        given = self._give(values, image, extra)
        try:
            return Carried(passthrough, given, as_json(extra) if extra else None)
        except Misfit as e:
            raise BadValue(f"a value cannot be carried: {e}") from e

    def _give(
        self, values: Mapping[str, JsonValue], image: JsonValue, extra: dict[str, JsonValue]
    ) -> dict[str, JsonValue]:
        given: dict[str, JsonValue] = {}
        image = without_bytes(image)
        if image is not None:
            _place(given, "image", extra, "image", image, self._image)
        for role, name, fit in self._roles:
            value = values.get(name)
            if value is not None:
                value = without_bytes(value) if role == "images" else value
                _place(given, role, extra, role, value, fit)
        return given


def own_name(field: pa.Field) -> str:
    """The manifest's own name of a carried column."""
    written = (field.metadata or {}).get(NAME)
    return field.name if written is None else str(written.decode())


def _see(columns: dict[str, pa.Field | Shape], name: str, value: JsonValue) -> None:
    held = columns.get(name)
    if held is None:
        held = columns[name] = Shape()
    if isinstance(held, Shape):
        held.see(value)


def _settled(name: str, held: pa.Field | Shape) -> pa.Field:
    if isinstance(held, Shape):
        return held.field(name)
    written = (held.metadata or {}).get(AS)
    return pa.field(name, plain_type(held.type), metadata={AS: written} if written else None)


def _output(field: pa.Field, name: str) -> pa.Field:
    if name == field.name:
        return field
    return field.with_name(name).with_metadata(
        {**(field.metadata or {}), NAME: field.name.encode()}
    )


def _is_certain(field: pa.Field, t: pa.DataType | None) -> bool:
    return field.type == t and AS not in (field.metadata or {}) and restorer(field) is None


def _place(
    columns: dict[str, JsonValue],
    output: str,
    extra: dict[str, JsonValue],
    name: str,
    value: JsonValue,
    fit: Callable[[JsonValue], JsonValue],
) -> None:
    try:
        columns[output] = fit(value)
    except Misfit:
        extra[name] = value


def _misfit(_: JsonValue) -> JsonValue:
    raise Misfit


_NOWHERE = ("", _misfit)
"""What to do with a column that appeared too late to have one in the tables."""
