"""A key that is looked for wherever a run leaves bytes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEY = 'sk-Canary7f3a9c/x+y="q\\z'
"""Signs that JSON and URLs write in another way stand beside ``CORE``, which they do not touch."""
CORE = "Canary7f3a9c"

FORMS = (
    CORE,
    CORE[::-1],
    KEY,
    json.dumps(KEY)[1:-1],
    quote(KEY, safe=""),
    "".join(f"\\u{ord(char):04x}" for char in CORE),
    *(base64.b64encode(b" " * shift + KEY.encode()).decode()[4:-4] for shift in range(3)),
)


def hits(text: str) -> list[str]:
    """The forms of the key that stand in ``text``; in upper and lower case they are the same."""
    folded = text.casefold()
    return [form for form in FORMS if form.casefold() in folded]


def texts(run: Path) -> Iterator[tuple[Path, str]]:
    """Every file of a run as text, tables unpacked beside their bytes."""
    for path in sorted(run.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                yield path, _unpacked(path)


def _unpacked(path: Path) -> str:
    file = pq.ParquetFile(path)
    return f"{file.metadata.metadata}\n{file.schema_arrow}\n" + "\n".join(_cells(file.read()))


def _cells(table) -> Iterable[str]:
    for name in table.column_names:
        for value in table[name].to_pylist():
            if value is not None:
                yield value if isinstance(value, str) else repr(value)
