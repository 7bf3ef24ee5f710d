"""What is appended is read back; what is torn is found; a failing disk loses nothing asked."""

from __future__ import annotations

import errno

import pytest

from tests.sink.disks import Failing, Quick
from tests.sink.rows import Still
from vbatch.errors import Corrupt, Mismatch, StorageFull
from vbatch.sink import segments
from vbatch.sink.journal import Journal, Rolling
from vbatch.sink.layout import Layout
from vbatch.sink.storage import make_folder


@pytest.fixture
def layout(tmp_path):
    layout = Layout(root=tmp_path)
    make_folder(Quick(), layout.journal)
    return layout


def journal(layout, storage=None, number=1) -> Journal:
    return Journal(layout, number=number, boot="b", clock=Still(), storage=storage or Quick())


def entries(layout, number, end=None) -> list:
    return [e for some, _ in segments.read_entries(layout.segment(number), end) for e in some]


def body(*numbers) -> bytes:
    return b"[%b]" % b",".join(b"[%d]" % n for n in numbers)


def test_what_is_appended_is_read_back_in_order(layout):
    writing = journal(layout)
    writing.append([body(1, 2), body(3)])
    writing.append([body(4)])
    closed = writing.seal()

    assert closed.number == 1
    assert entries(layout, 1, closed.end) == [[1], [2], [3], [4]]
    header = segments.read_header(layout.segment(1))
    assert (header.segment, header.boot, header.follows, header.at) == (1, "b", None, Still().now)


def test_a_long_segment_is_due_by_outcomes_or_by_size(layout):
    writing = journal(layout)
    assert not writing.due(Rolling(outcomes=2, size_bytes=10_000))

    writing.append([body(1)], outcomes=2)

    assert writing.due(Rolling(outcomes=2, size_bytes=10_000))
    assert writing.due(Rolling(outcomes=3, size_bytes=20))


def test_rolling_closes_one_segment_and_says_in_the_next_where_it_ended(layout):
    writing = journal(layout)
    writing.append([body(1)], outcomes=1)
    closed = writing.roll()
    writing.append([body(2)])
    writing.seal()

    assert not writing.due(Rolling(outcomes=1, size_bytes=10_000))
    assert segments.read_header(layout.segment(2)).follows == closed.end
    assert (entries(layout, 1, closed.end), entries(layout, 2)) == ([[1]], [[2]])


def test_a_sync_is_marked_by_the_next_write(layout):
    writing = journal(layout)
    writing.append([body(1)])
    writing.sync()
    synced = layout.segment(1).stat().st_size
    writing.sync()
    writing.append([body(2)])

    assert b'{"synced":%d}' % synced in layout.segment(1).read_bytes()
    assert entries(layout, 1) == [[1], [2]]


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_changed_byte_is_found_wherever_it_is(layout, place):
    writing = journal(layout)
    for number in range(20):
        writing.append([body(number)])
    writing.seal()
    path = layout.segment(1)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x21
    path.write_bytes(data)

    with pytest.raises(Corrupt, match=rf"{path}, offset \d+"):
        entries(layout, 1)


def test_a_line_that_moved_is_no_good_line(layout):
    writing = journal(layout)
    writing.append([body(1)])
    writing.append([body(2)])
    path = layout.segment(1)
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + third + second)

    with pytest.raises(Corrupt):
        entries(layout, 1)


def test_a_segment_that_lost_its_end_is_corrupt(layout):
    writing = journal(layout)
    writing.append([body(1)])
    closed = writing.seal()
    with layout.segment(1).open("ab") as file:
        file.truncate(segments.read_header(layout.segment(1)).size)

    with pytest.raises(Corrupt, match="ended at"):
        entries(layout, 1, closed.end)


def test_a_newer_segment_is_refused(layout, monkeypatch):
    monkeypatch.setattr(segments, "FORMAT_VERSION", 2)
    journal(layout)
    monkeypatch.undo()

    with pytest.raises(Mismatch, match="newer"):
        entries(layout, 1)


