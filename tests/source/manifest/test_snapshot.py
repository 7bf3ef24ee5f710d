import os
from pathlib import Path

import pytest

from vbatch.errors import ManifestError
from vbatch.records import BadRow, Item


def _line(n, **more):
    return {"id": f"r{n}", "image": f"{n}.jpg", **more}


def _open(desk, count=3, name="m.jsonl"):
    path = desk.lines(*[_line(n) for n in range(count)], name=name)
    manifest = desk.manifest(path)
    return path, manifest, manifest.scan()


def test_the_snapshot_ends_where_the_file_ended_when_it_was_scanned(desk):
    path, manifest, scan = _open(desk)
    with Path(path).open("a") as file:
        file.write('{"id":"new","image":"n"}\n')
    assert [row.id for row in manifest.rows(scan)] == ["r0", "r1", "r2"]


def test_the_snapshot_keeps_a_half_written_last_line_as_it_was(desk):
    path = desk.raw("m.jsonl", b'{"id":"a","image":"a"}\n{"id":"b","im')
    manifest = desk.manifest(path)
    scan = manifest.scan()
    with Path(path).open("a") as file:
        file.write('age":"b"}\n')
    assert [type(row) for row in manifest.rows(scan)] == [Item, BadRow]


def test_the_snapshot_of_a_file_that_shrank_stops_the_run(desk):
    path, manifest, scan = _open(desk)
    os.truncate(path, 10)
    with pytest.raises(ManifestError, match="shrank") as caught:
        list(manifest.rows(scan))
    assert caught.value.exit_code == 2


def test_the_snapshot_of_a_file_of_the_same_size_but_touched_stops_the_run(desk):
    path, manifest, scan = _open(desk)
    os.utime(path, (1, 1))
    with pytest.raises(ManifestError, match="changed"):
        list(manifest.rows(scan))


def test_the_snapshot_of_a_file_that_grew_but_not_by_lines_stops_the_run(desk):
    _, manifest, scan = _open(desk)
    desk.lines(*[_line(n) for n in range(5, 20)])
    with pytest.raises(ManifestError, match="changed"):
        list(manifest.rows(scan))


def test_the_snapshot_of_a_file_that_changes_while_it_is_read_stops_the_run_at_its_end(desk):
    path, manifest, scan = _open(desk)
    rows = manifest.rows(scan)
    next(rows)
    os.utime(path, (1, 1))
    with pytest.raises(ManifestError, match="changed"):
        list(rows)


@pytest.mark.parametrize("lines", [b'{"id":"r0"}\n' * 20, b'{"id": "the only one"}\n' + b" " * 900])
def test_the_snapshot_with_another_number_of_rows_stops_the_run(desk, lines):
    path = desk.lines(*[_line(n) for n in range(9)])
    manifest = desk.manifest(path)
    scan = manifest.scan()
    then = Path(path).stat()
    desk.raw("m.jsonl", lines[: then.st_size].ljust(then.st_size))
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    with pytest.raises(ManifestError, match="changed"):
        list(manifest.rows(scan))


def test_the_snapshot_of_a_file_that_is_gone_stops_the_run(desk):
    path, manifest, scan = _open(desk)
    Path(path).unlink()
    with pytest.raises(ManifestError, match="No such file"):
        list(manifest.rows(scan))


def test_the_snapshot_says_size_time_and_rows_of_each_file(desk):
    path, _, scan = _open(desk)
    (file,) = scan.files
    stat = Path(path).stat()
    assert (file.path, file.rows) == (path, 3)
    assert (file.size_bytes, file.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
