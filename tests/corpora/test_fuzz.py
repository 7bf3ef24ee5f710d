"""Readers fed with what Hypothesis thinks of: they raise our own errors and nothing else."""

import gzip
import json

import orjson
from hypothesis import strategies as st

from tests.corpora import answers, lines, pictures, strangers, tables
from tests.corpora.cases import Case
from tests.corpora.fuzzing import fuzz
from tests.corpora.rows import read_all
from tests.corpora.test_answers import judge as judge_answer
from tests.corpora.test_images import judge as judge_picture
from vbatch.endpoint.reply import Reply

TEXTS = st.text(max_size=12) | st.sampled_from(
    [*lines.TEXTS.values(), "a.jpg", "https://x/a?sig=1"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)


def trees(keys):
    """JSON values whose objects have ``keys`` among others."""
    names = st.sampled_from(keys) | st.text(max_size=4)
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
        max_leaves=15,
    )


def keys_in(value):
    """The keys of all objects in ``value``."""
    return sorted({key for place in answers.places(value) for key in place if type(key) is str})


@st.composite
def mutated(draw, seeds):
    """Some good bytes, changed in a few places, or joined with others."""
    data = bytearray(draw(seeds))
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 4)):
            case 0:
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                del data[place:]
            case 2:
                data[place:place] = draw(st.binary(max_size=9))
            case 3:
                del data[place : place + draw(st.integers(1, 30))]
            case _:
                other = draw(seeds)
                data[place:] = other[min(place, len(other)) :]
    return bytes(data)


ROW_KEYS = (*lines.COLUMNS, "url", "path", "bytes", "detail", "messages", "content", "max_tokens")
ROWS = st.dictionaries(st.sampled_from(ROW_KEYS) | st.text(max_size=4), trees(ROW_KEYS), max_size=6)
WRITTEN = st.lists(ROWS.map(json.dumps) | st.text(max_size=30), max_size=6)
SOUND = [b"\n".join([lines.BEFORE, lines.AFTER]), *(case.data for case in lines.odd_values())]
LINES = (
    st.binary(max_size=300)
    | WRITTEN.map(lambda rows: "\n".join(rows).encode("utf-8", "surrogatepass"))
    | mutated(st.sampled_from(SOUND))
)


def test_a_jsonl_manifest_of_anything_is_rows_or_refused(tmp_path, evidence):
    def read(drawn):
        data, ending = drawn
        path = tmp_path / f"m.{ending}"
        path.write_bytes(gzip.compress(data, 1) if ending == "jsonl.gz" else data)
        read_all(path)

    endings = st.sampled_from(["jsonl", "jsonl", "jsonl", "jsonl.gz", "jsonl.zst"])
    assert fuzz("JSONL", st.tuples(LINES, endings), read, evidence, ci=300) > 0


def test_a_parquet_manifest_of_anything_is_rows_or_refused(tmp_path, evidence):
    seeds = [tables.plain(), *(case.data for case in list(tables.typed())[::7])]
    seeds += [case.data for case in tables.odd_shapes() if len(case.data) < 20_000]
    path = tmp_path / "m.parquet"

    def read(data):
        path.write_bytes(data)
        read_all(path)

    assert fuzz("Parquet", mutated(st.sampled_from(seeds)), read, evidence, ci=300) > 0


DOCUMENTS = [*answers.GOOD.values(), *answers.COMPLAINTS.values()]
SPOKEN = (
    trees([key for document in DOCUMENTS for key in keys_in(document)]).map(json.dumps)
    | st.sampled_from(DOCUMENTS).map(json.dumps)
).map(str.encode)
HEADERS = st.dictionaries(
    st.sampled_from([*answers.HEADERS]),
    st.sampled_from([value for values in answers.HEADERS.values() for value in values])
    | st.text(max_size=12),
    max_size=3,
)


def test_a_reply_of_anything_is_an_answer_or_our_error(evidence):
    replies = st.builds(
        Reply,
        status=st.sampled_from([200, 200, 200, *answers.STATUSES]) | st.integers(0, 999),
        headers=HEADERS,
        body=SPOKEN | mutated(SPOKEN) | st.binary(max_size=200),
        received_at=st.floats(0, 2e9),
    )

    def read(reply):
        assert orjson.dumps(judge_answer(answers.Heard("drawn", reply)))

    assert fuzz("replies", replies, read, evidence, ci=600) > 0


def test_an_image_of_anything_is_sent_or_refused_in_our_words(evidence):
    seeds = [*pictures.good().values(), *(case.data for case in strangers.polyglots())]
    seeds += [case.data for case in pictures.odd() if len(case.data) < 5000]

    def read(data):
        assert judge_picture(Case("drawn", data))

    drawn = mutated(st.sampled_from(seeds)) | st.binary(max_size=100)
    assert fuzz("images", drawn, read, evidence, ci=300) > 0
