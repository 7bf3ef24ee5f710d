"""Fields out of pictures as typed columns: asked for by a schema, checked, asked again if wrong."""

from __future__ import annotations

import json
import re

import pyarrow as pa
import pytest

import vbatch
from vbatch import api
from vbatch.server.faults import parse_faults

RECEIPT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["shop", "total", "items", "paid_by"],
    "properties": {
        "shop": {"type": "string"},
        "date": {"type": ["string", "null"], "format": "date"},
        "total": {"type": "number"},
        "paid_by": {"enum": ["cash", "card"]},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "count"],
                "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            },
        },
    },
}
PARSED = pa.struct(
    [
        ("shop", pa.string()),
        ("date", pa.string()),
        ("total", pa.float64()),
        ("paid_by", pa.string()),
        ("items", pa.list_(pa.struct([("name", pa.string()), ("count", pa.int64())]))),
    ]
)


@pytest.fixture
def receipts(workshop):
    """A job over four receipts that wants their fields; ``receipts(base_url, ...)`` writes it."""

    def write(base_url, schema=RECEIPT, **tables):
        (workshop.folder / "receipt.schema.json").write_text(json.dumps(schema))
        workshop.rows(4)
        request = {"response_schema": "receipt.schema.json", **tables.pop("request", {})}
        return workshop.job(base_url, request=request, **tables)

    return write


def table(workshop):
    return vbatch.open_run(workshop.folder / "run").results()


def test_fields_come_as_typed_columns(endpoint, workshop, receipts):
    server = endpoint(dialect="openai")

    summary = vbatch.run(receipts(server.base_url))

    assert (summary.exit_code, summary.answered) == (0, 4)
    results = table(workshop)
    assert results.schema.field("parsed").type == PARSED
    for row in results.to_pylist():
        assert row["parsed"] == {"date": None, **json.loads(row["text"])}
        assert row["parsed"]["items"][0]["count"] > 0


def test_a_run_without_rows_yet_has_the_typed_column_too(endpoint, workshop, receipts):
    server = endpoint(dialect="openai", faults=parse_faults("401:1"))

    assert vbatch.run(receipts(server.base_url)).exit_code == 4

    assert table(workshop).schema.field("parsed").type == PARSED


def test_the_typed_columns_load_as_a_dataset(endpoint, workshop, receipts, tmp_path):
    datasets = pytest.importorskip("datasets")
    server = endpoint(dialect="openai")
    vbatch.run(receipts(server.base_url))

    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(workshop.folder / "run" / "results" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )

    assert set(loaded.features["parsed"]) == {"shop", "date", "total", "paid_by", "items"}
    assert isinstance(loaded[0]["parsed"]["total"], float)


def test_an_answer_that_breaks_the_schema_is_asked_again_and_its_tokens_are_wasted(
    endpoint, workshop, receipts
):
    server = endpoint(dialect="openai", faults=parse_faults("prose@1"))

    summary = vbatch.run(receipts(server.base_url, limits={"max_in_flight": 1}))

    assert (summary.exit_code, summary.answered) == (0, 4)
    assert sorted(row["attempts"] for row in table(workshop).to_pylist()) == [1, 1, 1, 2]
    prompts = [entry.prompt for entry in server.entries]
    assert sum("does not follow the JSON Schema" in prompt for prompt in prompts) == 1
    (usage,) = vbatch.open_run(workshop.folder / "run").usage().to_pylist()
    first = server.entries[0]
    assert usage["wasted_tokens"] == first.prompt_tokens + first.completion_tokens
    assert usage["total_tokens"] == server.sums["total_tokens"]


def test_an_answer_that_stays_wrong_fails_its_row_and_is_kept(endpoint, workshop, receipts):
    server = endpoint(dialect="openai", faults=parse_faults("prose:1"))

    summary = vbatch.run(receipts(server.base_url, retry={"on_invalid": 2}))

    assert (summary.exit_code, summary.answered, summary.failed) == (3, 0, 4)
    for row in vbatch.open_run(workshop.folder / "run").failures().to_pylist():
        assert (row["code"], row["stage"], row["retryable"]) == ("schema_mismatch", "answer", False)
        assert row["attempts"] == 3
        assert "request.response_schema" in row["message"]
        assert row["response_body"].startswith("Well, I would say")


def test_an_answer_cut_at_its_token_cap_is_not_asked_again(endpoint, workshop, receipts):
    server = endpoint(dialect="openai")

    summary = vbatch.run(receipts(server.base_url, request={"max_tokens": 5}))

    assert (summary.exit_code, summary.failed) == (3, 4)
    assert server.sums["requests"] == 4
    (message,) = {
        row["message"] for row in vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    }
    assert "raise request.max_tokens" in message


