"""A manifest on disk, read to its end."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vbatch.columns import deserialize
from vbatch.job import Columns
from vbatch.source.manifest import Manifest


class Desk:
    """Writes manifests into a folder, and reads them as the engine does."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def raw(self, name, data):
        path = self.path(name)
        path.write_bytes(data)
        return str(path)

    def lines(self, *rows, name="m.jsonl"):
        data = "".join(
            (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n"
            for row in rows
        ).encode()
        if name.endswith(".gz"):
            data = gzip.compress(data)
        if name.endswith(".zst"):
            data = pa.compress(data, "zstd", asbytes=True)
        return self.raw(name, data)

    def table(self, columns, name="m.parquet", **options):
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        path = self.path(name)
        pq.write_table(table, path, **options)
        return str(path)

    def manifest(self, *paths, columns=None, prompt="Describe.", **options):
        return Manifest(paths, columns=Columns(**(columns or {})), prompt=prompt, **options)

    def read(self, *paths, kept=None, **options):
        """All that comes of a manifest."""
        manifest = self.manifest(*paths, **options)
        scan = manifest.scan(kept=kept)
        rows = list(manifest.rows(scan))
        return SimpleNamespace(
            manifest=manifest,
            scan=scan,
            rows=rows,
            ids=[row.id for row in rows],
            row=rows[0] if rows else None,
            carried=deserialize(scan.carried_schema),
            given=deserialize(scan.given_schema),
        )


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)
