"""What a job asks, as one flat table: it tells whether two jobs ask the same."""

from __future__ import annotations

import json
from hashlib import blake2b
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vbatch.job.tables import Columns, Images, Request
    from vbatch.profile import Profile
    from vbatch.records import JsonValue

_IMAGES = ("send", "max_side", "max_bytes", "format", "quality", "metadata")
_HOW_IT_COMES = {"stream", "stream_usage", "query", "query_for"}
"""By which address a request goes, and in how many pieces its answer comes."""
_EXCERPT_CHARS = 120


def of(
    *, profile: Profile, model: str, request: Request, images: Images, columns: Columns
) -> dict[str, JsonValue]:
    """Return the question, flat under dotted keys.

    What is not set, and what stands at its default in ``[columns]`` and the profile, is left out:
    a key that a later version adds then changes no job that does not use it.
    """
    own = request.model_dump(exclude={"extra"}, exclude_defaults=True)
    parts = {
        "": {"profile": profile.name, "model": model},
        "request.": own,
        "request.extra.": request.extra,
        "images.": images.model_dump(include=set(_IMAGES)),
        "columns.": columns.model_dump(exclude_defaults=True),
        "profile.request.": profile.request.model_dump(
            mode="json", exclude_defaults=True, exclude=_HOW_IT_COMES
        ),
    }
    return {
        prefix + name: value
        for prefix, part in parts.items()
        for name, value in part.items()
        if value is not None
    }


def digest(question: Mapping[str, JsonValue]) -> str:
    """Return 32 hex digits of blake2b over the question as canonical JSON."""
    text = json.dumps(question, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def masked(value: JsonValue, secrets: Sequence[str]) -> JsonValue:
    """Return ``value`` with each secret in its strings as ``***`` and a hash of it."""
    match value:
        case str():
            for secret in sorted(filter(None, secrets), key=len, reverse=True):
                value = value.replace(secret, _mask(secret))
            return value
        case list():
            return [masked(one, secrets) for one in value]
        case dict():
            return {key: masked(one, secrets) for key, one in value.items()}
        case _:
            return value


def _mask(secret: str) -> str:
    return f"***{blake2b(secret.encode(), digest_size=4).hexdigest()}"


def differences(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> list[str]:
    """Return a sentence per key that differs, ``request.prompt: 'a' → 'b'``, sorted."""
    return [
        f"{key}: {before} → {after}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
        for before, after in [_excerpts(old.get(key), new.get(key))]
    ]


def _excerpts(*values: JsonValue) -> Iterator[str]:
    """Each value as text; of long ones, the part around the first difference."""
    texts = ["not set" if value is None else repr(value) for value in values]
    start = 0
    if max(map(len, texts)) > _EXCERPT_CHARS:
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
        start = max(sum(1 for _ in pairs) - _EXCERPT_CHARS // 4, 0)
    for text in texts:
        part = text[start : start + _EXCERPT_CHARS]
        yield ("…" if start else "") + part + ("…" if start + len(part) < len(text) else "")
