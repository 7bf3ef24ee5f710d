import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from vbatch.columns import AS, Misfit, decode, deserialize, encode, fits, fitter, serialize, settle


def _kind(*samples):
    field = settle("c", samples)
    return field.type, (field.metadata or {}).get(AS)


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        ([1, None, -5], pa.int64()),
        ([2**64 - 1], pa.uint64()),
        ([1, 2.5], pa.float64()),
        ([True, None], pa.bool_()),
        (["a"], pa.string()),
        ([None, None], pa.string()),
        ([], pa.string()),
        ([[1], [2.5], []], pa.list_(pa.float64())),
        ([[]], pa.list_(pa.string())),
        ([{"a": 1}, {"b": ["x"]}], pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])),
    ],
)
def test_a_column_gets_the_narrowest_type_that_holds_its_values(samples, kind):
    assert _kind(*samples) == (kind, None)


def test_numbers_among_text_become_text():
    field = settle("c", ["a", 1, 2.5])
    assert field.type == pa.string()
    assert [fitter(field)(v) for v in ("a", 1, 2.5)] == ["a", "1", "2.5"]
    assert not fits(True, field)


@pytest.mark.parametrize(
    "samples",
    [
        [True, 1],
        ["a", {"b": 1}],
        [[1], {"b": 1}],
        [{str(n): n for n in range(65)}],
        [{}],
        [-1, 2**64 - 1],
    ],
)
def test_mixed_kinds_and_large_objects_become_json_text(samples):
    field = settle("c", samples)
    assert field.type == pa.string()
    assert [orjson.loads(fitter(field)(v)) for v in samples] == samples


def test_an_object_of_64_keys_is_a_struct():
    assert settle("c", [{str(n): n for n in range(64)}]).type.num_fields == 64


def test_a_value_nested_too_deeply_is_a_misfit_even_for_json_text():
    value: object = 1
    for _ in range(300):
        value = [value]
    field = settle("c", [value])
    with pytest.raises(Misfit):
        fitter(field)(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, pa.string()),
        ("1", pa.int64()),
        (1.0, pa.int64()),
        (True, pa.int64()),
        (128, pa.int8()),
        (-1, pa.uint64()),
        (2**53 + 1, pa.float64()),
        ("NaN", pa.float64()),
        (0.1, pa.float32()),
        (0, pa.bool_()),
        ("a", pa.list_(pa.string())),
        ([1], pa.list_(pa.string())),
        ({"b": 1}, pa.struct([("a", pa.int64())])),
        ({"a": "x"}, pa.struct([("a", pa.int64())])),
        ([], pa.struct([("a", pa.int64())])),
        ("2023", pa.date32()),
        ("1.234", pa.decimal128(5, 2)),
        ("abc", pa.decimal128(5, 2)),
        ([1, 2], pa.list_(pa.int64(), 3)),
        (5, pa.map_(pa.string(), pa.int64())),
    ],
)
def test_a_value_that_would_be_changed_does_not_fit(value, kind):
    assert not fits(value, pa.field("c", kind))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, pa.int64()),
        (3, pa.float64()),
        (0.5, pa.float32()),
        ("2023-11-14", pa.date32()),
        ("1.23", pa.decimal128(5, 2)),
        ([1, None], pa.list_(pa.int64())),
        ({"a": None}, pa.struct([("a", pa.int64())])),
        ({}, pa.struct([("a", pa.int64())])),
        ({"k": 1}, pa.map_(pa.string(), pa.int64())),
        ("AP8=", pa.binary()),
        ("x", pa.large_string()),
    ],
)
def test_a_value_that_is_kept_as_it_is_fits(value, kind):
    assert fits(value, pa.field("c", kind))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=6))
@examples(max_examples=120, deadline=None)
def test_a_settled_column_holds_its_samples_or_says_that_it_does_not(samples):
    field = settle("c", samples)
    fit = fitter(field)
    held = []
    for value in samples:
        try:
            held.append(None if value is None else fit(value))
        except Misfit:
            assert not fits(value, field)
            held.append(None)
    array = decode(held, field.type)
    assert array.type == field.type
    assert [v is None for v in encode(array)] == [v is None for v in held]


def test_schemas_survive_serializing_with_their_metadata():
    schema = pa.schema([settle("a", [1, "x"]), settle("b", [{"c": [1, {}]}])])
    assert deserialize(serialize(schema)).equals(schema, check_metadata=True)
