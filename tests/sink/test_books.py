"""How outcomes displace each other, and what damage is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sink import rows
from tests.sink.disks import Failing, Quick
from vbatch.errors import Corrupt, Mismatch, StorageFull
from vbatch.records import Usage
from vbatch.sink import codec
from vbatch.sink.books import Books
from vbatch.sink.commits import newest_commit
from vbatch.sink.journal import Closed, Journal
from vbatch.sink.kept import keep
from vbatch.sink.layout import Layout
from vbatch.sink.parts import put_table, read_part
from vbatch.sink.premises import make_folders
from vbatch.sink.recovery import recover
from vbatch.sink.schemas import schemas_of


class Desk:
    """A run whose segments are written by hand."""

    def __init__(self, root) -> None:
        self.layout = Layout(root=root)
        self.disk = Quick()
        make_folders(self.layout, self.disk)
        keep(rows.kept(), self.layout, self.disk)
        self._journal: Journal | None = None

    def journal(self, boot="b") -> Journal:
        """A segment of its own for what comes next."""
        if self._journal is None:
            number = newest_commit(self.layout).n + 1
            self._journal = Journal(
                self.layout, number=number, boot=boot, clock=rows.Still(), storage=self.disk
            )
        else:
            self._journal.roll()
        return self._journal

    def segment(self, *events, boot="b") -> None:
        journal = self.journal(boot)
        if events:
            journal.append([codec.dumps([codec.entry(event)]) for event in events])

    def books(self) -> Books:
        return Books(self.layout, self.disk, schemas_of(rows.kept()))

    def recover(self, boot="b") -> Books:
        if self._journal is not None:
            self._journal.abandon()
            self._journal = None
        books = self.books()
        recover(self.layout, self.disk, books, boot=boot)
        return books

    def ids(self, table, column="id") -> list:
        parts = [read_part(self.layout.part(table, n)) for n in self.layout.parts(table)]
        return [value for part in parts for value in part[column].to_pylist()]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture(params=["in one segment", "in two segments", "after a restart"])
def happens(request, desk):
    """Run events one after the other, in the ways that a commit can meet them."""

    def happen(*events) -> Desk:
        if request.param == "in one segment":
            desk.segment(*events)
        for event in events if request.param != "in one segment" else ():
            desk.segment(event)
            if request.param == "after a restart":
                desk.recover()
        desk.recover()
        return desk

    return happen


def tables(desk) -> tuple:
    return desk.ids("results", "text"), desk.ids("failures", "code"), desk.ids("superseded", "text")


def test_a_later_answer_displaces_the_earlier_one(happens):
    desk = happens(rows.completed(text="old"), rows.completed(text="new"))

    assert tables(desk) == (["new"], [], ["old"])


def test_a_commit_whose_segment_could_not_be_removed_counts_once_when_done_again(desk):
    desk.segment(rows.asked(), rows.completed())
    closed = desk.journal().seal()
    desk._journal = None
    segment = desk.layout.segment(1)
    disk = Failing(lambda what, path: what == "remove" and path == segment)
    books = Books(desk.layout, disk, schemas_of(rows.kept()))
    with pytest.raises(StorageFull):
        books.commit_segment(Closed(number=1, end=segment.stat().st_size))
    disk._fails = lambda *_: False

    books.commit_segment(Closed(number=1, end=segment.stat().st_size))
    books.commit_segment(closed)

    assert tables(desk) == (["yes"], [], [])
    assert [t.answered for t in books.commit.tallies.by_key.values()] == [1]


def test_no_segment_is_committed_before_the_one_it_follows(desk):
    desk.segment(rows.completed("a"))
    closed = desk.journal().seal()
    desk._journal = None
    books = desk.books()

    with pytest.raises(Corrupt, match="before segment 1"):
        books.commit_segment(closed)

    assert desk.layout.segments() == [1, 2]
    assert desk.recover().commit.n == 2


def test_a_failure_never_displaces_an_answer_to_the_same_question(happens):
    desk = happens(rows.completed(text="old"), rows.failed())

    assert tables(desk) == (["old"], [], [])


def test_a_failure_of_a_changed_row_displaces_its_old_answer(happens):
    desk = happens(rows.completed(text="old"), rows.failed(digest="d2"))

    assert tables(desk) == ([], ["timeout"], ["old"])


def test_a_failure_leaves_an_answer_alone_that_the_row_has_under_former_templates(happens):
    desk = happens(
        rows.completed(text="old"), rows.failed(digest="d2", former_digests=("d0", "d1"))
    )

    assert tables(desk) == (["old"], [], [])
    assert desk.ids("failed") == []


def test_a_failure_displaces_an_answer_that_none_of_its_digests_stands_for(happens):
    desk = happens(rows.completed(text="old"), rows.failed(digest="d2", former_digests=("d0",)))

    assert tables(desk) == ([], ["timeout"], ["old"])


def test_an_answer_ends_a_failure(happens):
    desk = happens(rows.failed(), rows.completed(text="new"))

    assert tables(desk) == (["new"], [], [])
    assert desk.ids("failed") == []


def test_a_later_failure_replaces_the_earlier_one(happens):
    desk = happens(rows.failed(code="timeout"), rows.failed(code="connection"))

    assert tables(desk) == ([], ["connection"], [])


def test_an_answer_that_came_and_went_and_came_again_is_kept_twice(happens):
    desk = happens(rows.completed(text="one"), rows.failed(digest="d2"), rows.completed(text="two"))

    assert tables(desk) == (["two"], [], ["one"])


def test_ids_that_share_a_hash_displace_nobody(desk, monkeypatch):
    monkeypatch.setattr("vbatch.sink.index._hashes", _one_hash)
    desk.segment(rows.completed("a"), rows.failed("b"))
    desk.segment(rows.completed("c"), rows.failed("d"))

    desk.recover()

    assert sorted(desk.ids("results")) == ["a", "c"]
    assert sorted(desk.ids("failures")) == ["b", "d"]
    assert desk.ids("superseded") == []


def _one_hash(texts):
    return np.zeros(len(list(texts)), np.int64)


def test_an_empty_table_is_one_file_without_row_groups_until_rows_come(desk):
    books = desk.recover()
    books.place_empty_tables()
    empty = desk.layout.part("results", 0)
    assert pq.read_metadata(empty).num_row_groups == 0
    assert pq.read_schema(empty).equals(schemas_of(rows.kept()).results)
    assert b'"results"' in pq.read_schema(empty).metadata[b"vbatch"]

    desk.segment(rows.completed(), rows.failed("b"))
    desk.recover()

    assert (desk.layout.parts("results"), desk.layout.parts("failures")) == ([1], [1])
    assert not desk.layout.table("superseded").exists()


def test_a_table_that_lost_all_its_rows_is_one_empty_file_again(desk):
    desk.segment(rows.failed())
    desk.segment(rows.completed())
    books = desk.recover()
    books.place_empty_tables()

    assert (desk.layout.parts("failures"), desk.layout.parts("failed")) == ([0], [])
    assert desk.ids("failures") == []


def test_a_public_part_is_put_before_its_private_twin(desk):
    """Else a kill between the two would leave the public one as it was, with nothing to mend."""
    desk.segment(rows.failed("a"), rows.failed("b"))
    desk.segment(rows.completed("a"))
    renamed = []

    class Watching(Quick):
        def rename(self, old, new):
            renamed.append(new.parent.name)
            super().rename(old, new)

    desk.disk = Watching()
    desk.recover()

    puts = [name for name in renamed if name in {"failures", "failed"}]
    assert puts == ["failures", "failed", "failures", "failed"]


def test_open_requests_are_carried_from_commit_to_commit_and_over_restarts(desk):
    desk.segment(rows.asked("a"), rows.asked("b"))
    desk.segment(rows.completed("a"))
    assert list(desk.recover().commit.tallies.open) == [("i1", "b")]
    assert list(desk.recover().commit.tallies.open) == [("i1", "b")]
    desk.segment(rows.abandoned("b"))
    commit = desk.recover().commit

    assert not commit.tallies.open
    (tally,) = commit.tallies.by_key.values()
    assert (tally.possibly_billed, tally.answered, tally.requests) == (1, 1, 2)


def test_usage_survives_the_commit_record_exactly(desk):
    desk.segment(rows.asked(), rows.failed(), rows.completed(usage=rows.usage(cost="0.1")))
    books = desk.recover()

    assert desk.books().commit == books.commit


def test_a_torn_tail_is_cut_off(desk):
    desk.segment(rows.completed("a"), rows.completed("b"))
    path = desk.layout.segment(1)
    path.write_bytes(path.read_bytes()[:-5])

    books = desk.recover()

    assert desk.ids("results") == ["a"]
    assert not books.commit.power_cut


def test_a_cut_tail_that_the_next_segment_needs_is_refused(desk):
    desk.segment(rows.completed("a"))
    desk.segment(rows.completed("b"))
    path = desk.layout.segment(1)
    path.write_bytes(path.read_bytes()[:-5])

    with pytest.raises(Corrupt, match=r"000001\.seg, offset"):
        desk.recover()


def test_large_answers_are_turned_into_rows_a_few_at_a_time(desk):
    texts = [str(number) * 3_000_000 for number in range(4)]
    for number, text in enumerate(texts):
        desk.journal().append([codec.dumps([codec.entry(rows.completed(f"r{number}", text=text))])])
    desk.recover()

    assert [text[0] for text in desk.ids("results", "text")] == ["0", "1", "2", "3"]


def test_usage_of_odd_types_counts_for_nothing(desk):
    odd = Usage(prompt_tokens="12", total_tokens=1.5, completion_tokens=2, cost="free")
    infinite = Usage(total_tokens=3, cost="Infinity")
    desk.segment(rows.completed("a", usage=odd), rows.tried(usage=infinite))
    (tally,) = desk.recover().commit.tallies.by_key.values()

    assert (tally.prompt_tokens, tally.completion_tokens, tally.total_tokens) == (0, 2, 3)
    assert (tally.cost, tally.wasted_tokens) == (None, 3)


def test_a_hole_before_the_tail_is_refused_and_changes_nothing(desk):
    desk.segment(rows.completed("a"), rows.completed("b"), rows.completed("c"))
    path = desk.layout.segment(1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], b"?" * len(lines[2]), lines[3]]))
    before = path.read_bytes()

    with pytest.raises(Corrupt, match=rf"{path}, offset {len(lines[0] + lines[1])}: .* --fresh"):
        desk.recover()
    assert path.read_bytes() == before


def test_after_another_start_of_the_machine_only_synced_records_must_be_whole(desk):
    desk.segment(rows.completed("a"), rows.completed("b"), rows.completed("c"))
    path = desk.layout.segment(1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], bytes(len(lines[2])), lines[3]]))

    books = desk.recover(boot="another")

    assert desk.ids("results") == ["a"]
    assert books.commit.power_cut
    assert desk.books().commit.power_cut


def test_a_synced_record_that_is_torn_after_a_power_cut_is_refused(desk):
    journal = desk.journal()
    for row_id in "abc":
        journal.append([codec.dumps([codec.entry(rows.completed(row_id))])])
        journal.sync()
    path = desk.layout.segment(1)
    data = path.read_bytes()
    place = data.index(b'"a"')
    path.write_bytes(data[:place] + b"###" + data[place + 3 :])

    with pytest.raises(Corrupt):
        desk.recover(boot="another")


def test_a_missing_segment_is_refused(desk):
    desk.segment(rows.completed("a"))
    desk.segment(rows.completed("b"))
    desk.layout.segment(1).unlink()

    with pytest.raises(Corrupt, match=r"000001\.seg is missing"):
        desk.recover()


def test_segments_that_do_not_follow_each_other_are_refused(desk):
    desk.segment(rows.completed("a"))
    desk.segment(rows.completed("b"))
    follows_nobody = desk.layout.segment(2).read_bytes()
    desk.layout.segment(2).unlink()
    desk.layout.segment(3).write_bytes(follows_nobody)

    with pytest.raises(Corrupt):
        desk.recover()


def test_a_part_that_somebody_removed_is_missed(desk):
    desk.segment(rows.completed("a"))
    desk.recover()
    desk.layout.part("results", 1).unlink()

    with pytest.raises(Corrupt, match=r"part-000001\.parquet is missing: its rows are paid for"):
        desk.recover()


def test_the_public_failures_are_a_view_and_made_again(desk):
    desk.segment(rows.failed("a"))
    desk.recover()
    desk.layout.part("failures", 1).unlink()

    desk.recover()

    assert desk.ids("failures") == ["a"]


@pytest.mark.parametrize("table", ["results", "failed"])
def test_a_part_that_cannot_be_read_is_corrupt(desk, table):
    desk.segment(rows.completed("a"), rows.failed("b"))
    desk.recover()
    path = desk.layout.part(table, 1)
    path.write_bytes(b"PAR1" + bytes(100))

    with pytest.raises(Corrupt, match=f"{path} cannot be read"):
        _ = desk.recover().index


def test_a_part_of_other_columns_is_corrupt(desk):
    desk.segment(rows.completed("a"))
    desk.recover()
    put_table(desk.disk, desk.layout.part("results", 1), pa.table({"id": ["a"]}))

    with pytest.raises(Corrupt, match="row_digest"):
        _ = desk.recover().index


def test_a_part_of_a_newer_vbatch_is_refused(desk):
    desk.segment(rows.completed("a"))
    desk.recover()
    path = desk.layout.part("results", 1)
    newer = read_part(path).replace_schema_metadata({b"vbatch": b'{"format_version": 2}'})
    put_table(desk.disk, path, newer)

    with pytest.raises(Mismatch, match="newer"):
        _ = desk.recover().index


def test_rows_in_the_journal_of_a_run_that_forgot_its_columns_are_refused(desk):
    desk.segment(rows.completed("a"))
    books = Books(desk.layout, desk.disk, None)

    with pytest.raises(Corrupt, match=r"kept\.json is missing"):
        recover(desk.layout, desk.disk, books, boot="b")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format_version": 1, "n": "x", "parts": 1}'])
def test_a_commit_record_that_is_none_is_corrupt(desk, text):
    desk.layout.commit(3).write_text(text)

    with pytest.raises(Corrupt, match=r"000003\.json"):
        desk.books()


def test_a_newer_commit_record_is_refused(desk):
    desk.layout.commit(3).write_text('{"format_version": 2}')

    with pytest.raises(Mismatch):
        desk.books()
