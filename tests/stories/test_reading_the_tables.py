"""What vbatch writes is read by what people use, also when it is empty or all null."""

from __future__ import annotations

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vbatch

RESULT_COLUMNS = {
    "id": pa.string(),
    "row": pa.int64(),
    "text": pa.string(),
    "finish_reason": pa.string(),
    "refusal": pa.string(),
    "tool_calls": pa.string(),
    "parsed": pa.string(),
    "images": pa.list_(pa.string()),
    "prompt": pa.string(),
    "model": pa.string(),
    "endpoint": pa.string(),
    "response_id": pa.string(),
    "prompt_tokens": pa.int64(),
    "completion_tokens": pa.int64(),
    "total_tokens": pa.int64(),
    "cached_tokens": pa.int64(),
    "reasoning_tokens": pa.int64(),
    "cost": pa.float64(),
    "attempts": pa.int32(),
    "latency_s": pa.float64(),
    "started_at": pa.timestamp("ms", "UTC"),
    "finished_at": pa.timestamp("ms", "UTC"),
    "image_sha256": pa.list_(pa.string()),
    "row_digest": pa.string(),
    "job_digest": pa.string(),
    "invocation": pa.string(),
}
FAILURE_COLUMNS = [
    "id",
    "row",
    "file",
    "line",
    "code",
    "stage",
    "message",
    "http_status",
    "provider_code",
    "retryable",
    "attempts",
    "possibly_billed",
    "prompt_tokens",
    "completion_tokens",
    "request_id",
    "response_body",
    "first_at",
    "last_at",
    "invocation",
]


@pytest.fixture
def run(endpoint, workshop):
    """A run with two answers, one failure, and a column that is all null."""
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    rows = [
        {"id": "a", "image": "one.jpg", "prompt": "hello", "page": 1, "note": None},
        {"id": "b", "image": "one.jpg", "prompt": "hello", "page": 2, "note": None},
        {"id": "c", "image": "gone.jpg", "prompt": "hello", "page": 3, "note": None},
    ]
    workshop.manifest(rows)
    assert vbatch.run(workshop.job(server.base_url)).exit_code == 3
    return workshop.folder / "run"


@pytest.fixture
def empty_run(endpoint, workshop):
    """A run over a manifest without rows."""
    (workshop.folder / "manifest.jsonl").touch()
    server = endpoint(dialect="openai")
    assert vbatch.run(workshop.job(server.base_url)).exit_code == 0
    return workshop.folder / "run"


def read_with_each(folder) -> dict[str, int]:
    """Rows that each library finds in a table's folder."""
    files = f"{folder}/*.parquet"
    return {
        "pandas": len(pd.read_parquet(folder)),
        "polars": pl.read_parquet(files).height,
        "duckdb": duckdb.sql(f"select count(*) from '{files}'").fetchall()[0][0],
        "pyarrow": pq.read_table(folder).num_rows,
    }


def test_every_library_reads_every_table(run):
    assert set(read_with_each(run / "results").values()) == {2}
    assert set(read_with_each(run / "failures").values()) == {1}
    assert pd.read_parquet(run / "usage.parquet")["answered"].tolist() == [2]


def test_tables_without_rows_have_the_whole_schema(empty_run):
    assert set(read_with_each(empty_run / "results").values()) == {0}
    assert set(read_with_each(empty_run / "failures").values()) == {0}
    assert "text" in pl.read_parquet(f"{empty_run}/results/*.parquet").columns
    assert len(pd.read_parquet(empty_run / "usage.parquet")) == 0


@pytest.mark.parametrize("name", ["run", "empty_run"])
def test_results_have_the_promised_columns_in_order(name, request):
    folder = request.getfixturevalue(name)
    schema = pq.read_table(folder / "results").schema
    promised = dict(zip(schema.names, schema.types, strict=True))
    assert list(promised)[: len(RESULT_COLUMNS)] == list(RESULT_COLUMNS)
    assert {n: t for n, t in promised.items() if n in RESULT_COLUMNS} == RESULT_COLUMNS
    assert schema.names[-1] == "extra"


def test_failures_have_the_promised_columns_in_order(run):
    names = pq.read_table(run / "failures").schema.names
    assert names[: len(FAILURE_COLUMNS)] == FAILURE_COLUMNS
    assert {"image", "prompt", "system", "params", "page", "note"} <= set(names)


def test_carried_columns_keep_their_types(run):
    schema = pq.read_table(run / "results").schema
    assert schema.field("page").type == pa.int64()
    assert schema.field("note").type == pa.string()


def test_hugging_face_datasets_loads_the_folder(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    results = datasets.load_dataset(str(run), cache_dir=str(tmp_path / "cache"), split="train")
    assert sorted(results["id"]) == ["a", "b"]
    failures = datasets.load_dataset(
        str(run), "failures", cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert failures["code"] == ["image_not_found"]


def test_hugging_face_datasets_sees_a_run_that_grew(endpoint, workshop, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    server = endpoint(dialect="openai")
    workshop.rows(8)
    job = workshop.job(server.base_url)
    sizes = []
    for limit in (3, None):
        vbatch.run(job, limit=limit)
        loaded = datasets.load_dataset(
            str(workshop.folder / "run"), cache_dir=str(tmp_path / "cache"), split="train"
        )
        sizes.append(len(loaded))
    assert sizes == [3, 8]
