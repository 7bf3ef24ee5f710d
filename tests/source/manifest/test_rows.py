"""Ids and digests: by what a row is known from one run to the next."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.job import Columns
from vbatch.source.manifest.asks import Reader, Uses
from vbatch.source.manifest.layout import layout
from vbatch.source.manifest.raw import RawRow
from vbatch.source.manifest.refs import BadValue
from vbatch.source.manifest.rows import Claimer
from vbatch.source.manifest.templates import Template


def _digest(desk, row, **options):
    return desk.read(desk.lines({"id": "i", "image": "a", **row}), **options).row.row_digest


def test_a_digest_is_that_of_what_the_row_asks(desk):
    base = _digest(desk, {})
    assert base == _digest(desk, {})
    assert len(base) == 32
    for change in (
        {"image": "b"},
        {"image": {"path": "a", "detail": "low"}},
        {"images": ["b"]},
        {"prompt": "p"},
        {"system": "s"},
        {"params": {"max_tokens": 1}},
    ):
        assert _digest(desk, change) != base


def test_what_is_only_carried_or_said_otherwise_does_not_count(desk):
    base = _digest(desk, {})
    for same in (
        {"label": 1},
        {"id": "other"},
        {"image": {"url": "a"}},
        {"image": None, "images": ["a"]},
        {"params": {"max_tokens": None}},
        {"params": "{}"},
        {"prompt": None},
    ):
        assert _digest(desk, same) == base
    params = {"params": {"max_tokens": 5, "temperature": 1}}
    other = {"params": '{"temperature": 1.0, "max_tokens": 5.0}'}
    assert _digest(desk, params) == _digest(desk, other)


def test_embedded_bytes_count_by_their_content(desk):
    one = _digest(desk, {"image": {"bytes": "AP8=", "path": "a"}})
    assert one == _digest(desk, {"image": {"bytes": "AP8=", "path": "b"}})
    assert one != _digest(desk, {"image": {"bytes": "AQ8=", "path": "a"}})


def test_columns_count_if_the_template_of_the_row_uses_them(desk):
    prompt = "{{ title }}"
    one = _digest(desk, {"title": "x", "other": 1}, prompt=prompt)
    assert one == _digest(desk, {"title": "x", "other": 2}, prompt=prompt)
    assert one != _digest(desk, {"title": "y", "other": 1}, prompt=prompt)
    own = _digest(desk, {"title": "x", "prompt": "p"}, prompt=prompt)
    assert own == _digest(desk, {"title": "y", "prompt": "p"}, prompt=prompt)
    system = _digest(desk, {"title": "x", "prompt": "p"}, prompt=prompt, system="{{ title }}")
    assert system != own


def test_an_ignored_prompt_does_not_count(desk):
    options = {"columns": {"prompt": False}}
    assert _digest(desk, {"prompt": "p"}, **options) == _digest(desk, {}, **options)


def test_former_digests_are_those_under_earlier_templates(desk):
    row = {"title": "x", "tag": "t"}
    plain, title = _digest(desk, row), _digest(desk, row, prompt="{{ title }}")
    path = desk.lines({"id": "i", "image": "a", **row})
    before = [(), ("prompt:title",), ("prompt:tag",), ("prompt:title",)]
    found = desk.read(path, prompt="{{ tag }}", template_columns_before=before).row
    assert found.former_digests == (plain, title)
    assert found.row_digest == _digest(desk, row, prompt="{{ tag }}")


def test_an_id_made_from_content_outlives_a_change_of_template(desk):
    path = desk.lines({"image": "a", "title": "x", "label": 1})
    first = desk.read(path, prompt="{{ title }}")
    later = desk.read(
        path, prompt="{{ label }}", template_columns_before=[first.manifest.template_columns]
    )
    assert later.ids == first.ids == [f"row-{first.row.row_digest}"]
    assert later.row.row_digest != first.row.row_digest
    assert later.row.former_digests == (first.row.row_digest,)


def test_an_id_made_from_content_does_not_depend_on_place_or_carried_columns(desk):
    rows = [{"image": f"{n}", "label": n} for n in range(5)]
    first = desk.read(desk.lines(*rows)).ids
    moved = desk.read(
        desk.lines({"image": "new"}, *[{**row, "label": 0} for row in rows[::-1]])
    ).ids
    assert moved[1:] == first[::-1]


def test_a_presigned_url_is_the_same_row_the_next_day(desk):
    url = "https://b.s3.amazonaws.com/k.jpg?X-Amz-Date={0}&X-Amz-Signature={0}"
    ids = [desk.read(desk.lines({"image": url.format(day)})).ids for day in (1, 2)]
    assert ids[0] == ids[1]


def test_uses_are_kept_as_words_and_read_again():
    uses = Uses(prompt=frozenset({"b", "a:c"}), system=frozenset({"s"}))
    assert uses.names() == ("prompt:a:c", "prompt:b", "system:s")
    assert Uses.of(uses.names()) == uses


def test_a_used_column_nested_too_deeply_makes_a_bad_row(desk):
    deep = "[" * 500 + "]" * 500
    path = desk.lines('{"image":"a","t":' + deep + "}", {"image": "b", "t": "x"})
    found = desk.read(path, prompt="{{ t }}")
    assert found.ids[0].startswith("bad-")
    assert found.rows[1].prompt == "x"


_TEXT = st.none() | st.text(max_size=3)
_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "id": _TEXT | st.integers() | st.booleans(),
        "image": _TEXT | st.sampled_from(["https://x?Signature=1&b=2", 5, {"path": "a"}, {}]),
        "images": st.none() | st.lists(st.sampled_from(["a", {"url": "b"}])),
        "prompt": _TEXT | st.integers(),
        "system": _TEXT,
        "params": st.none() | st.just({}) | st.just({"max_tokens": 1}),
        "t": _TEXT | st.lists(st.integers(0, 9)),
    },
)


@given(_VALUES, st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_quick_digest_of_a_plain_row_is_its_digest(values, templated):
    prompt = Template("{{ t }}", where="request.prompt") if templated else None
    found = layout(Columns(), {"id": None, "image": None})
    reader = Reader(found, prompt, None)
    image = reader.image(values)
    quick = reader.plain_digest(values, image)
    if quick is not None:
        asks = reader.asks(values, image)
        assert quick == reader.digest(asks, values)
        assert quick == reader.id_digest(asks, values, quick)
    claim = Claimer(found, reader).claim(RawRow(0, "f", 1, values, "", b"raw"))
    assert claim.id
    if claim.id.startswith("bad-"):
        with pytest.raises(BadValue):
            _ask(reader, found, values)


def _ask(reader, found, values):
    Claimer(found, reader).given_id(values)
    reader.asks(values, reader.image(values))
