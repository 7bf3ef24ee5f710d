"""A folder of images: as a manifest, and made into one."""

import os

import pytest

from tests.conftest import as_nobody
from vbatch.errors import ManifestError
from vbatch.records import BadRow, ImageSource
from vbatch.source.manifest import folder_rows, needs_root, write_manifest


def _images(desk, *names):
    for name in names:
        desk.raw(name, b"not looked at")


def test_every_image_below_a_folder_is_a_row(desk):
    names = ["p/b.JPG", "p/a.png", "p/sub/c.webp", "p/sub/deep/d.gif"]
    _images(desk, *names, "p/notes.txt", "p/.hidden.png", "p/.cache/e.png")
    found = desk.read(f"{desk.folder}/p")
    assert found.ids == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.gif"]
    assert found.rows[2].images == (ImageSource(kind="path", ref="sub/c.webp"),)
    assert found.rows[2].given == {"image": "sub/c.webp"}
    assert found.manifest.root == desk.folder / "p"
    assert found.carried.names == []


def test_links_are_followed_to_files_inside_only(desk):
    _images(desk, "p/a.png", "q/b.png")
    desk.path("p/in.png").symlink_to(desk.folder / "p/a.png")
    desk.path("p/out.png").symlink_to(desk.folder / "q/b.png")
    desk.path("p/dead.png").symlink_to(desk.folder / "nowhere.png")
    desk.path("p/folder").symlink_to(desk.folder / "q")
    assert desk.read(f"{desk.folder}/p").ids == ["a.png", "in.png"]


def test_an_empty_folder_has_no_rows(desk):
    desk.path("p/x").mkdir(parents=True)
    assert desk.read(f"{desk.folder}/p").scan.rows == 0


def test_names_of_columns_in_the_job_do_not_matter(desk):
    _images(desk, "p/a.png")
    found = desk.read(f"{desk.folder}/p", columns={"id": "key", "image": "photo"})
    assert (found.ids, found.row.images[0].ref) == (["a.png"], "a.png")


def test_a_name_that_is_not_utf_8_makes_a_bad_row(desk):
    _images(desk, "p/a.png")
    (desk.folder / "p" / os.fsdecode(b"\xff.png")).touch()
    found = desk.read(f"{desk.folder}/p")
    assert isinstance(found.rows[1], BadRow)
    assert "is not UTF-8" in found.rows[1].message
    assert found.rows[1].id.startswith("bad-")
    with pytest.raises(ManifestError, match="is not UTF-8"):
        list(folder_rows(desk.folder / "p"))


def test_images_that_come_after_the_scan_are_not_rows_and_those_that_go_stop_it(desk):
    _images(desk, "p/a.png", "p/c.png")
    manifest = desk.manifest(f"{desk.folder}/p")
    scan = manifest.scan()
    _images(desk, "p/b.png")
    assert [row.id for row in manifest.rows(scan)] == ["a.png", "c.png"]
    assert [row.id for row in manifest.rows(scan, done=b"\1\0")] == ["c.png"]
    (desk.folder / "p/a.png").unlink()
    with pytest.raises(ManifestError, match="changed"):
        list(manifest.rows(scan))


def test_a_folder_that_cannot_be_listed_is_refused(desk):
    _images(desk, "p/a.png")
    manifest = desk.manifest(f"{desk.folder}/p")
    scan = manifest.scan()
    (desk.folder / "p/a.png").unlink()
    (desk.folder / "p").rmdir()
    with pytest.raises(ManifestError, match="cannot be read"):
        list(manifest.rows(scan))


@pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson.gz", "m.jsonl.zst", "m.parquet"])
def test_a_manifest_made_from_a_folder_is_a_manifest(desk, name):
    _images(desk, "photos/a.png", "photos/é/b.png")
    out = desk.folder / name
    assert write_manifest(desk.folder / "photos", out) == 2
    found = desk.read(str(out))
    assert found.ids == ["a.png", "é/b.png"]
    assert [row.images[0].ref for row in found.rows] == ["photos/a.png", "photos/é/b.png"]
    assert needs_root(desk.folder / "photos", out) is None
    assert sorted(path.name for path in desk.folder.iterdir()) == sorted([name, "photos"])


def test_a_manifest_written_into_the_folder_itself_names_images_as_they_lie_there(desk):
    _images(desk, "p/a.png")
    write_manifest(desk.folder / "p", desk.folder / "p/m.jsonl")
    assert desk.read(f"{desk.folder}/p/m.jsonl").row.images[0].ref == "a.png"


def test_a_manifest_written_elsewhere_needs_a_root(desk):
    _images(desk, "p/a.png")
    out = desk.path("q/m.jsonl")
    write_manifest(desk.folder / "p", out)
    assert desk.read(str(out)).row.images[0].ref == "a.png"
    assert needs_root(desk.folder / "p", out) == desk.folder / "p"


def test_a_manifest_that_cannot_be_written_leaves_nothing_behind(desk):
    _images(desk, "p/a.png")
    with pytest.raises(ManifestError, match=r"ends in \.jsonl"):
        write_manifest(desk.folder / "p", desk.folder / "m.csv")
    with pytest.raises(ManifestError, match="no such folder"):
        write_manifest(desk.folder / "nowhere", desk.folder / "m.jsonl")
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest(desk.folder / "p", desk.folder / "nowhere/m.parquet")
    assert [path.name for path in desk.folder.iterdir()] == ["p"]


def test_a_manifest_that_we_may_not_write_or_whose_images_we_may_not_see_is_refused(commons):
    (commons / "pics").mkdir()
    with pytest.raises(ManifestError, match=r"locked/m\.jsonl: cannot be written"), as_nobody():
        write_manifest(commons / "pics", commons / "locked/m.jsonl")
    with pytest.raises(ManifestError, match="locked/pics: cannot be read"), as_nobody():
        write_manifest(commons / "locked/pics", commons / "m.jsonl")
    assert sorted(path.name for path in commons.iterdir()) == ["locked", "pics"]
