"""Chance that repeats itself: a number made of a seed and the request's own number."""

from __future__ import annotations

from hashlib import blake2b


def chance(seed: int, number: int, purpose: str) -> float:
    """Return a number in [0, 1), evenly spread and always the same for the same three."""
    digest = blake2b(f"{seed}/{number}/{purpose}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