def test_damage_tells_a_torn_tail_from_a_hole(layout):
    writing = journal(layout)
    path = layout.segment(1)
    assert segments.find_damage(path) is None
    start = path.stat().st_size
    writing.append([body(1)])
    whole = path.stat().st_size
    writing.sync()
    writing.append([body(2)])
    data = path.read_bytes()

    path.write_bytes(data[:-3])
    tail = segments.find_damage(path)
    path.write_bytes(data[:-1] + b"\x0b")
    newline = segments.find_damage(path)
    path.write_bytes(data[:start] + bytes(whole - start) + data[whole:])
    hole = segments.find_damage(path)

    assert tail is not None
    assert (tail.ended, tail.synced) == (False, whole)
    assert newline.ended
    assert (hole.offset, hole.ended, hole.synced) == (start, True, whole)


def test_a_full_disk_leaves_no_torn_record_and_the_reserve_takes_the_rest(layout):
    full = False
    disk = Failing(lambda what, path: full and what == "write" and path == layout.segment(1))
    writing = journal(layout, disk)
    writing.append([body(1)])
    whole = layout.segment(1).read_bytes()
    full, disk._short = True, 5

    with pytest.raises(StorageFull, match="No space left"):
        writing.append([body(2)])
    assert layout.segment(1).read_bytes() == whole

    closed = writing.fall_back()
    writing.append([body(2)])
    writing.seal()
    assert not layout.reserve.exists()
    assert (entries(layout, 1, closed.end), entries(layout, 2)) == ([[1]], [[2]])


def test_after_a_failed_sync_no_second_one_is_trusted_and_all_is_written_again(layout):
    broken = False
    disk = Failing(
        lambda what, path: broken and (what, path) == ("sync", layout.segment(1)), errno.EIO
    )
    writing = journal(layout, disk)
    writing.append([body(1)])
    writing.sync()
    writing.append([body(2)])
    broken = True
    with pytest.raises(StorageFull, match="Input/output error"):
        writing.sync()
    broken = False

    for attempt in (writing.sync, writing.seal, writing.roll, lambda: writing.append([body(3)])):
        with pytest.raises(StorageFull):
            attempt()
    closed = writing.fall_back()
    writing.append([body(3)])
    writing.seal()

    assert entries(layout, 1, closed.end) == [[1]]
    assert entries(layout, 2) == [[2], [3]]


SPOILS = {
    "no room for what is written again": lambda what, path: (
        (what, path.name) == ("write", "reserve")
    ),
    "the reserve cannot be synced": lambda what, path: (what, path.name) == ("sync", "reserve"),
    "the reserve gets no name": lambda what, path: what == "rename",
}


@pytest.mark.parametrize("spoilt", SPOILS)
def test_a_reserve_that_does_not_take_all_of_it_leaves_the_segment_before_as_it_is(layout, spoilt):
    failing = set()
    disk = Failing(lambda what, path: any(fails(what, path) for fails in failing), errno.EIO)
    writing = journal(layout, disk)
    writing.append([body(1)])
    writing.sync()
    writing.append([body(2)])
    failing |= {lambda what, path: (what, path) == ("sync", layout.segment(1)), SPOILS[spoilt]}

    with pytest.raises(StorageFull):
        writing.fall_back()
    failing.clear()

    for attempt in (writing.fall_back, writing.seal, lambda: writing.append([body(3)])):
        with pytest.raises(StorageFull):
            attempt()
    writing.abandon()
    assert layout.segments() == [1]
    assert entries(layout, 1) == [[1], [2]]


def test_what_is_written_again_is_there_before_the_segment_that_has_it(layout):
    class Watching(Failing):
        def rename(self, old, new):
            seen.append([e for some, _ in segments.read_entries(old) for e in some])
            super().rename(old, new)

    seen: list = []
    broken = set()
    disk = Watching(lambda what, path: (what, path.name) in broken, errno.EIO)
    writing = journal(layout, disk)
    writing.append([body(1)])
    broken.add(("sync", "000001.seg"))

    writing.fall_back()

    assert seen == [[], [[1]]]


