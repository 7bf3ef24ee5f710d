"""How large a text of a Parquet column can be: one that is stored once may stand in every row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def texts_of(file: pq.ParquetFile) -> dict[str, int]:
    """The leaves that hold texts or bytes, and their numbers."""
    leaves = (file.schema.column(n) for n in range(file.metadata.num_columns))
    return {leaf.path: n for n, leaf in enumerate(leaves) if leaf.physical_type == "BYTE_ARRAY"}


def largest_repeated(probe: pq.ParquetFile, group: int, texts: dict[str, int]) -> int:
    """How large a text may be that stands in every row: as a dictionary holds it, at least about.

    ``probe`` reads flat columns as dictionaries, whose longest value is known. What is damaged
    raises while a row is read, and ends the process where metadata is asked for it.
    """
    if not texts:
        return 1
    import pyarrow.compute as pc  # noqa: PLC0415 - 9 MB that most runs never need

    batches = probe.iter_batches(1, row_groups=[group], columns=[*texts], use_threads=False)
    longest = {}
    for batch in batches:
        for field, column in zip(batch.schema, batch.columns, strict=True):
            if pa.types.is_dictionary(field.type):
                longest[field.name] = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        break
    about: Any = probe.metadata.row_group(group)
    return max(
        1, *(longest.get(leaf, _dictionary_bytes(about.column(n))) for leaf, n in texts.items())
    )


def _dictionary_bytes(chunk: Any) -> int:
    """About how large a column's dictionary is. One value of it may stand in every row."""
    if not chunk.has_dictionary_page:
        return 0
    packed = chunk.data_page_offset - chunk.dictionary_page_offset
    return int(packed * chunk.total_uncompressed_size // max(chunk.total_compressed_size, 1))
