"""Picking up a run whose manifest did not change: what is answered is passed over by its number."""

from __future__ import annotations

import json
import os

import pytest

import vbatch
from vbatch.source.manifest import jsonl, memo, rows
from vbatch.source.manifest import manifest as reading
from vbatch.source.manifest.manifest import BREATH


@pytest.fixture(autouse=True)
def _settled_at_once(monkeypatch):
    """As if the manifest had been there for a while."""
    monkeypatch.setattr(memo, "SETTLED_S", 0.0)


@pytest.fixture
def parsed(monkeypatch) -> list[bytes]:
    """Every line that is parsed for more than its id."""
    lines: list[bytes] = []
    parse = jsonl._parse
    monkeypatch.setattr(jsonl, "_parse", lambda line: lines.append(line) or parse(line))
    return lines


@pytest.fixture
def built(monkeypatch) -> list[str]:
    """Ids of all rows of which an item is made."""
    ids: list[str] = []
    build = rows.Builder.build

    def noting(self, raw, actions, **given):
        row = build(self, raw, actions, **given)
        ids.append(row.id)
        return row

    monkeypatch.setattr(rows.Builder, "build", noting)
    return ids


HEAD = 100
"""Rows that are looked at for their columns, however often the manifest was read before."""


def test_answered_rows_of_an_unchanged_manifest_are_not_parsed(endpoint, workshop, parsed):
    server = endpoint(dialect="openai")
    workshop.rows(300)
    job = workshop.job(server.base_url)
    assert vbatch.run(job, limit=290).answered == 290
    parsed.clear()

    summary = vbatch.run(job)

    assert (summary.answered, summary.total_answered, summary.left) == (10, 300, 0)
    assert len(parsed) == HEAD + 10
    assert server.sums["requests"] == 300


@pytest.mark.parametrize("damage", [b"", b"{}", b"null", b'{"place": 1, "places": 2}'])
def test_without_what_it_remembers_a_run_goes_on_all_the_same(endpoint, workshop, damage):
    server = endpoint(dialect="openai")
    workshop.rows(5)
    job = workshop.job(server.base_url)
    vbatch.run(job, limit=3)
    (workshop.folder / "run" / ".vbatch" / "manifest.json").write_bytes(damage)

    assert vbatch.run(job).answered == 2
    assert server.sums["requests"] == 5


def test_a_row_that_changed_in_place_is_asked_again(endpoint, workshop):
    """As long as before, and with the time of before."""
    server = endpoint(dialect="openai")
    path = workshop.rows(3)
    job = workshop.job(server.base_url)
    vbatch.run(job)
    then = path.stat()
    path.write_text(path.read_text().replace("row 1", "row I"))
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))

    assert vbatch.run(job).answered == 1
    assert server.answered_prompts().count("row I") == 1


def test_a_manifest_that_changes_and_comes_back_asks_what_stood_last(endpoint, workshop):
    server = endpoint(dialect="openai")
    path = workshop.rows(3)
    job = workshop.job(server.base_url)
    before = path.read_text()
    vbatch.run(job)
    path.write_text(before.replace("row 1", "row one"))
    vbatch.run(job)
    path.write_text(before)

    assert vbatch.run(job).answered == 1
    assert vbatch.run(job).answered == 0
    assert server.sums["requests"] == 5


