"""The tables' columns: names, order and types, the same for every part of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa

from vbatch import columns
from vbatch.columns.parsed import NotSimpleError, parsed_type
from vbatch.sink.layout import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbatch.records import JsonValue
    from vbatch.sink.kept import Kept
    from vbatch.sink.layout import Table

MOMENT = pa.timestamp("ms", tz="UTC")
TEXTS = pa.list_(pa.string())

METADATA_KEY = b"vbatch"
"""Of a table's Parquet metadata: JSON with ``table``, ``format_version`` and ``renamed``."""

RESULTS = pa.schema(
    [
        ("id", pa.string()),
        ("row", pa.int64()),
        ("text", pa.string()),
        ("finish_reason", pa.string()),
        ("refusal", pa.string()),
        ("tool_calls", pa.string()),
        ("parsed", pa.string()),
        ("images", TEXTS),
        ("prompt", pa.string()),
        ("model", pa.string()),
        ("endpoint", pa.string()),
        ("response_id", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("total_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("cost", pa.float64()),
        ("attempts", pa.int32()),
        ("latency_s", pa.float64()),
        ("started_at", MOMENT),
        ("finished_at", MOMENT),
        ("image_sha256", TEXTS),
        ("row_digest", pa.string()),
        ("job_digest", pa.string()),
        ("invocation", pa.string()),
    ]
)
"""Followed by the manifest's other columns, then ``EXTRA``."""

FAILURES = pa.schema(
    [
        ("id", pa.string()),
        ("row", pa.int64()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("code", pa.string()),
        ("stage", pa.string()),
        ("message", pa.string()),
        ("http_status", pa.int32()),
        ("provider_code", pa.string()),
        ("retryable", pa.bool_()),
        ("attempts", pa.int32()),
        ("possibly_billed", pa.int32()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("request_id", pa.string()),
        ("response_body", pa.string()),
        ("first_at", MOMENT),
        ("last_at", MOMENT),
        ("invocation", pa.string()),
    ]
)
"""Followed by image or images, prompt, ... as given, the manifest's other columns, ``extra``."""

PRIVATE = pa.schema(
    [
        ("vbatch.row_digest", pa.string()),
        ("vbatch.job_digest", pa.string()),
        ("vbatch.server_errors", pa.int32()),
        ("vbatch.total_tokens", pa.int64()),
        ("vbatch.cached_tokens", pa.int64()),
        ("vbatch.reasoning_tokens", pa.int64()),
        ("vbatch.cost", pa.string()),
    ]
)
"""What picking up needs of a failure and its public table does not show."""

SCHEMA = "request.response_schema"
"""Where a run's question has the JSON Schema that ``parsed`` follows."""

RAW = pa.field("raw", pa.string())
"""After our own columns, where the job asks for it."""
FIXED = (SCHEMA, "request.raw")
"""What decides about columns, and so never changes within a run."""
EXTRA = pa.field("extra", pa.string())

USAGE = pa.schema(
    [
        ("invocation", pa.string()),
        ("model", pa.string()),
        ("endpoint", pa.string()),
        ("started_at", MOMENT),
        ("finished_at", MOMENT),
        *(
            (name, pa.int64())
            for name in (
                "rows",
                "answered",
                "failed",
                "requests",
                "retries",
                "throttled",
                "possibly_billed",
                "images",
                "image_bytes",
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "cached_tokens",
                "reasoning_tokens",
                "wasted_tokens",
            )
        ),
        ("cost", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schemas:
    """Every table's whole schema in one run. ``carried`` and ``given`` are the manifest's part."""

    carried: pa.Schema
    given: pa.Schema
    results: pa.Schema
    failures: pa.Schema
    failed: pa.Schema
    superseded: pa.Schema
    with_raw: bool = False
    """Whether ``RAW`` follows our own columns; the manifest may have one of that name."""

    def of(self, table: Table) -> pa.Schema:
        """The schema of one table."""
        schema: pa.Schema = getattr(self, table)
        return schema


def schemas_of(kept: Kept) -> Schemas:
    """The schemas of a run that keeps this."""
    carried = columns.deserialize(kept.carried_schema).remove_metadata()
    given = columns.deserialize(kept.given_schema).remove_metadata()
    schema = kept.question.get(SCHEMA)
    own = [f if f.name != "parsed" else pa.field("parsed", type_of(schema)) for f in RESULTS]
    with_raw = bool(kept.question.get("request.raw"))
    results = pa.schema([*own, *([RAW] if with_raw else []), *carried, EXTRA])
    failures = pa.schema([*FAILURES, *given, *carried, EXTRA])
    renamed = dict(kept.renamed)
    return Schemas(
        carried=carried,
        given=given,
        with_raw=with_raw,
        results=_labelled(results, "results", renamed),
        superseded=_labelled(results, "superseded", renamed),
        failures=_labelled(failures, "failures", renamed),
        failed=_labelled(pa.schema([*PRIVATE, *failures]), "failed", renamed),
    )


def type_of(response_schema: Mapping[str, JsonValue] | None) -> pa.DataType:
    """Of the column ``parsed``: a struct where the schema is closed and simple, else JSON text."""
    if response_schema is None:
        return pa.string()
    try:
        return parsed_type(response_schema)
    except NotSimpleError:
        return pa.string()


def labelled_usage() -> pa.Schema:
    """The schema of usage.parquet."""
    return _labelled(USAGE, "usage", {})


def _labelled(schema: pa.Schema, table: str, renamed: dict[str, str]) -> pa.Schema:
    label = {"table": table, "format_version": FORMAT_VERSION, "renamed": renamed}
    return schema.with_metadata({METADATA_KEY: orjson.dumps(label)})
