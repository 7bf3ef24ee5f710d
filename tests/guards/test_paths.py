"""Nothing outside the roots is read and sent, nothing that is no file is waited for."""

from __future__ import annotations

import hashlib
import os
import socket
import threading

import pytest

import vbatch
from tests.conftest import picture
from vbatch.errors import ImageError
from vbatch.source.disk import Disk

INSIDE = picture("teal")
OUTSIDE = picture("red")

REFS = {
    "../outside/secret.jpg": "image_forbidden",
    "sub/../../outside/secret.jpg": "image_forbidden",
    "./sub/./../../outside/secret.jpg": "image_forbidden",
    "..": "image_forbidden",
    "../photos-2/secret.jpg": "image_forbidden",
    "{outside}/secret.jpg": "image_forbidden",
    "//{outside}/secret.jpg": "image_forbidden",
    "{inside}/../outside/secret.jpg": "image_forbidden",
    "linked.jpg": "image_forbidden",
    "chained.jpg": "image_forbidden",
    "folder/secret.jpg": "image_forbidden",
    "folder/../outside/secret.jpg": "image_not_found",
    "deep/folder/secret.jpg": "image_forbidden",
    "file://{outside}/secret.jpg": "image_forbidden",
    "file:{outside}/secret.jpg": "image_forbidden",
    "FILE://localhost{outside}/secret.jpg": "image_forbidden",
    "/proc/self/environ": "image_forbidden",
    "/proc/self/cwd/secret.jpg": "image_forbidden",
    "environ.jpg": "image_forbidden",
    "/dev/zero": "image_forbidden",
    "/dev/stdin": "image_forbidden",
    "zero.jpg": "image_forbidden",
    "null.jpg": "image_forbidden",
    "fifo.jpg": "image_forbidden",
    "socket.jpg": "image_forbidden",
    "sub": "image_forbidden",
    "sub/": "image_forbidden",
    ".": "image_forbidden",
    "looped.jpg": "image_unreadable",
    "..\\outside\\secret.jpg": "image_not_found",
    "C:\\outside\\secret.jpg": "image_not_found",
    "\\\\host\\share\\secret.jpg": "image_not_found",
    "..%2foutside%2fsecret.jpg": "image_not_found",
    "%2e%2e/outside/secret.jpg": "image_not_found",
    "..%252foutside/secret.jpg": "image_not_found",
    "..\uff0foutside\uff0fsecret.jpg": "image_not_found",
    "‥/outside/secret.jpg": "image_not_found",
    "~/secret.jpg": "image_not_found",
    "~root/secret.jpg": "image_not_found",
    "$HOME/secret.jpg": "image_not_found",
    "${{HOME}}/secret.jpg": "image_not_found",
    "a.jpg\0/../../outside/secret.jpg": "image_not_found",
    "../outside/secret.jpg\0a.jpg": "image_not_found",
    "a.jpg/../../outside/secret.jpg": "image_forbidden",
    "{long}.jpg": "image_not_found",
    "{longer}": "image_not_found",
    "gone.jpg": "image_not_found",
    " a.jpg": "image_not_found",
    "hardly/there.jpg": "image_not_found",
}
"""References of a manifest that was written by somebody else, and what they become."""


@pytest.fixture
def house(workshop):
    """A root with one picture and every kind of trap, and a secret next door."""
    root, outside = workshop.folder / "photos", workshop.folder / "outside"
    for folder in (root / "sub", root / "deep", outside, workshop.folder / "photos-2"):
        folder.mkdir(parents=True)
    (root / "a.jpg").write_bytes(INSIDE)
    for folder in (outside, workshop.folder / "photos-2", workshop.folder):
        (folder / "secret.jpg").write_bytes(OUTSIDE)
    (root / "linked.jpg").symlink_to(outside / "secret.jpg")
    (root / "chained.jpg").symlink_to("linked.jpg")
    (root / "folder").symlink_to(outside)
    (root / "deep" / "folder").symlink_to("../folder")
    (root / "looped.jpg").symlink_to("looped.jpg")
    (root / "environ.jpg").symlink_to("/proc/self/environ")
    (root / "zero.jpg").symlink_to("/dev/zero")
    (root / "null.jpg").symlink_to("/dev/null")
    os.mkfifo(root / "fifo.jpg")
    return workshop


