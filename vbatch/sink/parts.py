"""Parts: Parquet files that appear whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from zlib import crc32

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from vbatch.errors import StorageFull
from vbatch.sink.kept import check_version
from vbatch.sink.schemas import METADATA_KEY
from vbatch.sink.storage import ASIDE, Storage, publish, reading, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

_ROW_GROUP = 10_000
_PIECE_BYTES = 1 << 20


def put_table(
    storage: Storage,
    path: Path,
    table: pa.Table,
    *,
    announce: Callable[[int], None] | None = None,
) -> None:
    """Put a table in place: aside, synced, read back, renamed, folder synced.

    It is read back because a Parquet file that met a full disk closes without a word. ``announce``
    hears the file's checksum before it gets its name.
    """
    aside = path.with_name(path.name + ASIDE)
    with storage_errors(path):
        try:
            storage.remove(aside)
            storage.close(storage.create(aside))  # as this run's own, and no link to elsewhere
            _write(aside, table)
            _sync(storage, aside)
            _count(aside, table.num_rows)
            if announce is not None:
                announce(checksum(aside))
            publish(storage, aside, path)
        except (OSError, StorageFull):
            with suppress(OSError):
                storage.remove(aside)
            raise


def _write(path: Path, table: pa.Table) -> None:
    with pq.ParquetWriter(
        path, table.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        if table.num_rows:
            writer.write_table(table, row_group_size=_ROW_GROUP)


def _sync(storage: Storage, path: Path) -> None:
    fd = storage.open(path)
    try:
        storage.sync(fd)
    finally:
        storage.close(fd)


def _count(path: Path, rows: int) -> None:
    try:
        found = pq.read_metadata(path).num_rows
    except pa.ArrowException:
        found = None
    if found != rows:
        raise StorageFull(
            f"{path} cannot be read back: the disk is probably full. Make room, then run the same "
            "command again: nothing recorded is lost"
        )


def checksum(path: Path) -> int:
    """CRC-32 of a whole file: that of a page leaves out its header and the file's footer."""
    value = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            value = crc32(piece, value)
    return value


def read_part(
    path: Path, names: Sequence[str] | None = None, *, few: Sequence[str] = ()
) -> pa.Table:
    """A part, or some of its columns; ``Corrupt`` if it is not there or torn.

    Columns that hold ``few`` different texts come as dictionaries.
    """
    with (
        reading(path, pa.ArrowException),
        pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=few) as file,
    ):
        label = (file.schema_arrow.metadata or {}).get(METADATA_KEY, b"{}")
        check_version(orjson.loads(label), path)
        if names and not set(names) <= set(file.schema_arrow.names):
            raise ValueError(f"it has no columns {', '.join(names)}")
        return file.read(columns=names)


def count_rows(path: Path) -> int:
    """How many rows a part has, of its footer alone; errors as ``read_part``."""
    with reading(path, pa.ArrowException):
        footer = pq.read_metadata(path)
        check_version(orjson.loads((footer.metadata or {}).get(METADATA_KEY, b"{}")), path)
        return int(footer.num_rows)


def read_rows(path: Path, ids: Collection[str]) -> pa.Table:
    """Those rows of a part that have one of these ids."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 9 MB that most runs never need

    table = read_part(path)
    return table.filter(pc.is_in(table["id"], value_set=pa.array(ids, pa.string())))


def texts(column: pa.ChunkedArray) -> Iterator[str]:
    """The strings of a column, a chunk at a time."""
    for chunk in column.chunks:
        yield from chunk.to_numpy(zero_copy_only=False)
