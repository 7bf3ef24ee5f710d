"""From the job's ``manifest`` to the files it means."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from vbatch.errors import ManifestError
from vbatch.source.manifest.lines import refusing_unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbatch.records import JsonValue

LINES = re.compile(r"\.(jsonl|ndjson)(\.gz|\.zst)?$", re.IGNORECASE)
TABLE = re.compile(r"\.parquet$", re.IGNORECASE)
IMAGE = re.compile(r"\.(jpe?g|jpe|jfif|png|gif|webp|bmp|tiff?|heic|heif|avif)$", re.IGNORECASE)

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file or folder of a manifest. ``partition``: columns that its folders' names hold."""

    kind: Literal["lines", "table", "folder"]
    path: str
    partition: Mapping[str, JsonValue] = field(default_factory=dict)


def find_parts(paths: Sequence[str]) -> tuple[Part, ...]:
    """The parts of a manifest in reading order, each once.

    Raises:
        ManifestError: a path is not there, matches nothing, may not be read, or is of no kind we
            read.
    """
    found: dict[str, Part] = {}
    for path in paths:
        with refusing_unreadable(path):
            for part in _expand(path):
                found.setdefault(os.path.realpath(part.path), part)
    return _with_typed_partitions(list(found.values()))


def root_of(paths: Sequence[str]) -> Path:
    """The folder that relative images are looked for in: of a glob its fixed part.

    Raises:
        ManifestError: a path may not be read.
    """
    return Path(os.path.commonpath([_fixed(path) for path in paths]))


def _expand(path: str) -> Iterator[Part]:
    if _REMOTE.match(path):
        raise ManifestError(
            "only local manifests can be read; download it and name the file", path=path
        )
    if Path(path).is_dir():
        yield from _in_folder(path)
    elif Path(path).exists():
        yield _file(path, base=str(Path(path).parent))
    elif glob.has_magic(path):
        yield from _matching(path)
    else:
        raise ManifestError("there is no such file or folder", path=path)


def _matching(pattern: str) -> Iterator[Part]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern is absolute
    if "**" in pattern:
        fixed = _fixed(pattern)
        matches = [match for match in matches if not _is_in_run(match, below=fixed)]
    if not matches:
        raise ManifestError("nothing matches this pattern", path=pattern)
    for match in matches:
        if Path(match).is_dir():
            if not pattern.endswith("**"):
                yield from _in_folder(match)
        else:
            yield _file(match, base=_fixed(pattern))


def _in_folder(folder: str) -> Iterator[Part]:
    if is_run(folder):
        failures = Path(folder, "failures")
        raise ManifestError(
            f"this is a run, not a manifest; its failed rows are in {failures}", path=folder
        )
    others = images = 0
    manifests = []
    for file in _files_below(folder):
        if LINES.search(file) or TABLE.search(file):
            manifests.append(file)
        elif IMAGE.search(file):
            images += 1
        else:
            others += 1
    if manifests:
        yield from (_file(file, base=folder) for file in manifests)
    elif others and not images:
        raise ManifestError(
            "this folder holds neither images nor .jsonl or .parquet files", path=folder
        )
    else:
        yield Part(kind="folder", path=folder)


def _files_below(folder: str) -> Iterator[str]:
    """Files in sorted order, without those that begin with ``.`` or ``_``, and without runs.

    Neither is data, and a run can lie among what it is made of.
    """
    for here, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(
            name for name in folders if name[0] not in "._" and not is_run(f"{here}/{name}")
        )
        yield from (f"{here}/{name}" for name in sorted(files) if name[0] not in "._")


def is_run(folder: str) -> bool:
    """Whether a run has its folder here; what is in it is its own, and no manifest's."""
    try:
        return Path(folder, ".vbatch").is_dir()
    except PermissionError:  # whoever walks through it will say so
        return False


def _is_in_run(path: str, *, below: str) -> bool:
    folders = (folder for folder in Path(path).parents if folder.is_relative_to(below))
    return any(is_run(str(folder)) for folder in folders)


def _refuse(error: OSError) -> None:
    raise ManifestError(f"cannot be read ({error.strerror})", path=error.filename)


def _file(path: str, *, base: str) -> Part:
    if not Path(path).is_file():
        raise ManifestError("this is no regular file", path=path)
    if LINES.search(path):
        return Part(kind="lines", path=path)
    if TABLE.search(path):
        return Part(kind="table", path=path, partition=_partition(path, base))
    raise ManifestError(
        "a manifest is .jsonl or .ndjson (one object per line; also .gz, .zst), .parquet, "
        "or a folder",
        path=path,
    )


def _fixed(path: str) -> str:
    """The folder of a file, a folder itself, or the part of a pattern before its first wildcard."""
    with refusing_unreadable(path):
        if Path(path).is_dir():
            return path
        fixed = Path(path).parent
        while glob.has_magic(str(fixed)) and not Path(path).exists():
            fixed = fixed.parent
        return str(fixed)


def _partition(path: str, base: str) -> dict[str, JsonValue]:
    folders = Path(path).parent.relative_to(base).parts
    pairs = [name.partition("=") for name in folders if "=" in name]
    return {
        unquote(key): None if value == _NO_VALUE else unquote(value)
        for key, _, value in pairs
        if key
    }


def _with_typed_partitions(parts: list[Part]) -> tuple[Part, ...]:
    """Partition values as integers where all of a column's are."""
    whole = {
        key
        for key in {key for part in parts for key in part.partition}
        if all(_is_whole(part.partition.get(key)) for part in parts)
    }
    return tuple(_typed(part, whole) if part.partition else part for part in parts)


def _typed(part: Part, whole: set[str]) -> Part:
    values = {
        key: int(value) if key in whole and value is not None else value
        for key, value in part.partition.items()
    }
    return Part(kind=part.kind, path=part.path, partition=values)


def _is_whole(value: JsonValue) -> bool:
    return value is None or re.fullmatch(r"-?(0|[1-9]\d{0,17})", value) is not None
