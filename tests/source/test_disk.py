import errno
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.source.drawing import outcome
from vbatch.errors import ImageError
from vbatch.source import disk
from vbatch.source.disk import Disk, OutOfFilesError


@pytest.fixture
def tree(tmp_path):
    """A root with a picture in it, and a secret beside it."""
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "a.jpg").write_bytes(b"picture")
    (tmp_path / "root" / "sub" / "b.jpg").write_bytes(b"other")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return tmp_path


@pytest.fixture(params=["by descriptor", "by path"])
def reader(tree, request, monkeypatch):
    """The disk as it is read where descriptors have names, and where they have none."""
    if request.param == "by path":
        monkeypatch.setattr(disk, "_OPEN_FILES", str(tree / "nowhere"))
    return Disk([tree / "root"], cap_bytes=1_000)


def refusal(reader, ref):
    with pytest.raises(ImageError) as caught:
        reader.read(ref)
    return caught.value.code


@pytest.mark.parametrize("ref", ["a.jpg", "./a.jpg", "sub/../a.jpg", "sub/b.jpg", "sub//b.jpg"])
def test_a_file_under_the_root_is_read(reader, ref):
    assert reader.read(ref) in {b"picture", b"other"}


def test_an_absolute_path_is_read_only_within_a_root(reader, tree):
    assert reader.read(str(tree / "root" / "a.jpg")) == b"picture"
    assert refusal(reader, str(tree / "secret.txt")) == "image_forbidden"


@pytest.mark.parametrize(
    "ref",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "../root-and-more/x.jpg",
        "../nothing-there.jpg",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file:/etc/passwd",
        "",
        ".",
        "sub",
        "sub/",
        "/",
    ],
)
def test_what_is_outside_or_no_file_is_forbidden(reader, ref):
    assert refusal(reader, ref) == "image_forbidden"


def test_a_link_that_leads_out_is_forbidden_and_one_that_stays_is_followed(reader, tree):
    (tree / "root" / "out.jpg").symlink_to(tree / "secret.txt")
    (tree / "root" / "folder").symlink_to(tree)
    (tree / "root" / "in.jpg").symlink_to("sub/b.jpg")

    assert refusal(reader, "out.jpg") == "image_forbidden"
    assert refusal(reader, "folder/secret.txt") == "image_forbidden"
    assert reader.read("in.jpg") == b"other"


def test_a_root_may_itself_be_a_link(tree):
    (tree / "linked").symlink_to(tree / "root")
    reader = Disk([tree / "linked"], cap_bytes=1_000)

    assert reader.read("a.jpg") == b"picture"
    assert reader.read(str(tree / "root" / "a.jpg")) == b"picture"
    assert reader.read(str(tree / "linked" / "a.jpg")) == b"picture"
    assert refusal(reader, "../secret.txt") == "image_forbidden"


def test_a_fifo_a_socket_and_a_device_are_forbidden_and_never_waited_for(reader, tree, monkeypatch):
    os.mkfifo(tree / "root" / "fifo.jpg")
    (tree / "root" / "null.jpg").symlink_to("/dev/null")
    (tree / "root" / "zero.jpg").symlink_to("/dev/zero")
    monkeypatch.chdir(tree / "root")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.jpg")
        for ref in ("fifo.jpg", "null.jpg", "zero.jpg", "s.jpg"):
            assert refusal(reader, ref) == "image_forbidden"


def test_a_file_swapped_for_a_fifo_while_it_is_opened_is_forbidden(reader, tree, monkeypatch):
    honest = (tree / "root" / "a.jpg").stat()
    os.mkfifo(tree / "root" / "fifo.jpg")
    monkeypatch.setattr(disk.os, "stat", lambda _path: honest)

    assert refusal(reader, "fifo.jpg") == "image_forbidden"


@pytest.mark.parametrize("ref", ["/proc/self/environ", "/sys/kernel/notes", "/dev/null"])
def test_the_system_is_not_read_even_when_everything_is_the_root(ref):
    assert refusal(Disk([os.sep], cap_bytes=1_000), ref) == "image_forbidden"


