"""Whatever a Parquet manifest holds, it is rows, bad rows, or a refusal that names the file."""

import os
import shutil

import pyarrow as pa
import pytest

from tests.corpora import tables
from tests.corpora.cases import Case, part_of
from tests.corpora.rows import judge_in, read_all
from vbatch.errors import ManifestError
from vbatch.job import Columns
from vbatch.source.manifest import Manifest


@pytest.mark.parametrize("part", range(4))
def test_a_table_cut_at_any_byte_is_refused(tmp_path, part, corpus):
    words = corpus.go_through(part_of(tables.cut_short(), part, 4), judge_in(tmp_path))
    assert words.keys() == {"refused"}


@pytest.mark.parametrize("part", range(4))
def test_a_damaged_table_is_rows_or_refused(tmp_path, part, corpus):
    words = corpus.go_through(part_of(tables.damaged_anywhere(), part, 4), judge_in(tmp_path))
    assert min(words["rows"], words["refused"]) > 10


@pytest.mark.parametrize("part", range(4))
def test_a_table_with_a_damaged_footer_is_rows_or_refused(tmp_path, part, corpus):
    words = corpus.go_through(part_of(tables.flipped_footers(), part, 4), judge_in(tmp_path))
    assert min(words["rows"], words["refused"]) > 10


@pytest.mark.parametrize("part", range(4))
def test_a_column_of_any_type_can_stand_for_anything(tmp_path, part, corpus):
    words = corpus.go_through(part_of(tables.typed(), part, 4), judge_in(tmp_path))
    assert words["rows"] > 50


def test_a_table_of_an_unusual_build_is_rows_or_refused(tmp_path, corpus):
    words = corpus.go_through(tables.odd_shapes(), judge_in(tmp_path))
    assert words["rows"] > 10


def test_a_table_whose_end_lies_is_refused(tmp_path, corpus):
    words = corpus.go_through(tables.odd_footers(), judge_in(tmp_path))
    assert words["refused"] > 15


@pytest.mark.parametrize("part", range(4))
def test_parts_of_a_folder_need_not_agree_on_types(tmp_path, part, corpus):
    """What does not fit the first part's column stands in ``extra``."""

    def judge(case):
        one, other = (tables.columns()[kind] for kind in case.name.split(" beside "))
        for name, column in (("a", one), ("b", other)):
            rest = {"id": [f"{name}{n}" for n in range(3)], "image": ["a.jpg"] * 3}
            (tmp_path / f"{name}.parquet").write_bytes(
                tables.written(pa.table({**rest, "label": column}))
            )
        word, rows = read_all(tmp_path)
        assert len(rows) in {0, 6}
        return word

    words = corpus.go_through(part_of(pairs(), part, 4), judge)
    assert words["rows"] > 50


def pairs():
    """Every type beside a few others."""
    kinds = list(tables.columns())
    for place, kind in enumerate(kinds):
        for step in (1, 5, 11, 17, 23):
            yield Case(f"{kind} beside {kinds[(place + step) % len(kinds)]}", b"")


@pytest.mark.parametrize("part", range(2))
def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path, part, corpus):
    """Rows seen by then are those of the old file; never one of neither."""
    path = tmp_path / "m.parquet"
    old = [f"r{n}" for n in range(6)]

    def judge(case):
        path.write_bytes(tables.plain())
        manifest = Manifest([str(path)], columns=Columns(), prompt="p")
        rows = manifest.rows(manifest.scan())
        seen = [next(rows).id]
        path.write_bytes(case.data)
        os.utime(path, ns=(1, 1))
        with pytest.raises(ManifestError, match=r"m\.parquet"):
            seen.extend(row.id for row in rows)
        assert seen == old[: len(seen)]
        return "refused"

    words = corpus.go_through(part_of(changes(), part, 2), judge)
    assert words["refused"] > 40


def changes():
    """What the file may become."""
    yield from list(tables.cut_short())[::40]
    yield from list(tables.damaged_anywhere())[::20]
    yield Case("more behind", tables.plain() + b"x" * 100)
    yield Case("the same at another time", tables.plain())


def test_a_table_that_goes_while_it_is_read_is_refused(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in "ab":
        table = pa.table({"id": [f"{name}1", f"{name}2"], "image": ["a.jpg", "b.jpg"]})
        (folder / f"{name}.parquet").write_bytes(tables.written(table))
    manifest = Manifest([str(folder)], columns=Columns(), prompt="p")
    rows = manifest.rows(manifest.scan())
    assert next(rows).id == "a1"
    shutil.rmtree(folder)
    with pytest.raises(ManifestError, match="cannot be read"):
        list(rows)