@pytest.fixture
def door(house, monkeypatch):
    """A socket among the pictures; its path is too long to be bound from elsewhere."""
    monkeypatch.chdir(house.folder / "photos")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        yield


def written(ref, folder):
    return ref.format(
        outside=folder / "outside", inside=folder / "photos", long="x" * 300, longer="y/" * 3_000
    )


def test_no_reference_leads_out_of_the_root(house, door, endpoint, failed, evidence, monkeypatch):
    monkeypatch.setenv("HOME", str(house.folder / "outside"))
    server = endpoint(dialect="openai")
    refs = {written(ref, house.folder): code for ref, code in REFS.items()}
    rows = [{"id": f"r{n}", "image": ref, "prompt": "?"} for n, ref in enumerate(refs)]
    house.manifest(
        [*({"id": f"good{n}", "image": "a.jpg", "prompt": "?"} for n in range(3)), *rows]
    )
    job = house.job(server.base_url, images={"root": "photos"}, limits={"max_failure_rate": 1.0})

    summary = vbatch.run(job)

    codes = {row["image"]: row["code"] for row in failed().values()}
    assert codes == refs
    assert (summary.stop, summary.answered) == (None, 3)
    sent = {digest for entry in server.entries for digest in entry.image_sha256}
    assert sent == {hashlib.sha256(INSIDE).hexdigest()}
    leaked = [d for d in sent if d == hashlib.sha256(OUTSIDE).hexdigest()]
    evidence.add("paths refused", forms=len(codes), bytes_sent=len(leaked) * len(OUTSIDE))


def test_the_same_paths_in_an_images_struct_are_no_way_in_either(house, endpoint, failed):
    server = endpoint(dialect="openai")
    secret = str(house.folder / "outside" / "secret.jpg")
    values = [
        {"image": {"path": secret}},
        {"image": {"url": secret}},
        {"image": {"url": f"file://{secret}"}},
        {"image": {"image_url": {"url": secret}}},
        {"images": ["a.jpg", "linked.jpg"]},
        {"images": [{"path": "../outside/secret.jpg"}]},
    ]
    house.manifest([{"id": f"r{n}", "prompt": "?", **value} for n, value in enumerate(values)])

    vbatch.run(house.job(server.base_url, images={"root": "photos"}))

    assert [row["code"] for row in failed().values()] == ["image_forbidden"] * len(values)
    assert server.sums["requests"] == 0


def test_a_folder_as_manifest_leaves_out_what_leads_outside(house, endpoint):
    server = endpoint(dialect="openai")
    job = house.job(server.base_url, request={"prompt": "?"})
    job.write_text(job.read_text().replace('"manifest.jsonl"', '"photos"'))
    (house.folder / "photos" / "fifo.jpg").unlink()
    (house.folder / "photos" / "beside.jpg").symlink_to("a.jpg")

    summary = vbatch.run(job)

    assert (summary.rows, summary.answered) == (2, 2)
    sent = {digest for entry in server.entries for digest in entry.image_sha256}
    assert sent == {hashlib.sha256(INSIDE).hexdigest()}


@pytest.mark.parametrize("component", ["file", "folder"])
def test_a_path_swapped_while_it_is_opened_never_gives_the_secret(tmp_path, component):
    """Checked on the open descriptor: what is read is what was judged, whenever it was swapped."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "good").mkdir(parents=True)
    outside.mkdir()
    (root / "good" / "a.jpg").write_bytes(INSIDE)
    (outside / "a.jpg").write_bytes(OUTSIDE)
    swapped = root / "swapped" if component == "folder" else root / "a.jpg"
    targets = (
        [root / "good", outside]
        if component == "folder"
        else [
            root / "good" / "a.jpg",
            outside / "a.jpg",
        ]
    )
    ref = "swapped/a.jpg" if component == "folder" else "a.jpg"
    swapped.symlink_to(targets[0])
    done = threading.Event()

    def swap():
        turn = 0
        while not done.is_set():
            turn += 1
            (tmp_path / "next").symlink_to(targets[turn % 2])
            (tmp_path / "next").replace(swapped)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        seen = [_read(Disk([root], cap_bytes=1 << 20), ref) for _ in range(2_000)]
    finally:
        done.set()
        swapper.join(timeout=10)

    assert set(seen) == {INSIDE, "image_forbidden"}


def _read(disk, ref):
    try:
        return disk.read(ref)
    except ImageError as error:
        return error.code
