"""A failures table given back as a manifest: our columns go, the manifest's own come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from vbatch.columns import FAILURE_NAMES
from vbatch.source.manifest.carry import ROLE, own_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from vbatch.job import Columns

_ABOUT = b"vbatch"
"""Key of the schema's metadata under which every table of a run says what it is."""

_ROLES = ("id", "image", "images", "prompt", "system", "params")


def about_failures(schema: pa.Schema) -> Mapping[str, Any] | None:
    """What a failures table says of itself; None for any other Parquet file."""
    try:
        about = orjson.loads((schema.metadata or {}).get(_ABOUT, b"null"))
    except orjson.JSONDecodeError:
        return None
    is_failures = isinstance(about, dict) and about.get("table") == "failures"
    return about if is_failures else None


def own_names(schema: pa.Schema, columns: Columns) -> dict[str, str]:
    """Each column that is read, to the manifest's own name for it. ``extra`` is not among them."""
    about = about_failures(schema)
    if about is None:
        return {name: name for name in schema.names}
    names = {role: name for role, name in role_names(columns).items() if role in schema.names}
    renamed = about.get("renamed")
    renamed = renamed if isinstance(renamed, dict) else {}
    for field in schema:
        if (field.metadata or {}).get(ROLE) == b"body":
            names |= {field.name: "body", "id": "custom_id"}
        elif field.name not in FAILURE_NAMES:
            names[field.name] = str(renamed.get(field.name) or own_name(field))
    return names


def role_names(columns: Columns) -> dict[str, str]:
    """Our names to the manifest's, as the job gives them; without those that it ignores."""
    names = {role: getattr(columns, role) for role in _ROLES}
    return {role: name for role, name in names.items() if name}