def test_a_root_within_dev_is_the_users_own_choice(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_NO_PICTURES", (f"{tmp_path}/",))
    (tmp_path / "shm").mkdir()
    (tmp_path / "shm" / "a.jpg").write_bytes(b"picture")

    assert Disk([tmp_path / "shm"], cap_bytes=1_000).read("a.jpg") == b"picture"


@pytest.mark.parametrize(
    "ref",
    ["no.jpg", "a.jpg/b.jpg", "sub/no.jpg", "x" * 300, "a.jpg\0.png", "\0/../../x", "\ud800.jpg"],
)
def test_what_cannot_be_there_is_not_found(reader, ref):
    assert refusal(reader, ref) == "image_not_found"


def test_roots_are_tried_in_their_order(tree):
    (tree / "second").mkdir()
    (tree / "second" / "a.jpg").write_bytes(b"second")
    (tree / "second" / "c.jpg").write_bytes(b"third")
    reader = Disk([tree / "root", tree / "second"], cap_bytes=1_000)

    assert reader.read("a.jpg") == b"picture"
    assert reader.read("c.jpg") == b"third"
    assert reader.read("../second/a.jpg") == b"second"
    assert refusal(reader, "d.jpg") == "image_not_found"


def test_a_relative_root_is_one_of_the_working_folder(tree, monkeypatch):
    monkeypatch.chdir(tree)

    assert Disk(["root"], cap_bytes=1_000).read("a.jpg") == b"picture"


def test_a_file_over_the_cap_is_too_large(tree):
    with pytest.raises(ImageError, match="7 bytes") as caught:
        Disk([tree / "root"], cap_bytes=6).read("a.jpg")

    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize("ref", ["s3://bucket/a.jpg", "gs://bucket/a.jpg", "hf://d/a.jpg"])
def test_object_stores_are_said_to_be_unsupported(reader, ref):
    assert refusal(reader, ref) == "image_unsupported"


def test_a_name_with_a_colon_is_a_name(reader, tree):
    (tree / "root" / "12:30.jpg").write_bytes(b"noon")
    (tree / "root" / "at:noon.jpg").write_bytes(b"noon")

    assert reader.read("12:30.jpg") == reader.read("at:noon.jpg") == b"noon"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "image_unreadable"),
        (errno.EIO, "image_unreadable"),
        (errno.ELOOP, "image_unreadable"),
        (errno.ENOENT, "image_not_found"),
    ],
)
def test_what_the_system_says_of_a_file_becomes_our_error(reader, monkeypatch, number, code):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk.os, "open", fail)

    assert refusal(reader, "a.jpg") == code


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_no_free_descriptor_is_no_fault_of_the_image(reader, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk.os, "open", fail)

    with pytest.raises(OutOfFilesError):
        reader.read("a.jpg")


def test_short_reads_are_put_together(reader, monkeypatch):
    read = os.read
    monkeypatch.setattr(disk.os, "read", lambda fd, size: read(fd, min(size, 3)))

    assert reader.read("a.jpg") == b"picture"


def test_a_file_that_shrinks_while_it_is_read_gives_what_is_left(reader, tree, monkeypatch):
    status = (tree / "root" / "a.jpg").stat()
    larger = os.stat_result((*status[:6], status.st_size + 50, *status[7:]))
    monkeypatch.setattr(disk.os, "fstat", lambda _fd: larger)
    monkeypatch.setattr(disk.os.path, "samestat", lambda _one, _other: True)

    assert reader.read("a.jpg") == b"picture"


def test_no_descriptor_is_left_open(reader, tree):
    (tree / "root" / "out.jpg").symlink_to(tree / "secret.txt")
    before = sum(1 for _ in Path("/dev/fd").iterdir())

    for ref in ("a.jpg", "out.jpg", "no.jpg", "sub"):
        outcome(reader.read, ref)

    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


def test_the_size_is_a_glance_that_never_fails(tree):
    reader = Disk([tree / "root"], cap_bytes=1_000)

    assert reader.size("a.jpg") == 7
    for ref in ("no.jpg", "../secret.txt", "s3://b/a.jpg", "file:///x", "\0", "\ud800"):
        assert reader.size(ref) == 0


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(["..", ".", "", "sub", "link", "a.jpg", "b.jpg", "secret.txt", "/"]),
        max_size=7,
    ).map("/".join)
)
def test_no_path_leads_to_the_secret(tmp_path_factory, ref):
    tree = tmp_path_factory.getbasetemp() / "fuzzed"
    if not tree.exists():
        (tree / "root" / "sub").mkdir(parents=True)
        (tree / "root" / "a.jpg").write_bytes(b"picture")
        (tree / "root" / "sub" / "b.jpg").write_bytes(b"other")
        (tree / "root" / "link").symlink_to("..")
        (tree / "secret.txt").write_bytes(b"secret")

    result = outcome(Disk([tree / "root"], cap_bytes=1_000).read, ref)

    code = getattr(result, "code", None)
    assert result in (b"picture", b"other") or code in {"image_forbidden", "image_not_found"}
