"""Image values of a row: what they may look like, and what makes two of them the same."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pybase64

from vbatch.records import ImageSource

if TYPE_CHECKING:
    from vbatch.records import JsonValue

DETAILS = ("low", "high", "auto")

_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PARTS_OF_IMAGE = ("url", "path", "bytes", "image_url")

_ALWAYS_SIGNS = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "q-sign-", "q-ak", "q-key-time")
"""Query parameters that only a signature has: AWS and its likes, Google, Alibaba, Tencent."""
_SIGNATURE = frozenset({"signature", "q-signature", "sig"})
_WITH_SIGNATURE = frozenset(
    [
        "expires",
        "policy",
        "key-pair-id",
        "awsaccesskeyid",
        "googleaccessid",
        "ossaccesskeyid",
        "accesskeyid",
        "security-token",
        "q-header-list",
        "q-url-param-list",
    ]
)
"""Older AWS, Google, Alibaba and Huawei forms, and CloudFront: only beside a signature."""
_WITH_SIG = frozenset(
    [
        "se",
        "st",
        "sp",
        "sv",
        "sr",
        "ss",
        "srt",
        "sip",
        "spr",
        "si",
        "ses",
        "sdd",
        "skoid",
        "sktid",
        "skt",
        "ske",
        "sks",
        "skv",
        "saoid",
        "suoid",
        "scid",
    ]
)
"""Azure's shared access signature: names this short mean other things without ``sig``."""
_WITH_EXPIRES = frozenset({"token", "expires"})
"""Content networks that sign with ``token``: it may name the image where nothing expires."""


class BadValue(ValueError):  # noqa: N818 - a verdict on a row, always caught
    """The row cannot become an item; the text says why."""


def images_of(image: JsonValue, images: JsonValue) -> tuple[ImageSource, ...]:
    """The row's images in the order the model shall see them: ``image``, then ``images``.

    Raises:
        BadValue: none at all, or one that is no image.
    """
    if images is None:
        if type(image) is str and image:
            return (_reference(image, None),)
        images = []
    elif type(images) is not list:
        raise BadValue(f"images must be a list, not {kind_of(images)}")
    found = [] if is_empty(image) else [_source(image, "image")]
    found += [_source(value, f"images[{n}]") for n, value in enumerate(images)]
    if not found:
        raise BadValue("no image")
    return tuple(found)


def is_empty(value: JsonValue) -> bool:
    """Whether an image value says "none": null, empty text, or a struct of nulls."""
    if type(value) is dict:
        return all(value.get(part) is None for part in _PARTS_OF_IMAGE)
    return value is None or value == ""


def is_remote(value: JsonValue) -> bool:
    """Whether an image value, or one of a list of them, is an http(s) URL."""
    if type(value) is str:
        return value[:8].lower().startswith(("http://", "https://"))
    if type(value) is list:
        return any(is_remote(one) for one in value if type(one) is not list)
    if type(value) is not dict or value.get("bytes") is not None:
        return False
    inner = value.get("image_url")
    inner = inner.get("url") if type(inner) is dict else inner
    refs = (value.get("url"), value.get("path"), inner)
    return any(is_remote(ref) for ref in refs if type(ref) is str)


def embedded_path(value: JsonValue) -> str | None:
    """The path of an embedded image: what a struct with ``bytes`` says its file was called."""
    if type(value) is dict and "bytes" in value:
        path = value.get("path")
        return path if type(path) is str and path else None
    return None


def without_bytes(value: JsonValue) -> JsonValue:
    """An image value, or a list of them, as a reference: embedded bytes left out."""
    if type(value) is bytes:
        return None
    if type(value) is list:
        return [v if type(v) is list else without_bytes(v) for v in value]
    if type(value) is dict and "bytes" in value:
        return {key: v for key, v in value.items() if key != "bytes"}
    return value


def identity(source: ImageSource) -> list[JsonValue]:
    """What makes an image of a row the same: reference or content, and detail."""
    if source.data is not None:
        return [{"blake2b": blake2b(source.data, digest_size=16).hexdigest()}, source.detail]
    return [unsigned(source.ref or ""), source.detail]


def unsigned(ref: str) -> str:
    """The reference without the signature and expiry parameters of a pre-signed URL."""
    if "?" not in ref or not _URL.match(ref):
        return ref
    try:
        query = urlsplit(ref).query
    except ValueError:
        return ref
    names = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    signs = _signing(names)
    if not signs:
        return ref
    kept = [pair for pair in query.split("&") if pair.partition("=")[0].lower() not in signs]
    address, _, rest = ref.partition("?")
    mark, fragment = ("#", rest.partition("#")[2]) if "#" in rest else ("", "")
    return address + ("?" + "&".join(kept) if kept else "") + mark + fragment


def kind_of(value: JsonValue) -> str:
    """A value's kind in the words of JSON."""
    names = {str: "text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")


def shown(value: JsonValue) -> str:
    """A value for a message: itself if it is short by nature, else its kind."""
    return kind_of(value) if type(value) in {list, dict} else f"{value!r:.40}"


def _signing(names: set[str]) -> set[str]:
    found = {name for name in names if name.startswith(_ALWAYS_SIGNS)} | names & _SIGNATURE
    if names & _SIGNATURE:
        found |= names & _WITH_SIGNATURE
    if "sig" in names:
        found |= names & _WITH_SIG
    if "expires" in names:
        found |= names & _WITH_EXPIRES
    return found


def _source(value: JsonValue, where: str) -> ImageSource:
    if type(value) is str and value:
        return _reference(value, None)
    if type(value) is bytes:
        return ImageSource(kind="bytes", data=value)
    if type(value) is dict and not is_empty(value):
        return _from_object(value, where)
    kind = "empty" if is_empty(value) else kind_of(value)
    raise BadValue(
        f"{where} must be a path, a URL or an object with url, path or bytes; it is {kind}"
    )


def _reference(ref: str, detail: str | None) -> ImageSource:
    if ref[:5].lower() == "data:":
        return ImageSource(kind="data_uri", ref=ref, detail=detail)
    is_url = "://" in ref and _URL.match(ref)
    return ImageSource(kind="url" if is_url else "path", ref=ref, detail=detail)


def _from_object(value: dict[str, JsonValue], where: str) -> ImageSource:
    inner = value.get("image_url")
    if type(inner) is dict:
        value = {"detail": value.get("detail"), **inner}
        where += ".image_url"
    detail = value.get("detail")
    if detail is not None:
        detail = checked_detail(detail, f"{where}.detail")
    data = value.get("bytes")
    if data is not None:
        return ImageSource(kind="bytes", data=_embedded(data, where), detail=detail)
    for part in ("url", "path", "image_url"):
        ref = value.get(part)
        if type(ref) is str and ref:
            return _reference(ref, detail)
        if ref is not None:
            what = "empty" if ref == "" else kind_of(ref)
            raise BadValue(f"{where}.{part} must be text; it is {what}")
    raise BadValue(f"{where} names no image")


def checked_detail(value: JsonValue, where: str) -> str:
    """``value`` if it is a detail."""
    if value not in DETAILS:
        raise BadValue(f"{where} must be low, high or auto, not {shown(value)}")
    return str(value)


def _embedded(data: JsonValue, where: str) -> bytes:
    if type(data) is bytes:
        return data
    if type(data) is not str:
        raise BadValue(f"{where}.bytes must be base64 text, not {kind_of(data)}")
    try:
        return pybase64.b64decode(data, validate=True)
    except ValueError as e:
        raise BadValue(f"{where}.bytes is not base64: {e}") from e
