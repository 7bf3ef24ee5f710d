"""Entries become rows; what fits no column goes to ``extra`` and never stops a commit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sink import rows
from vbatch.records import Usage
from vbatch.sink import codec, tables
from vbatch.sink.schemas import METADATA_KEY, schemas_of

SCHEMAS = schemas_of(rows.kept())


def entries(*events) -> list:
    return codec.loads(codec.dumps([codec.entry(event) for event in events]))


def result_row(event, schemas=SCHEMAS) -> dict:
    (row,) = tables.results(entries(event), schemas).to_pylist()
    return row


def failed_row(event) -> dict:
    (row,) = tables.failed(entries(event), SCHEMAS).to_pylist()
    return row


def test_the_tables_have_the_promised_columns_in_their_order():
    assert " ".join(SCHEMAS.results.names) == (
        "id row text finish_reason refusal tool_calls parsed images prompt model endpoint "
        "response_id prompt_tokens completion_tokens total_tokens cached_tokens reasoning_tokens "
        "cost attempts latency_s started_at finished_at image_sha256 row_digest job_digest "
        "invocation label n extra"
    )
    assert " ".join(SCHEMAS.failures.names) == (
        "id row file line code stage message http_status provider_code retryable attempts "
        "possibly_billed prompt_tokens completion_tokens request_id response_body first_at last_at "
        "invocation image prompt label n extra"
    )
    label = orjson.loads(SCHEMAS.failures.metadata[METADATA_KEY])
    assert label == {"table": "failures", "format_version": 1, "renamed": {"in_id": "id"}}
    assert SCHEMAS.superseded.equals(SCHEMAS.results)
    assert SCHEMAS.of("failed").names[-24:] == SCHEMAS.failures.names


def test_a_result_stands_in_its_columns():
    used = rows.usage(15, cached_tokens=1, reasoning_tokens=2, cost=Decimal("0.25"))
    event = rows.completed(
        usage=used, row=7, images=("a.jpg", None), image_sha256=(None, "f" * 64), extra='{"x":1}'
    )

    assert result_row(event) == {
        "id": "a",
        "row": 7,
        "text": "yes",
        "finish_reason": "stop",
        "refusal": None,
        "tool_calls": None,
        "parsed": None,
        "images": ["a.jpg", None],
        "prompt": "look",
        "model": "m-2",
        "endpoint": "http://e",
        "response_id": "r-1",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "cached_tokens": 1,
        "reasoning_tokens": 2,
        "cost": 0.25,
        "attempts": 1,
        "latency_s": 0.5,
        "started_at": datetime.fromtimestamp(rows.T0, UTC),
        "finished_at": datetime.fromtimestamp(rows.T0 + 1, UTC),
        "image_sha256": [None, "f" * 64],
        "row_digest": "d1",
        "job_digest": "j" * 32,
        "invocation": "i1",
        "label": "cat",
        "n": 1,
        "extra": '{"x":1}',
    }


def test_a_failure_shows_what_people_need_and_keeps_what_picking_up_needs():
    row = failed_row(
        rows.failed(
            file="m.jsonl", line=3, http_status=504, server_errors=2, extra='{"x":1}', row=7
        )
    )

    assert (row["file"], row["line"], row["http_status"], row["row"]) == ("m.jsonl", 3, 504, 7)
    assert (row["code"], row["stage"], row["retryable"]) == ("timeout", "request", True)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (2, 5)
    assert (row["image"], row["prompt"], row["label"]) == ("a.jpg", None, "cat")
    assert row["vbatch.row_digest"] == "d1"
    assert (row["vbatch.server_errors"], row["vbatch.total_tokens"]) == (2, 7)
    assert (row["vbatch.cost"], row["extra"]) == ("0.5", '{"x":1}')


def test_the_public_table_shows_no_private_column():
    table = pa.Table.from_batches([tables.failed(entries(rows.failed()), SCHEMAS)])

    assert tables.public(table, SCHEMAS).schema.equals(SCHEMAS.failures, check_metadata=True)


def test_a_column_of_one_value_is_as_good_as_any():
    batch = tables.results(entries(*(rows.completed(f"r{n}") for n in range(3))), SCHEMAS)

    assert batch.column("model").to_pylist() == ["m-2"] * 3
    assert batch.column("id").to_pylist() == ["r0", "r1", "r2"]


@pytest.mark.parametrize("odd", [1.5, "12", True, 2**63, [1]])
def test_a_count_that_is_none_leaves_null_and_is_kept_in_extra(odd):
    row = result_row(rows.completed(usage=Usage(total_tokens=odd), extra='{"x": 1}'))

    assert row["total_tokens"] is None
    assert orjson.loads(row["extra"]) == {"x": 1, "total_tokens": odd}


def test_carried_values_that_no_longer_fit_and_unknown_ones_go_to_extra():
    event = rows.completed(passthrough={"label": "cat", "n": "many", "new": [1]})
    row = result_row(event)

    assert (row["label"], row["n"]) == ("cat", None)
    assert orjson.loads(row["extra"]) == {"n": "many", "new": [1]}


def test_a_failures_misfits_stand_in_extra():
    row = failed_row(rows.failed(given={"image": "a", "odd": 1}, passthrough=None))

    assert (row["image"], row["label"]) == ("a", None)
    assert orjson.loads(row["extra"]) == {"odd": 1}


@pytest.mark.parametrize("extra", ["no json", "[1]"])
def test_an_extra_of_another_kind_is_kept_as_it_is(extra):
    row = result_row(rows.completed(passthrough={"new": 1}, extra=extra))

    kept = orjson.loads(row["extra"])
    assert kept["new"] == 1
    assert kept["extra"] == (extra if extra == "no json" else [1])


KINDS = [
    pa.int8(),
    pa.float32(),
    pa.bool_(),
    pa.string(),
    pa.binary(),
    pa.decimal128(6, 2),
    pa.timestamp("us", tz="Europe/Berlin"),
    pa.date32(),
    pa.duration("s"),
    pa.list_(pa.int16()),
    pa.struct([("a", pa.int64())]),
    pa.map_(pa.string(), pa.int32()),
]
WIDE = schemas_of(rows.kept(carried=pa.schema([(f"c{n}", kind) for n, kind in enumerate(KINDS)])))
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(values, min_size=len(KINDS), max_size=len(KINDS)), min_size=1, max_size=3))
def test_no_carried_value_ever_stops_a_commit(table):
    events = [
        rows.completed(passthrough={f"c{n}": value for n, value in enumerate(row)}) for row in table
    ]

    batch = tables.results(entries(*events), WIDE)

    batch.validate(full=True)
    assert batch.num_rows == len(table)


def test_text_where_money_belongs_is_kept_in_extra():
    row = result_row(rows.completed(usage=Usage(cost="free")))

    assert row["cost"] is None
    assert orjson.loads(row["extra"]) == {"cost": "free"}