def test_other_columns_make_other_rows(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    rows = [{"id": n, "image": "one.jpg", "prompt": "one", "other": "two"} for n in range(3)]
    workshop.manifest(rows)
    vbatch.run(workshop.job(server.base_url))

    job = workshop.job(server.base_url, columns={"prompt": "other"})

    assert vbatch.run(job, accept_change=True).answered == 3
    assert server.answered_prompts().count("two") == 3


def test_rows_without_ids_and_repeats_are_known_by_number_too(endpoint, workshop, parsed):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    rows = [{"image": "one.jpg", "prompt": f"row {n // 2}"} for n in range(300)]
    workshop.manifest([json.dumps(row) for row in rows])
    job = workshop.job(server.base_url)
    vbatch.run(job, limit=140)
    parsed.clear()

    assert vbatch.run(job).answered == 10
    assert len(parsed) == HEAD + 10
    assert server.sums["requests"] == 150


def test_changed_images_are_looked_for_among_answered_rows(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(3)
    job = workshop.job(server.base_url)
    vbatch.run(job)
    workshop.picture("one.jpg", "red")
    later = (workshop.folder / "one.jpg").stat().st_mtime + 60
    os.utime(workshop.folder / "one.jpg", (later, later))

    assert vbatch.run(job).answered == 0
    assert vbatch.run(job, changed_images=True).answered == 3


def night(workshop, server):
    """A run over manifests in a folder, all of them or those of a pattern."""
    job = workshop.job(server.base_url)
    folder = workshop.folder / "manifests"
    return lambda which="*": vbatch.run(job, overrides=[f"manifest={folder}/{which}.jsonl"])


def manifests(workshop):
    """Writes a file of rows into the manifests' folder."""
    (workshop.folder / "manifests").mkdir()
    workshop.picture("manifests/one.jpg")

    def write(name: str, numbers: range):
        lines = [{"id": f"r{n}", "image": "one.jpg", "prompt": f"row {n}"} for n in numbers]
        return workshop.manifest(lines, f"manifests/{name}.jsonl")

    return write


def test_a_file_that_comes_between_others_leaves_their_rows_known(endpoint, workshop, parsed):
    server = endpoint(dialect="openai")
    write = manifests(workshop)
    write("a", range(150))
    write("c", range(200, 300))
    go = night(workshop, server)
    assert go().answered == 250
    write("b", range(150, 160))
    parsed.clear()

    summary = go()

    assert (summary.answered, summary.total_answered, summary.left) == (10, 260, 0)
    assert len(parsed) == HEAD + 10
    assert server.sums["requests"] == 260

    (workshop.folder / "manifests" / "a.jsonl").unlink()
    parsed.clear()
    assert go().answered == 0
    assert len(parsed) == HEAD
    assert server.sums["requests"] == 260


def test_of_several_files_the_one_that_changed_is_read_again(endpoint, workshop, parsed):
    server = endpoint(dialect="openai")
    write = manifests(workshop)
    write("a", range(150))
    changing = write("b", range(150, 160))
    go = night(workshop, server)
    go()
    changing.write_text(changing.read_text().replace("row 155", "row CLV"))
    parsed.clear()

    assert go().answered == 1
    assert len(parsed) == HEAD + 10
    assert server.answered_prompts().count("row CLV") == 1


def test_a_row_that_moves_to_another_file_is_not_asked_again(endpoint, workshop):
    server = endpoint(dialect="openai")
    write = manifests(workshop)
    write("a", range(5))
    write("b", range(5, 9))
    go = night(workshop, server)
    go()
    write("a", range(1, 5))
    write("b", range(4, 10))

    assert go().answered == 1
    assert server.sums["requests"] == 10


def test_an_id_that_another_file_took_over_meanwhile_is_asked_again(endpoint, workshop):
    """File b did not change, and what stands is still not the answer to its row."""
    server = endpoint(dialect="openai")
    write = manifests(workshop)
    write("a", range(3))
    write("b", range(3, 6))
    other = write("c", range(4, 5))
    other.write_text(other.read_text().replace("row 4", "row IV"))
    go = night(workshop, server)
    go("[ab]")

    assert go("[ac]").answered == 1
    assert go("[ab]").answered == 1
    assert go("[ab]").answered == 0
    assert server.answered_prompts().count("row 4") == 2


def test_of_a_manifest_that_grew_few_answered_rows_are_made(endpoint, workshop, built):
    server = endpoint(dialect="openai")
    path = workshop.rows(BREATH // 2)
    job = workshop.job(server.base_url)
    vbatch.run(job)
    with path.open("a") as file:
        line = {"id": "new", "image": "one.jpg", "prompt": "new"}
        file.write(json.dumps(line) + "\n")
    built.clear()

    assert vbatch.run(job).answered == 1
    assert built == ["r0", "new"], "one of many is made in any case"


def test_a_row_of_a_touched_manifest_is_known_by_what_it_asked_before(endpoint, workshop):
    """Under templates of now no answered row has the digest that stands."""
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    path = workshop.manifest([{"id": n, "image": "one.jpg", "a": "x", "b": "y"} for n in range(3)])
    vbatch.run(workshop.job(server.base_url, request={"prompt": "{{ a }}"}))
    os.utime(path)
    job = workshop.job(server.base_url, request={"prompt": "{{ b }}"})

    assert vbatch.run(job, accept_change=True).answered == 0
    assert server.sums["requests"] == 3


def test_a_file_that_settles_while_others_are_scanned_does_not_make_them_unknown(
    endpoint, workshop, parsed, monkeypatch
):
    server = endpoint(dialect="openai")
    write = manifests(workshop)
    write("a", range(150))
    go = night(workshop, server)
    go()
    fresh = str(write("b", range(150, 152)))
    looks = iter(range(10))
    place_of = memo.place_of

    def coarsely(part, columns, now):
        return None if part.path == fresh and not next(looks) else place_of(part, columns, now)

    monkeypatch.setattr(reading, "place_of", coarsely)
    parsed.clear()

    assert go().answered == 2
    assert len(parsed) == HEAD + 2


def test_a_file_that_is_there_for_a_moment_only_does_no_harm(endpoint, workshop, monkeypatch):
    server = endpoint(dialect="openai")
    write = manifests(workshop)
    write("a", range(5))
    go = night(workshop, server)
    go()
    scan = reading.Manifest.scan

    def meanwhile(self, **given):
        passing = write("b", range(5, 7))
        found = scan(self, **given)
        passing.unlink()
        return found

    monkeypatch.setattr(reading.Manifest, "scan", meanwhile)

    assert go().stop is not None, "its rows cannot be read any more"
    monkeypatch.setattr(reading.Manifest, "scan", scan)
    assert go().answered == 0
    assert server.sums["requests"] == 5
