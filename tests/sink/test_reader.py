"""A run is read from outside by us and by the tools people use."""

from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.sink import rows
from tests.sink.clocks import ByHand
from tests.sink.disks import Quick
from vbatch.errors import Corrupt, Mismatch
from vbatch.sink.journal import Rolling
from vbatch.sink.layout import Layout
from vbatch.sink.parts import put_table, read_part
from vbatch.sink.reader import open_run
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.views import Standing
from vbatch.state import Counts

WIDE = pa.schema(
    [
        ("label", pa.string()),
        ("n", pa.int64()),
        ("never", pa.float64()),
        ("box", pa.list_(pa.float32())),
        ("who", pa.struct([("name", pa.string())])),
    ]
)


async def make(root, *events, standing=Standing(name="n")):  # noqa: B008
    folder = RunFolder.open(
        root, clock=ByHand(), invocation="i1", storage=Quick(), rolling=Rolling(outcomes=1)
    )
    folder.keep(rows.kept(carried=WIDE))
    await folder.start()
    for event in events:
        await folder.record(event)
    await folder.finish(standing)
    return root


@pytest.fixture
async def full(tmp_path):
    """One answered row, one failed, one superseded answer."""
    return await make(
        tmp_path / "run",
        rows.completed(text="old"),
        rows.completed(passthrough={"label": "cat", "n": 1, "box": [1.0], "who": {"name": "x"}}),
        rows.failed("b"),
        standing=Standing(name="captions", counts=Counts(rows=2, answered=1, failed=1)),
    )


@pytest.fixture
async def empty(tmp_path):
    return await make(tmp_path / "run")


async def test_all_four_tables_are_there(full):
    run = open_run(full)

    assert [(r["id"], r["text"]) for r in run.results().to_pylist()] == [("a", "yes")]
    assert [(r["id"], r["code"]) for r in run.failures().to_pylist()] == [("b", "timeout")]
    assert [(r["id"], r["text"]) for r in run.superseded().to_pylist()] == [("a", "old")]
    assert run.usage()["answered"].to_pylist() == [2]


async def test_answers_are_counted_without_reading_them(full, tmp_path):
    bare = await make(tmp_path / "bare")

    assert (open_run(full).answered, open_run(bare).answered) == (1, 0)


async def test_a_part_that_cannot_be_counted_is_named(full):
    path = Layout(root=full).part("results", 2)
    path.write_bytes(b"torn")

    with pytest.raises(Corrupt, match=path.name):
        _ = open_run(full).answered


async def test_a_part_of_a_newer_vbatch_is_not_counted(full):
    label = {b"vbatch": b'{"format_version": 2}'}
    table = pa.table({"id": ["a"]}).replace_schema_metadata(label)
    put_table(Quick(), Layout(root=full).part("results", 2), table)

    with pytest.raises(Mismatch, match="newer"):
        _ = open_run(full).answered


async def test_an_empty_run_has_tables_with_their_whole_schema(empty):
    run = open_run(empty)

    assert run.results().num_rows == run.failures().num_rows == run.superseded().num_rows == 0
    assert run.results().schema.names[-6:] == ["label", "n", "never", "box", "who", "extra"]
    assert run.failures().schema.names[-6:] == ["label", "n", "never", "box", "who", "extra"]
    assert run.usage().num_rows == 0


async def test_between_a_kill_and_the_next_command_the_higher_part_holds(full):
    layout = Layout(root=full)
    older = read_part(layout.part("superseded", 2)).replace_schema_metadata(None)
    put_table(Quick(), layout.part("results", 1), older)
    failure = read_part(layout.part("failures", 3))
    put_table(Quick(), layout.part("failures", 1), failure.set_column(0, "id", pa.array(["a"])))

    run = open_run(full)

    assert run.results()["text"].to_pylist() == ["yes"]
    assert run.failures()["id"].to_pylist() == ["b"]


async def test_a_run_that_never_got_to_its_tables_is_read_as_empty(tmp_path):
    (tmp_path / ".vbatch").mkdir()

    run = open_run(tmp_path)

    assert run.results().num_rows == run.failures().num_rows == run.usage().num_rows == 0
    assert run.status() == {"state": "never begun"}


async def test_what_is_no_run_or_from_a_newer_vbatch_is_refused(tmp_path, full):
    with pytest.raises(Mismatch, match="is no run"):
        open_run(tmp_path / "nothing")
    (full / "run.json").write_text('{"format_version": 2}')
    with pytest.raises(Mismatch, match="newer"):
        open_run(full)
    (full / "run.json").write_text("{")
    with pytest.raises(Corrupt, match=r"run\.json"):
        open_run(full)


async def test_a_part_that_goes_while_we_read_is_looked_for_again(full, monkeypatch):
    layout = Layout(root=full)
    listed = [[2, 9], [2], [2]]
    monkeypatch.setattr(Layout, "parts", lambda self, table: listed.pop(0) if listed else [])

    assert open_run(full)._parts("results")[2]["id"].to_pylist() == ["a"]
    monkeypatch.undo()
    layout.part("results", 2).write_bytes(b"torn")
    with pytest.raises(Corrupt):
        open_run(full).results()


@pytest.mark.parametrize("table", ["results", "failures", "superseded", "usage.parquet"])
async def test_pandas_polars_and_duckdb_read_every_table(full, table):
    path = full / table
    glob = str(path / "*.parquet") if path.is_dir() else str(path)

    assert len(pd.read_parquet(path)) == 1
    assert pl.read_parquet(glob).height == 1
    assert duckdb.sql(f"select * from '{glob}'").pl().height == 1


@pytest.mark.parametrize("table", ["results", "failures", "usage.parquet"])
async def test_pandas_polars_and_duckdb_read_a_table_without_rows(empty, table):
    path = empty / table
    glob = str(path / "*.parquet") if path.is_dir() else str(path)

    assert len(pd.read_parquet(path)) == 0
    assert pl.read_parquet(glob).height == 0
    found = duckdb.sql(f"select * from '{glob}'").pl()
    assert (found.height, found.columns) == (0, pl.read_parquet(glob).columns)


LOAD = """
import datasets, sys
path = sys.argv[1]
print(datasets.get_dataset_config_names(path))
print(len(datasets.load_dataset(path, split="train")))
for name in sys.argv[2:]:
    rows = datasets.load_dataset(path, name, split="train")
    print(name, list(rows["id"]), "extra" in rows.column_names)
"""


@pytest.mark.slow
def test_the_folder_loads_as_a_hugging_face_dataset(full, tmp_path):
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD, full, "results", "failures", "superseded"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [
        "['results', 'failures', 'superseded']",
        "1",
        "results ['a'] True",
        "failures ['b'] True",
        "superseded ['a'] True",
    ]


async def test_the_readme_names_only_tables_that_have_rows(full, tmp_path):
    text = (full / "README.md").read_text()
    bare = (await make(tmp_path / "bare") / "README.md").read_text()

    assert text.startswith("---\nconfigs:\n- config_name: results\n  default: true\n")
    assert "# captions" in text
    assert "1 rows answered" in text
    assert "an id can stand in two parts" in text
    assert bare.startswith("# n\n")