@pytest.mark.parametrize("what", ["create", "write", "sync", "rename"])
def test_a_segment_goes_on_where_the_next_one_never_got_its_name(layout, what):
    broken = False
    disk = Failing(lambda w, path: broken and (w, path.name[:6]) == (what, "000002"))
    writing = journal(layout, disk)
    writing.append([body(1)])
    broken = True
    with pytest.raises(StorageFull):
        writing.roll()
    broken = False

    writing.append([body(2)])
    closed = writing.roll()
    writing.append([body(3)])
    assert (entries(layout, 1, closed.end), entries(layout, 2)) == ([[1], [2]], [[3]])


class Doubtful(Quick):
    """Gives names, and cannot say whether the disk has them once it is not ``calm``."""

    calm = True

    def sync_folder(self, folder):
        if not self.calm:
            raise OSError(errno.EIO, "bad sector")


def test_a_segment_does_not_grow_once_its_successor_says_where_it_ends(layout):
    disk = Doubtful()
    writing = journal(layout, disk)
    writing.append([body(1)])
    disk.calm = False
    with pytest.raises(StorageFull):
        writing.roll()
    disk.calm = True

    with pytest.raises(StorageFull):
        writing.append([body(2)])
    closed = writing.fall_back()
    writing.append([body(2)])
    assert (entries(layout, 1, closed.end), entries(layout, 2)) == ([[1]], [[2]])


def test_a_disk_that_copies_on_write_gets_the_reserves_room_back(layout):
    class Copying(Quick):
        """Nothing can be written until somebody frees room by cutting a file."""

        full = False

        def reserve(self, path, size):
            path.write_bytes(bytes(4096))
            return 4096

        def write(self, fd, data, at):
            if self.full:
                raise OSError(errno.ENOSPC, "full")
            return super().write(fd, data, at)

        def cut(self, fd, size):
            self.full = False
            super().cut(fd, size)

    disk = Copying()
    writing = journal(layout, disk)
    disk.full = True
    closed = writing.fall_back()
    disk.full = True
    with pytest.raises(StorageFull):
        writing.append([body(1)])
    assert entries(layout, 1, closed.end) == []
    assert layout.segment(2).stat().st_size < 4096, "the room is free, nobody holds it"

    other = Layout(root=layout.root / "other")
    make_folder(disk, other.journal)
    disk.full = False
    writing = journal(other, disk)
    writing.fall_back()
    disk.full = True
    writing.append([body(1)])
    writing.seal()
    assert entries(other, 2) == [[1]]


def test_a_reserve_that_has_become_the_next_segment_is_never_cut(layout):
    class Dead(Doubtful):
        """Takes no writes after that either."""

        def write(self, fd, data, at):
            if not self.calm and at == 0 and layout.segment(2).exists():
                raise OSError(errno.ENOSPC, "full")
            return super().write(fd, data, at)

    disk = Dead()
    writing = journal(layout, disk)
    writing.append([body(1)])
    disk.calm = False

    with pytest.raises(StorageFull, match="bad sector"):
        writing.fall_back()

    assert entries(layout, 1, segments.read_header(layout.segment(2)).follows) == [[1]]


def test_without_a_reserve_there_is_nothing_to_fall_back_to(layout):
    writing = journal(layout)
    writing.fall_back()

    with pytest.raises(StorageFull, match="reserve"):
        writing.fall_back()


def test_a_journal_that_cannot_begin_says_so(layout):
    with pytest.raises(StorageFull, match="reserve"):
        journal(layout, Failing(lambda what, path: path == layout.reserve and what == "create"))
    with pytest.raises(StorageFull, match="000001"):
        journal(layout, Failing(lambda what, _: what == "sync"))


def test_an_abandoned_journal_keeps_what_was_appended(layout):
    writing = journal(layout)
    writing.append([body(1)])
    writing.abandon()

    assert entries(layout, 1) == [[1]]
