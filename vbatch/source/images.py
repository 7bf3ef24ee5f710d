"""From an image's bytes to those that are sent: checked, stripped, shrunk, encoded anew if need be.

An image within the limits, of a format that is taken and with nothing to strip leaves as it came;
one whose only fault is its metadata loses that and no pixel; anything else goes through Pillow.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from vbatch.errors import ImageError
from vbatch.records import PreparedImage
from vbatch.source import image_files, images_pillow
from vbatch.source.images_pillow import no_bounds

if TYPE_CHECKING:
    from vbatch.records import ImageLimits
    from vbatch.source.image_files import Format, ImageFile
    from vbatch.source.images_pillow import Room

_WITH_ALPHA: tuple[Format, ...] = ("png", "webp", "jpeg")
_PHOTOGRAPHS: tuple[Format, ...] = ("jpeg", "png", "webp")


def prepare(
    data: bytes,
    limits: ImageLimits,
    *,
    detail: str | None = None,
    room: Room = no_bounds,
) -> PreparedImage:
    """``data`` as it will be sent. Pure, and safe in many threads at once.

    ``room(n)`` is held while about ``n`` bytes of decoded pixels are in memory.

    Raises ImageError: ``image_unsupported`` (no JPEG, PNG, WebP or GIF), ``image_unreadable``
    (empty, cut or damaged), ``image_too_large`` (more than ``max_pixels``, whatever the file's
    size) and ``request_too_large`` (does not fit ``max_bytes``, however small it is made).
    """
    file = image_files.read(data)
    images_pillow.check_pixels((file.width, file.height), limits.max_pixels)
    if file.cut:
        raise ImageError(
            "image_unreadable",
            f"the {file.format} image is cut or damaged: its end is missing",
        )
    untouched = _untouched(data, file, limits)
    if untouched is not None:
        return _prepared(untouched, file.format, file.width, file.height, detail)
    return _encoded_anew(data, file, limits, detail, room)


def _untouched(data: bytes, file: ImageFile, limits: ImageLimits) -> bytes | None:
    """The file's bytes, less metadata, if they can be sent like that."""
    if not file.whole or not _is_wanted(file.format, limits):
        return None
    if limits.max_side is not None and max(file.width, file.height) > limits.max_side:
        return None
    if limits.strip and image_files.orientation(file.exif) != image_files.UPRIGHT:
        return None
    still = file.animated and not limits.animated
    if still and not (limits.strip and file.animation):
        return None
    kept = image_files.stripped(data, file, still=still) if limits.strip else data
    return kept if limits.max_bytes is None or len(kept) <= limits.max_bytes else None


def _is_wanted(kind: Format, limits: ImageLimits) -> bool:
    if limits.format == "auto":
        return kind in limits.formats
    return kind == limits.format


def _encoded_anew(
    data: bytes,
    file: ImageFile,
    limits: ImageLimits,
    detail: str | None,
    room: Room,
) -> PreparedImage:
    exif = None if limits.strip else file.exif
    bare = image_files.stripped(data, file, still=True)
    with images_pillow.picture(
        bare,
        file.format,
        orientation=image_files.orientation(file.exif),
        max_side=limits.max_side,
        max_pixels=limits.max_pixels,
        room=room,
    ) as picture:
        kind = _target(file.format, limits, alpha=picture.has_alpha)
        picture.suit(kind)
        encoded, width, height = picture.encode(
            kind,
            quality=limits.quality,
            max_bytes=limits.max_bytes,
            exif=image_files.upright(exif) if exif else None,
        )
    return _prepared(encoded, kind, width, height, detail)


def _target(kind: Format, limits: ImageLimits, *, alpha: bool) -> Format:
    if limits.format != "auto":
        return limits.format
    if kind in limits.formats and kind != "gif":
        return kind
    order = _WITH_ALPHA if alpha or kind in ("gif", "png") else _PHOTOGRAPHS
    for other in order:
        if other in limits.formats:
            return other
    raise ImageError(
        "image_unsupported",
        f"a {kind} image, and the endpoint takes none of JPEG, PNG, WebP to turn it into",
    )


def _prepared(
    data: bytes, kind: Format, width: int, height: int, detail: str | None
) -> PreparedImage:
    return PreparedImage(
        data=data,
        media_type=f"image/{kind}",
        width=width,
        height=height,
        sha256=hashlib.sha256(data).hexdigest(),
        detail=detail,
    )
