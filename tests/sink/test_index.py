"""The index says where the newest outcome of an id stands."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.sink.index import Index

few = st.sampled_from([f"id-{n}" for n in range(12)])
parts = st.lists(
    st.tuples(st.dictionaries(few, st.sampled_from("xyz"), max_size=8), st.booleans()), max_size=9
)


def standing(parts) -> dict:
    newest: dict = {}
    for number, (rows, answered) in enumerate(parts, 1):
        newest |= {i: (number if answered else -number, digest) for i, digest in rows.items()}
    return newest


@settings(max_examples=150, deadline=None)
@given(parts=parts, loaded=st.integers(0, 9), digest=st.sampled_from("xyz"))
def test_the_newest_part_wins_however_it_came_in(parts, loaded, digest):
    index = Index()
    places = [n if answered else -n for n, (_, answered) in enumerate(parts, 1)]
    triples = [(list(r), list(r.values()), p) for (r, _), p in zip(parts, places, strict=True)]
    index.load(triples[:loaded])
    for ids, digests, place in triples[loaded:]:
        index.add(ids, digests, place)

    expected = standing(parts)
    ids = [f"id-{n}" for n in range(13)]
    found = [expected.get(i, (0, None)) for i in ids]
    places, same = index.find(ids, [digest] * len(ids))
    assert places == [place for place, _ in found]
    assert same == [there == digest for _, there in found]
    assert [index.get(i, digest) for i in ids] == list(zip(places, same, strict=True))
    assert [index.place(i) for i in ids] == places
    assert index.answered == sum(place > 0 for place in places)
    assert index.failed == sum(place < 0 for place in places)


def test_a_frozen_index_does_not_see_what_comes_later():
    index = Index()
    index.add(["a"], ["x"], 1)
    before = index.frozen()
    index.add(["a", "b"], ["y", "y"], -2)

    assert (before.place("a"), before.place("b")) == (1, 0)
    assert (index.place("a"), index.place("b")) == (-2, -2)
