"""Whatever a JSONL manifest holds, it is rows, bad rows with their line, or a refusal."""

import pytest

from tests.corpora import lines
from tests.corpora.cases import part_of
from tests.corpora.rows import judge_in, read_all
from vbatch.records import BadRow


def judge_line_in(folder):
    """Reads a line between good ones, which must come through whatever stands between."""
    path = folder / "m.jsonl"

    def judge(case):
        path.write_bytes(case.data)
        word, rows = read_all(path)
        if word == "refused":
            return word
        first, *between, last = rows
        assert [first.id, last.id] == ["before", "after"]
        assert all(row.line > first.line for row in between)
        assert [row.line for row in rows] == sorted(row.line for row in rows)
        return "bad row" if any(isinstance(row, BadRow) for row in between) else "row"

    return judge


@pytest.mark.parametrize("part", range(4))
def test_an_odd_value_costs_no_other_row(tmp_path, part, corpus):
    cases = part_of(lines.odd_values(), part, 4)
    words = corpus.go_through(cases, judge_line_in(tmp_path))
    assert min(words["row"], words["bad row"]) > 50


@pytest.mark.parametrize("part", range(4))
def test_an_odd_line_costs_no_other_row(tmp_path, part, corpus):
    cases = part_of(lines.odd_lines(), part, 4)
    words = corpus.go_through(cases, judge_line_in(tmp_path))
    assert min(words["row"], words["bad row"]) > 20
    assert words["refused"] <= 1  # the one with the id of another


@pytest.mark.parametrize("part", range(4))
def test_an_odd_file_is_rows_or_refused(tmp_path, part, corpus):
    words = corpus.go_through(part_of(lines.odd_files(), part, 4), judge_in(tmp_path))
    assert min(words["rows"], words["refused"]) > 30