def test_an_open_schema_comes_as_json_text(endpoint, workshop, receipts):
    server = endpoint(dialect="openai")
    job = receipts(server.base_url, {"type": "object", "properties": {"n": {"type": "integer"}}})

    assert vbatch.run(job).answered == 4

    results = table(workshop)
    assert results.schema.field("parsed").type == pa.string()
    assert all(json.loads(row["parsed"])["n"] > 0 for row in results.to_pylist())


def test_another_schema_is_another_run(endpoint, workshop, receipts):
    server = endpoint(dialect="openai")
    vbatch.run(receipts(server.base_url))
    narrow = {**RECEIPT, "properties": {**RECEIPT["properties"], "shop": {"type": "integer"}}}
    job = receipts(server.base_url, narrow)
    workshop.manifest([{"id": "new", "image": "one.jpg", "prompt": "new"}])

    with pytest.raises(vbatch.errors.Mismatch, match="cannot change within a run"):
        vbatch.run(job, accept_change=True)
    assert vbatch.run(job, fresh=True).answered == 1


def test_retry_needs_no_schema_file_any_more(endpoint, workshop, receipts):
    server = endpoint(dialect="openai", faults=parse_faults("prose@1"))
    vbatch.run(receipts(server.base_url, limits={"max_in_flight": 1}, retry={"on_invalid": 0}))
    (workshop.folder / "receipt.schema.json").unlink()

    assert vbatch.retry(workshop.folder / "run").answered == 1

    assert table(workshop).num_rows == 4
    assert table(workshop).schema.field("parsed").type == PARSED


def test_a_gateway_without_schemas_is_told_in_words(endpoint, workshop, receipts):
    server = endpoint(dialect="openai")
    (workshop.folder / "mine.toml").write_text(
        'base_url = "https://example.com/v1"\n[request]\nstructured = "prompt"\n'
    )
    job = receipts(server.base_url, {"type": "object"}, endpoint={"profile": "./mine.toml"})

    assert vbatch.run(job).answered == 4

    assert all("JSON Schema" in entry.prompt for entry in server.entries)
    assert all(json.loads(row["parsed"])["images"] for row in table(workshop).to_pylist())


def test_properties_in_another_order_are_the_same_schema(endpoint, workshop, receipts):
    server = endpoint(dialect="openai")
    vbatch.run(receipts(server.base_url), limit=2)
    reordered = {**RECEIPT, "properties": dict(reversed(RECEIPT["properties"].items()))}

    assert vbatch.run(receipts(server.base_url, reordered)).answered == 2

    assert table(workshop).schema.field("parsed").type == PARSED
    assert table(workshop).num_rows == 4


def test_a_retry_cannot_ask_for_other_columns(endpoint, workshop, receipts):
    server = endpoint(dialect="openai", faults=parse_faults("prose@1"))
    vbatch.run(receipts(server.base_url, limits={"max_in_flight": 1}, retry={"on_invalid": 0}))

    for override in ("request.response_schema=other.json", "request.raw=true"):
        with pytest.raises(vbatch.errors.Mismatch, match="cannot change"):
            vbatch.retry(workshop.folder / "run", overrides=[override])


def test_a_column_raw_of_the_manifest_and_ours_are_not_mixed_up(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    workshop.manifest([{"id": "a", "image": "one.jpg", "prompt": "x", "raw": "mine"}])

    with pytest.raises(vbatch.errors.JobError, match="call it something else"):
        vbatch.run(workshop.job(server.base_url, request={"raw": True}))
    assert vbatch.run(workshop.job(server.base_url)).answered == 1
    assert table(workshop)["raw"].to_pylist() == ["mine"]


def test_what_moderation_left_of_an_answer_is_kept(endpoint, workshop, receipts):
    server = endpoint(dialect="openai", faults=parse_faults("filter:1"))

    summary = vbatch.run(receipts(server.base_url))

    assert summary.answered == 4
    assert server.sums["requests"] == 4
    rows = table(workshop).to_pylist()
    assert [(row["finish_reason"], row["parsed"]) for row in rows] == [("content_filter", None)] * 4


def test_a_call_of_a_tool_follows_no_schema(endpoint, workshop, receipts):
    server = endpoint(dialect="openai")
    job = receipts(server.base_url)
    job.write_text(
        job.read_text()
        + '\n[[request.tools]]\ntype = "function"\nfunction = {name = "f", parameters = {}}\n'
    )

    assert vbatch.run(job, overrides=["request.tool_choice=required"]).answered == 4
    assert [row["parsed"] for row in table(workshop).to_pylist()] == [None] * 4


@pytest.mark.parametrize(
    ("schema", "said"),
    [(RECEIPT, "5 typed fields"), ({"type": "object"}, r"JSON text, as \$ names no properties")],
)
def test_check_says_what_becomes_of_the_fields(endpoint, receipts, schema, said):
    server = endpoint(dialect="openai")

    notes = api.check(api.load(receipts(server.base_url, schema))).notes

    assert any(re.search(said, note) for note in notes)
