"""A part appears whole or not at all, whatever the disk says."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.sink.disks import Failing, Quick
from vbatch.errors import StorageFull
from vbatch.sink.parts import put_table, read_part, read_rows

TABLE = pa.table({"id": ["a", "b", "c"], "n": [1, 2, 3]})


def test_a_part_is_put_and_read_whole_by_column_or_by_row(tmp_path):
    put_table(Quick(), tmp_path / "p", TABLE)

    assert read_part(tmp_path / "p").equals(TABLE)
    assert read_part(tmp_path / "p", ["n"]).to_pydict() == {"n": [1, 2, 3]}
    assert read_rows(tmp_path / "p", ["c", "x"]).to_pydict() == {"id": ["c"], "n": [3]}


@pytest.mark.parametrize("what", ["open", "sync", "rename"])
def test_a_part_that_cannot_be_put_leaves_nothing_behind(tmp_path, what):
    with pytest.raises(StorageFull, match="p: No space left"):
        put_table(Failing(lambda step, _: step == what), tmp_path / "p", TABLE)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["cut", "other"])
def test_a_part_that_does_not_read_back_is_a_full_disk(tmp_path, harm):
    """A Parquet file that met a full disk closes without a word."""

    class Lossy(Quick):
        def sync(self, fd):
            path = tmp_path / "p.tmp"
            if harm == "cut":
                path.write_bytes(path.read_bytes()[:-20])
            else:
                put_table(Quick(), path, TABLE.slice(0, 1))

    with pytest.raises(StorageFull, match="cannot be read back"):
        put_table(Lossy(), tmp_path / "p", TABLE)
    assert list(tmp_path.iterdir()) == []
