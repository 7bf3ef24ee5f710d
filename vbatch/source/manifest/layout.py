"""Which of the manifest's columns mean what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbatch.errors import ManifestError
from vbatch.source.manifest.refs import is_remote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbatch.job import Columns
    from vbatch.records import JsonValue

IMAGE_NAMES = ("image", "image_path", "file_name", "image_url", "url")
"""Where an image is looked for when the job names no column."""

ID_NAMES = ("id", "custom_id")

BODY = "body"
"""The column of a Batch line's request."""

_LIKELY = re.compile(
    r"im(age|g)|photo|pic|file|path|url|uri|src|frame|scan|screenshot|bytes", re.IGNORECASE
)
_IMAGE_FILE = re.compile(r"\.(jpe?g|png|gif|webp|bmp|tiff?)(\?.*)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The manifest's names for what vbatch reads; None: not read.

    ``id`` and ``image`` are tried in order. ``body`` is set where the manifest holds lines in
    OpenAI's Batch format. ``consumed`` are the columns that are not carried on.
    """

    id: tuple[str, ...]
    image: tuple[str, ...]
    images: str
    prompt: str | None
    system: str | None
    params: str | None
    body: str | None
    consumed: frozenset[str]

    def names(self) -> tuple[object, ...]:
        """All that makes the layout what it is."""
        roles = (self.images, self.prompt, self.system, self.params, self.body)
        return (self.id, self.image, *roles)

    def canonical(self) -> dict[str, str]:
        """Our name of each column that is read, to the manifest's own."""
        roles = {
            "image": self.image[0],
            "images": self.images,
            "prompt": self.prompt,
            "system": self.system,
            "params": self.params,
            "id": self.id[0],
        }
        return {role: name for role, name in roles.items() if name is not None}


def layout(columns: Columns, seen: Mapping[str, JsonValue]) -> Layout:
    """The layout of a manifest that begins with these columns: names, each with one value."""
    body = BODY if "custom_id" in seen and _is_request(seen.get(BODY)) else None
    ids: tuple[str, ...] = ID_NAMES if columns.id == "id" else (columns.id,)
    ids = tuple(sorted(ids, key=lambda name: name not in seen))
    image = _image_names(columns, seen, batch=body is not None)
    roles = [columns.prompt, columns.system, columns.params]
    prompt, system, params = [name or None for name in roles]
    used = {ids[0], image[0], columns.images, prompt, system, params, body}
    return Layout(
        id=ids,
        image=image,
        images=columns.images,
        prompt=prompt,
        system=system,
        params=params,
        body=body,
        consumed=frozenset(name for name in used if name is not None),
    )


def _image_names(
    columns: Columns, seen: Mapping[str, JsonValue], *, batch: bool
) -> tuple[str, ...]:
    if columns.image != "image" or batch or (columns.images in seen and "image" not in seen):
        return (columns.image,)
    return tuple(sorted(IMAGE_NAMES, key=lambda name: _doubt(name, seen)))


def _is_request(value: JsonValue) -> bool:
    return type(value) is dict or (type(value) is str and value.lstrip().startswith("{"))


def _doubt(name: str, seen: Mapping[str, JsonValue]) -> int:
    """How little says that a column holds the images. One called ``image`` does, even if empty."""
    if name not in seen:
        return 2
    return 0 if name == "image" or seen[name] is not None else 1


def check_images(
    columns: Columns, found: Layout, seen: Mapping[str, JsonValue], *, path: str
) -> None:
    """Refuse a manifest in whose first rows no column can hold an image.

    Raises:
        ManifestError: names the columns found, and the line for the job file that may mend it.
    """
    if found.body or found.images in seen or any(name in seen for name in found.image):
        return
    likely = _likeliest(seen)
    advice = f'[columns]\nimage = "{likely}"' if likely else '[columns]\nimage = "NAME OF YOURS"'
    wanted = " or ".join(repr(name) for name in (*found.image, columns.images))
    there = ", ".join(map(repr, seen)) or "none"
    raise ManifestError(
        f"no column holds images: looked for {wanted}, found {there}. "
        f"Name the column in the job file:\n{advice}",
        path=path,
    )


def _likeliest(seen: Mapping[str, JsonValue]) -> str | None:
    ranked = sorted(seen, key=lambda name: _likelihood(name, seen[name]), reverse=True)
    best = ranked[0] if ranked else None
    return best if best is not None and _likelihood(best, seen[best]) else None


def _likelihood(name: str, value: JsonValue) -> int:
    looks = type(value) is bytes or is_remote(value)
    if type(value) is str:
        looks = looks or bool(_IMAGE_FILE.search(value)) or value.startswith("data:image/")
    if type(value) is dict:
        looks = bool({"bytes", "path", "url"} & value.keys())
    return 2 * looks + bool(_LIKELY.search(name))
