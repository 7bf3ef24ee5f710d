"""A row as it stands in the manifest, before anything is made of it."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from vbatch.records import JsonValue  # noqa: TC001 - NamedTuple resolves it


class RawRow(NamedTuple):
    """``values`` by the manifest's own names, None with a ``problem`` where there are none.

    ``row`` counts from 0 through the whole manifest, ``line`` from 1 through the file. ``raw`` is
    the line as bytes, or its hash where it is too long to hold; empty for Parquet. ``certain``:
    values of a Parquet file have the types that its schema says.
    """

    row: int
    file: str
    line: int | None
    values: dict[str, JsonValue] | None
    problem: str = ""
    raw: bytes = b""
    certain: bool = True

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return f"{self.file}:{self.line}" if self.line else f"{self.file} row {self.row}"


def digest(data: bytes) -> str:
    """16 bytes of BLAKE2b in hex: our measure of sameness."""
    return blake2b(data, digest_size=16).hexdigest()
