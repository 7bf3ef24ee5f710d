"""A scan can be remembered: the same place means the same rows, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vbatch.source.manifest import Memo, jsonl
from vbatch.source.manifest import manifest as reading

ROWS = [
    {"id": "a", "image": "x.jpg", "n": 1},
    {"id": "a", "image": "x.jpg", "n": 1},
    {"image": "https://h.example/y.jpg", "n": 2.5},
]
LATER = time.time() + 3600


def known(memo: Memo) -> Memo:
    return Memo.from_json(memo.to_json())


def parsed(monkeypatch) -> list[bytes]:
    lines: list[bytes] = []
    parse = jsonl._parse
    monkeypatch.setattr(jsonl, "_parse", lambda line: lines.append(line) or parse(line))
    return lines


def written(desk, kind):
    if kind == "table":
        return desk.table({name: [row.get(name) for row in ROWS] for name in ("id", "image")})
    return desk.lines(*ROWS, name=f"m.{kind}")


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "table"])
def test_a_remembered_scan_is_the_scan(desk, kind):
    path = written(desk, kind)
    first, second = desk.manifest(path), desk.manifest(path)
    scan = first.scan()

    again = second.scan(memo=known(first.memo()))

    assert again == scan
    assert scan.repeated == 1
    assert list(second.rows(again)) == list(first.rows(scan))


def test_with_a_memo_only_the_first_rows_are_looked_at(desk, monkeypatch):
    path = desk.lines(*({"id": n, "image": "x.jpg"} for n in range(1_000)))
    first = desk.manifest(path)
    first.scan()
    lines = parsed(monkeypatch)
    manifest = desk.manifest(path)

    scan = manifest.scan(memo=known(first.memo()))
    done = bytes(n != 700 for n in range(1_000))

    assert [row.id for row in manifest.rows(scan, done=done)] == ["700"]
    assert len(lines) == 100 + 1, "the head, and what is to do"


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(path.read_text().replace("x", "z")),
        lambda path: path.write_text(path.read_text() + '{"image": "n.jpg"}\n'),
        os.utime,
        lambda path: (path.rename(f"{path}.old"), path.write_bytes(b"{}\n")),
    ],
)
def test_a_file_that_was_touched_is_at_another_place(desk, change):
    path = desk.path("m.jsonl")
    manifest = desk.manifest(desk.lines(*ROWS))
    before = manifest.places(LATER)
    assert None not in before
    assert manifest.places(LATER) == before

    change(path)

    assert manifest.places(LATER) != before


def test_other_columns_make_another_place(desk):
    path = desk.lines(*ROWS)
    other = desk.manifest(path, columns={"prompt": "n"})
    assert desk.manifest(path).places(LATER) != other.places(LATER)


def test_a_file_of_just_now_and_a_folder_have_no_place(desk):
    path = desk.lines(*ROWS)
    changed = Path(path).stat().st_mtime
    assert desk.manifest(path).places(changed + 1) == (None,)
    assert desk.manifest(path).places(changed + 3600) != (None,)
    desk.raw("pictures/one.jpg", b"")
    assert desk.manifest(str(desk.folder / "pictures")).places(LATER) == (None,)


def test_a_memo_is_for_templates_that_use_the_same_columns(desk):
    path = desk.lines(*ROWS)
    plain = desk.manifest(path).asks_digest
    assert desk.manifest(path, prompt="Look.").asks_digest == plain
    assert desk.manifest(path, prompt="Look: {{ n }}").asks_digest != plain
    later = desk.manifest(path, prompt="Look: {{ n }}", template_columns_before=[()])
    first = desk.manifest(path, prompt="Look: {{ n }}")
    assert later.asks_digest != first.asks_digest


def test_now_and_then_a_row_comes_whatever_is_known_of_it(desk, monkeypatch):
    monkeypatch.setattr(reading, "LONG_BREATH", 10)
    monkeypatch.setattr(reading, "BREATH", 20)
    path = desk.lines(*({"id": n, "image": "x.jpg"} for n in range(50)))
    manifest = desk.manifest(path)
    scan = manifest.scan()

    by_number = [row.row for row in manifest.rows(scan, done=b"\1" * 50)]
    by_claim = [row.row for row in manifest.rows(scan, answered=lambda _id, _digest: True)]

    assert by_number == [9, 19, 29, 39, 49]
    assert by_claim == [0, 20, 40]


def test_rows_are_passed_over_by_id_and_digest(desk):
    path = desk.lines(*({"id": n, "image": f"{n}.jpg"} for n in range(1, 9)))
    manifest = desk.manifest(path)
    scan = manifest.scan()
    every = list(manifest.rows(scan))
    known = {(row.id, row.row_digest) for row in every[2:7]} | {("8", every[0].row_digest)}

    left = manifest.rows(scan, answered=lambda *claim: claim in known)

    assert list(left) == [*every[:2], every[7]]


def test_no_row_is_passed_over_by_its_number_whose_path_another_claims(desk):
    """Its id is made otherwise than where it was answered."""
    pictures = [("a", "YQ=="), ("b", "Yg=="), ("a", "Yw==")]
    rows = ({"image": {"path": path, "bytes": data}} for path, data in pictures)
    manifest = desk.manifest(desk.lines(*rows))
    scan = manifest.scan()

    assert [row.row for row in manifest.rows(scan, done=b"\1\1\1")] == [0, 2]
