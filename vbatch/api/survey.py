"""What a manifest's first rows ask for, by a glance: which images, how many, of which models."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vbatch.errors import ImageError
from vbatch.records import BadRow
from vbatch.source import data_uris
from vbatch.source.disk import Disk, OutOfFilesError
from vbatch.source.image_files import gif, jpeg, png, webp
from vbatch.source.image_files.kinds import foreign_kind
from vbatch.source.loader import CAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbatch.job import Job
    from vbatch.records import ImageSource, Item, JsonValue, ManifestScan
    from vbatch.source.manifest import Manifest

ROWS = 10_000
"""Looked at, from the first one on."""
FILES = 1_000
"""Of which the first bytes are read."""
EMBEDDED_BYTES = 200_000_000
"""After so many bytes of images that lie in the manifest itself it ends."""

MODELS = 20
"""Told of one by one."""

_HEAD_BYTES = 64
_SUFFIXES = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "gif": "gif", "webp": "webp"}


@dataclass(slots=True)
class Kind:
    """Rows that have something in common: how many, and the first one's id."""

    rows: int = 0
    first: str = ""

    def add(self, row_id: str) -> None:
        """Count a row."""
        self.rows += 1
        self.first = self.first or row_id


@dataclass(slots=True)
class Survey:
    """What was seen in ``rows`` valid rows.

    ``models`` counts rows by the model they ask. ``most_images`` is the largest number in one row,
    ``crowded`` the rows that have more than the gateway takes. By format: ``foreign`` are rows with
    a file that is no image we can send, ``converted`` those with an image in a format the gateway
    does not take, and ``unconverted`` those whose image goes as a URL that ends like one.
    """

    rows: int = 0
    models: Counter[str] = field(default_factory=Counter)
    most_images: int = 0
    crowded: Kind = field(default_factory=Kind)
    foreign: dict[str, Kind] = field(default_factory=dict)
    converted: dict[str, Kind] = field(default_factory=dict)
    unconverted: dict[str, Kind] = field(default_factory=dict)
    files: int = 0

    def asked(self, job: Job) -> dict[str, int]:
        """Rows by the model they ask, the ``MODELS`` most asked; the job's where no row is."""
        return dict(self.models.most_common(MODELS)) or {job.model: 1}


def survey(job: Job, manifest: Manifest, scan: ManifestScan) -> Survey:
    """Look over the first ``ROWS`` rows of a job's manifest. Blocks; costs nothing."""
    look = _Look(job, Disk(job.roots(manifest.root), cap_bytes=CAP_BYTES))
    for row in itertools.islice(manifest.rows(scan), ROWS):
        if not isinstance(row, BadRow):
            look.at(row)
        if look.embedded_bytes > EMBEDDED_BYTES:
            break
    return look.seen


class _Look:
    def __init__(self, job: Job, disk: Disk) -> None:
        self._job = job
        self._disk = disk
        self._taken = job.profile.images.formats
        self.seen = Survey()
        self.embedded_bytes = 0

    def at(self, row: Item) -> None:
        seen, images = self.seen, row.images
        urls = tuple(_urls(row.body)) if row.body is not None else ()
        seen.rows += 1
        seen.models[_model(row, self._job.model)] += 1
        count = len(images) + len(urls)
        seen.most_images = max(seen.most_images, count)
        most = self._job.profile.images.max_count
        if most is not None and count > most:
            seen.crowded.add(row.id)
        self.embedded_bytes += sum(len(image.data or b"") for image in images)
        self._note_formats(row.id, images)

    def _note_formats(self, row_id: str, images: Sequence[ImageSource]) -> None:
        told: set[str] = set()
        for image in images:
            remote = image.kind == "url" and self._goes_as_url()
            kind = _ending(image.ref or "") if remote else self._kind(image)
            if kind is None or kind in told:
                continue
            told.add(kind)
            if kind not in _SUFFIXES.values():
                self.seen.foreign.setdefault(kind, Kind()).add(row_id)
            elif kind not in self._taken:
                place = self.seen.unconverted if remote else self.seen.converted
                place.setdefault(kind, Kind()).add(row_id)

    def _goes_as_url(self) -> bool:
        send = self._job.images.send
        return send == "url" or (send == "auto" and self._job.profile.images.urls)

    def _kind(self, image: ImageSource) -> str | None:
        """The format by the image's first bytes; None where they are not to be had at a glance."""
        if image.kind == "url" or self.seen.files >= FILES:
            return None
        self.seen.files += 1
        try:
            return _named(self._head(image))
        except (ImageError, OutOfFilesError):
            return None  # what cannot be read is told of by the rows that are tried

    def _head(self, image: ImageSource) -> bytes:
        if image.data is not None:
            return image.data[:_HEAD_BYTES]
        if image.kind == "data_uri":
            return data_uris.decode(image.ref or "", cap_bytes=CAP_BYTES)[:_HEAD_BYTES]
        with self._disk.open(image.ref or "") as file:
            return os.pread(file.fd, _HEAD_BYTES, 0)


def _model(row: Item, usual: str) -> str:
    asked = row.body if row.body is not None else row.params
    named = asked.get("model")
    return named if isinstance(named, str) and named else usual


def _urls(body: Mapping[str, JsonValue]) -> Iterator[JsonValue]:
    """The images of a line in OpenAI's Batch format."""
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") == "image_url":
                yield part


def _named(head: bytes) -> str | None:
    if head.startswith(jpeg.MAGIC):
        return "jpeg"
    if head.startswith(png.MAGIC):
        return "png"
    if head.startswith(gif.MAGICS):
        return "gif"
    return "webp" if webp.is_webp(head) else foreign_kind(head)


def _ending(url: str) -> str | None:
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return _SUFFIXES.get(PurePosixPath(path).suffix.lower().removeprefix("."))
