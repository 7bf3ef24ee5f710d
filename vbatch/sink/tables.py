"""Journal entries → rows of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from vbatch import columns
from vbatch.sink.codec import AT_COMPLETED, AT_FAILED
from vbatch.sink.schemas import EXTRA, FAILURES, PRIVATE, RAW, RESULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vbatch.sink.schemas import Schemas

_UNFIT = (
    pa.ArrowException,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
)
"""What Arrow and the carried columns' decoder raise for a value that does not fit its type."""

_RESULT_PLACES = [
    AT_COMPLETED[{"model": "answer_model", "finished_at": "at"}.get(name, name)]
    for name in RESULTS.names
]
"""Where each column stands in an entry."""
_PARSED = RESULTS.get_field_index("parsed")
_FAILURE_PLACES = [AT_FAILED[{"last_at": "at"}.get(name, name)] for name in FAILURES.names]
_PRIVATE_PLACES = [AT_FAILED[name.removeprefix("vbatch.")] for name in PRIVATE.names]


class _Misfits:
    """Values that no column of their table can hold, by row: they end in ``extra``."""

    def __init__(self) -> None:
        self._by_row: dict[int, dict[str, Any]] = {}

    def add(self, row: int, name: str, value: Any) -> None:
        self._by_row.setdefault(row, {})[name] = value

    def into(self, extras: Sequence[str | None]) -> list[str | None]:
        """The column ``extra``, with what has come together here."""
        merged = list(extras)
        for row, values in self._by_row.items():
            merged[row] = _with(merged[row], values)
        return merged


def results(entries: Sequence[Sequence[Any]], schemas: Schemas) -> pa.RecordBatch:
    """The rows of Completed entries, at least one."""
    places = list(zip(*entries, strict=True))
    places += [(None,) * len(entries)] * (len(AT_COMPLETED) - len(places))  # an earlier version's
    misfits = _Misfits()
    own = [schemas.results.field(place) for place in range(len(RESULTS))]
    arrays = [
        (_parsed if number == _PARSED else _column)(places[place], field, misfits)
        for number, (field, place) in enumerate(zip(own, _RESULT_PLACES, strict=True))
    ]
    if schemas.with_raw:
        arrays.append(_column(places[AT_COMPLETED["raw"]], RAW, misfits))
    arrays += _carried(places[AT_COMPLETED["passthrough"]], schemas.carried, misfits)
    extras = misfits.into(places[AT_COMPLETED["extra"]])
    return pa.record_batch([*arrays, pa.array(extras, EXTRA.type)], schema=schemas.results)


def failed(entries: Sequence[Sequence[Any]], schemas: Schemas) -> pa.RecordBatch:
    """The rows of Failed entries, at least one, as the private table has them."""
    places = list(zip(*entries, strict=True))
    misfits = _Misfits()
    public = [
        _column(places[place], field, misfits)
        for field, place in zip(FAILURES, _FAILURE_PLACES, strict=True)
    ]
    public += _carried(places[AT_FAILED["given"]], schemas.given, misfits)
    public += _carried(places[AT_FAILED["passthrough"]], schemas.carried, misfits)
    private = [
        _column(places[place], field, misfits)
        for field, place in zip(PRIVATE, _PRIVATE_PLACES, strict=True)
    ]
    extra = pa.array(misfits.into(places[AT_FAILED["extra"]]), EXTRA.type)
    return pa.record_batch([*private, *public, extra], schema=schemas.failed)


def public(failed_rows: pa.Table, schemas: Schemas) -> pa.Table:
    """What the failures table shows of private rows."""
    shown = failed_rows.columns[len(PRIVATE) :]
    return pa.Table.from_arrays(shown, schema=schemas.failures)


def _column(values: Sequence[Any], field: pa.Field, misfits: _Misfits) -> pa.Array:
    try:
        return _CONVERT.get(field.type, _plain)(values, field.type)
    except _UNFIT:
        return _one_by_one(values, field, misfits, _CONVERT.get(field.type, _plain))


def _parsed(values: Sequence[Any], field: pa.Field, misfits: _Misfits) -> pa.Array:
    """Values that follow the job's schema: as its type has them, else as JSON text."""
    if pa.types.is_string(field.type):
        values = [
            None if value is None else columns.exact.dumps(value).decode() for value in values
        ]
        return _plain(values, field.type)
    return _column(values, field, misfits)


def _carried(
    rows: Sequence[Mapping[str, Any] | None], schema: pa.Schema, misfits: _Misfits
) -> list[pa.Array]:
    known = set(schema.names)
    for number, row in enumerate(rows):
        if row and not row.keys() <= known:
            for name in row.keys() - known:
                misfits.add(number, name, row[name])
    arrays = []
    for field in schema:
        values = [row.get(field.name) if row else None for row in rows]
        try:
            arrays.append(columns.decode(values, field.type))
        except _UNFIT:
            arrays.append(_one_by_one(values, field, misfits, columns.decode))
    return arrays


def _one_by_one(
    values: Sequence[Any],
    field: pa.Field,
    misfits: _Misfits,
    convert: Callable[[Sequence[Any], pa.DataType], pa.Array],
) -> pa.Array:
    """The slow way: a value that does not fit leaves a null, and goes to ``extra``."""
    fitting: list[Any] = []
    for row, value in enumerate(values):
        try:
            convert([value], field.type)
        except _UNFIT:
            misfits.add(row, field.name, value)
            fitting.append(None)
        else:
            fitting.append(value)
    return convert(fitting, field.type)


def _plain(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Most columns of a chunk hold one value (model, endpoint, null), which is cheap to repeat."""
    if values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], kind), len(values))
    return pa.array(values, kind)


def _whole(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Integers; Arrow would take 1.5 for 1 and True for 1 without a word."""
    if not {int, type(None)}.issuperset(map(type, values)):
        raise TypeError("not integers")
    return _plain(values, kind)


def _moments(values: Sequence[float | None], kind: pa.DataType) -> pa.Array:
    return pa.array([None if v is None else round(v * 1000) for v in values], kind)


def _floats(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Numbers, and Decimals as the text that the journal keeps of them."""
    return pa.array([None if v is None else float(v) for v in values], kind)


_CONVERT: dict[pa.DataType, Callable[[Sequence[Any], pa.DataType], pa.Array]] = {
    pa.int64(): _whole,
    pa.int32(): _whole,
    pa.float64(): _floats,
    pa.timestamp("ms", tz="UTC"): _moments,
}


def _with(extra: str | None, values: Mapping[str, Any]) -> str:
    """``extra`` as JSON text, with these names added."""
    try:
        before = orjson.loads(extra) if extra else {}
    except ValueError:
        before = {"extra": extra}
    if not isinstance(before, dict):
        before = {"extra": before}
    return orjson.dumps({**before, **values}).decode()
