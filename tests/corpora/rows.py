"""What may come of a manifest, whatever it holds: rows that are sound, or our own refusal."""

from __future__ import annotations

import re
from pathlib import Path

import orjson

from vbatch.columns import decode, deserialize
from vbatch.errors import ManifestError
from vbatch.job import Columns
from vbatch.records import BadRow
from vbatch.source.manifest import Manifest


def ending(case):
    """How the name of the case's file must end."""
    return re.search(r"\.(jsonl(\.gz|\.zst)?|parquet)$", case.name)[0]


def judge_in(folder):
    """Reads each case as the file that the end of its name says."""

    def judge(case):
        path = folder / f"m{ending(case)}"
        path.write_bytes(case.data)
        return read_all(path)[0]

    return judge


def read_all(path, **options):
    """What came of it in a word, and the rows."""
    manifest = Manifest([str(path)], columns=Columns(), prompt="Describe.", **options)
    try:
        scan = manifest.scan()
        rows = list(manifest.rows(scan))
    except ManifestError as error:
        return ("refused" if error.message.strip() else "refused without a word"), []
    check(scan, rows, Path(path))
    return ("rows" if rows else "no rows"), rows


def check(scan, rows, path):
    """All rows are there, each whole; the tables take what is carried."""
    assert len(rows) + scan.repeated == scan.rows
    assert len({row.id for row in rows}) == len(rows)
    for row in rows:
        assert row.id
        assert row.file is not None
        assert Path(row.file).is_relative_to(path)
        assert (row.line or 0) > 0 or row.file.endswith(".parquet")
        if isinstance(row, BadRow):
            assert row.message
        else:
            assert row.body is not None or (row.images and row.prompt.strip())
        orjson.dumps([row.passthrough, row.given, row.extra, row.id, row.row_digest])
    for schema, part in ((scan.carried_schema, "passthrough"), (scan.given_schema, "given")):
        for field in deserialize(schema):
            held = [getattr(row, part).get(field.name) for row in rows]
            assert len(decode(held, field.type)) == len(rows)
