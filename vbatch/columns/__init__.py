"""Carried columns: how a manifest's own columns travel from row to table without loss.

Between the manifest and the tables every value is a JSON value, so that the journal can hold it.
``exact`` reads and writes JSON; ``values`` turns Arrow arrays into such values and back; ``settle``
finds the type of a column that has none yet, and brings later values to it; ``names`` says what the
columns are called.
"""

from vbatch.columns import exact
from vbatch.columns.names import FAILURE_NAMES, RESULT_NAMES, output_name, output_names
from vbatch.columns.settle import (
    AS,
    Misfit,
    Shape,
    as_json,
    deserialize,
    fits,
    fitter,
    serialize,
    settle,
)
from vbatch.columns.values import decode, encode, plain_type

__all__ = [
    "AS",
    "FAILURE_NAMES",
    "RESULT_NAMES",
    "Misfit",
    "Shape",
    "as_json",
    "decode",
    "deserialize",
    "encode",
    "exact",
    "fits",
    "fitter",
    "output_name",
    "output_names",
    "plain_type",
    "serialize",
    "settle",
]
