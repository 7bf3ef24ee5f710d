"""A schema that is closed and simple has one Arrow type; any other says why it has none."""

from __future__ import annotations

import pyarrow as pa
import pytest

from vbatch.columns.parsed import NotSimpleError, parsed_type


def closed(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties}


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ({"type": "string"}, pa.string()),
        ({"type": "integer"}, pa.int64()),
        ({"type": "number"}, pa.float64()),
        ({"type": ["number", "integer"]}, pa.float64()),
        ({"type": "boolean"}, pa.bool_()),
        ({"type": ["string", "null"]}, pa.string()),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, pa.int64()),
        ({"oneOf": [{"const": None}, {"type": "integer"}]}, pa.int64()),
        ({"enum": ["a", "b", None]}, pa.string()),
        ({"const": 5}, pa.int64()),
        ({"type": "array", "items": {"type": "string"}}, pa.list_(pa.string())),
        (closed(b={"type": "boolean"}), pa.struct([("b", pa.bool_())])),
        ({"$ref": "#/$defs/size"}, pa.float64()),
    ],
)
def test_a_property_has_the_type_it_says(inner, kind):
    schema = {**closed(a=inner), "$defs": {"size": {"type": "number"}}}

    assert parsed_type(schema) == pa.struct([("a", kind)])


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "additionalProperties"),
        (closed(), "names no properties"),
        ({"type": "array", "items": closed(a={"type": "string"})}, "no object"),
        ({"type": "string"}, "no object"),
        (closed(a={}), "may be anything"),
        (closed(a=True), "may be anything"),
        (closed(a={"type": "array"}), "may be anything"),
        (closed(a={"type": ["string", "integer"]}), "integer or string"),
        (closed(a={"type": "null"}), "anything"),
        (closed(a={"anyOf": [{"type": "string"}, {"type": "integer"}]}), "a choice"),
        (closed(a={"enum": ["a", 1]}), "integer or string"),
        (closed(a={"allOf": [{"type": "string"}]}), "allOf"),
        (closed(a={"type": "array", "prefixItems": []}), "prefixItems"),
        (closed(a={"$ref": "#"}), "refers to itself"),
        (closed(a={"$ref": "#/$defs/none"}), "may be anything"),
    ],
)
def test_what_has_no_one_type_says_where_and_why(schema, why):
    with pytest.raises(NotSimpleError, match=why):
        parsed_type(schema)
