"""What a run keeps of its job, so that the next command can go on as this one did."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from vbatch.errors import Corrupt, Mismatch
from vbatch.records import JsonValue  # noqa: TC001
from vbatch.sink.layout import FORMAT_VERSION
from vbatch.sink.storage import Storage, is_there, put, reading
from vbatch.sink.trust import refuse_planted

if TYPE_CHECKING:
    from pathlib import Path

    from vbatch.sink.layout import Layout

_SEAL = "crc32"
_SCHEMAS = ("carried_schema", "given_schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The job and profile as they were, and the types the tables were given.

    ``job_text`` is the job file before ``${}`` was replaced and ``overrides`` what the command line
    set; ``question`` is what the job digest is made of, secrets redacted. The schemas are Arrow's
    IPC form, as ``ManifestScan`` has them, and ``renamed`` likewise. ``template_columns`` are the
    sets of columns that templates used, oldest first.
    """

    job_text: str
    overrides: tuple[str, ...] = ()
    question: Mapping[str, JsonValue]
    job_digest: str
    profile: Mapping[str, JsonValue]
    carried_schema: bytes = field(repr=False)
    given_schema: bytes = field(repr=False)
    renamed: Mapping[str, str] = field(default_factory=dict)
    template_columns: tuple[tuple[str, ...], ...] = ()
    job_path: str | None = None
    """Where the job file lay, None for a job given on the command line alone."""
    cwd: str = "."
    """The working folder that paths in ``overrides`` are relative to."""
    places_digest: str = ""
    """Of the manifest and the images' folders; empty where an earlier version kept the job."""


def keep(kept: Kept, layout: Layout, storage: Storage) -> None:
    """Write it down in one step, and beside it the job and the profile for people."""
    fields: dict[str, Any] = asdict(kept)
    for name in _SCHEMAS:
        fields[name] = b64encode(fields[name]).decode()
    data = sealed({"format_version": FORMAT_VERSION, **fields}, option=orjson.OPT_INDENT_2)
    put(storage, layout.hidden / "job.toml", kept.job_text.encode("utf-8", "replace"))
    profile = orjson.dumps(kept.profile, option=orjson.OPT_INDENT_2)
    put(storage, layout.hidden / "profile.json", profile)
    put(storage, _path(layout), data)


def read_kept(layout: Layout) -> Kept | None:
    """What the run keeps, None before its first ``keep``; ``Mismatch`` if it is not ours."""
    refuse_planted(layout)
    path = _path(layout)
    with reading(path):
        if not is_there(path):
            return None
    fields = read_json(path)
    check_version(fields, path)
    with reading(path, LookupError), reading(path, TypeError):
        del fields["format_version"]
        for name in _SCHEMAS:
            fields[name] = b64decode(fields[name])
        fields["overrides"] = tuple(fields["overrides"])
        fields["template_columns"] = tuple(tuple(names) for names in fields["template_columns"])
        return Kept(**fields)


def sealed(fields: Mapping[str, Any], *, option: int = 0) -> bytes:
    """``fields`` as JSON, with a checksum of what they say that ``read_json`` looks at."""
    return orjson.dumps({**fields, _SEAL: _checksum(fields)}, option=option)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that was put in one step: if it cannot be read, somebody changed it.

    Without a checksum, as earlier versions wrote it and for files that people may edit, it is
    taken as it is.
    """
    with reading(path):
        fields = orjson.loads(path.read_bytes())
    if not isinstance(fields, dict):
        raise Corrupt(f"{path} is not a JSON object. Restore it, or use --fresh")
    if _SEAL in fields and fields.pop(_SEAL) != _checksum(fields):
        raise Corrupt(f"{path} is not as it was written. Restore it from a copy, or use --fresh")
    return fields


def _checksum(fields: Mapping[str, Any]) -> str:
    return f"{crc32(orjson.dumps(fields)):08x}"


def check_version(fields: Mapping[str, Any], path: Path) -> None:
    """Refuse what a newer vbatch wrote."""
    version = fields.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise Mismatch(
            f"{path} was written by a newer vbatch (format_version {version}, this one reads up "
            f"to {FORMAT_VERSION}). Upgrade vbatch, or choose another output"
        )


def _path(layout: Layout) -> Path:
    return layout.hidden / "kept.json"
