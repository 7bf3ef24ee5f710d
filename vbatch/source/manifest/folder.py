"""A manifest file made from a folder of images."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from itertools import islice
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from vbatch.errors import ManifestError
from vbatch.source.manifest.imagefolder import image_files
from vbatch.source.manifest.lines import CODECS, refusing_unreadable
from vbatch.source.manifest.paths import LINES, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BATCH_ROWS = 10_000
_SCHEMA = pa.schema([("id", pa.string()), ("image", pa.string())])


def folder_rows(folder: Path) -> Iterator[dict[str, str]]:
    """One row per image below ``folder``: ``id`` and ``image``, both its path relative to it.

    Raises:
        ManifestError: no folder, or a file name that is not UTF-8 and so cannot be written.
    """
    with refusing_unreadable(str(folder)):
        if not folder.is_dir():
            raise ManifestError("there is no such folder", path=folder)
    for name in image_files(str(folder)):
        try:
            name.encode()
        except UnicodeEncodeError as e:
            raw = os.fsencode(name)
            raise ManifestError(f"the file name {raw!r} is not UTF-8", path=folder) from e
        yield {"id": name, "image": name}


def write_manifest(folder: Path, out: Path) -> int:
    """Write the rows of ``folder_rows`` to ``out`` and say how many they are.

    ``image`` is relative to the folder of ``out`` where the images lie below that, so that a job
    finds them without being told; else see ``needs_root``. ``out`` appears whole or not at all.

    Raises:
        ManifestError: as ``folder_rows``, or ``out`` has another ending than a manifest's, or
            cannot be written.
    """
    write = _writer(out)
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    below = _below(folder, out)
    try:
        count = write(beside, _placed(folder_rows(folder), below))
        beside.replace(out)
    except (OSError, pa.ArrowException) as e:
        raise ManifestError(f"cannot be written: {e}", path=out) from e
    finally:
        with suppress(OSError):  # where it could not be made, there is nothing to remove
            beside.unlink()
    return count


def needs_root(folder: Path, out: Path) -> Path | None:
    """The folder that a job must name as ``[images] root`` to use such a manifest, if it must."""
    return folder.resolve() if _below(folder, out) is None else None


def _below(folder: Path, out: Path) -> str | None:
    """Where ``folder`` lies below the folder of ``out``, a ``/`` at the end; None: elsewhere."""
    here, there = out.resolve().parent, folder.resolve()
    if not there.is_relative_to(here):
        return None
    below = there.relative_to(here).as_posix()
    return "" if below == "." else f"{below}/"


def _placed(rows: Iterator[dict[str, str]], below: str | None) -> Iterator[dict[str, str]]:
    return ({**row, "image": (below or "") + row["image"]} for row in rows)


def _writer(out: Path) -> Callable[[Path, Iterator[dict[str, str]]], int]:
    if TABLE.search(out.name):
        return _write_table
    if LINES.search(out.name):
        return lambda beside, rows: _write_lines(beside, rows, CODECS.get(out.suffix.lower()))
    raise ManifestError("a manifest ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet", path=out)


def _write_lines(path: Path, rows: Iterator[dict[str, str]], codec: str | None) -> int:
    count = 0
    with ExitStack() as stack:
        file = stack.enter_context(pa.OSFile(str(path), "wb"))
        if codec is not None:
            file = stack.enter_context(pa.CompressedOutputStream(file, codec))
        while batch := list(islice(rows, _BATCH_ROWS)):
            file.write(b"".join(orjson.dumps(row) + b"\n" for row in batch))
            count += len(batch)
    return count


def _write_table(path: Path, rows: Iterator[dict[str, str]]) -> int:
    count = 0
    with pq.ParquetWriter(str(path), _SCHEMA) as writer:
        while batch := list(islice(rows, _BATCH_ROWS)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, _SCHEMA))
            count += len(batch)
    return count
