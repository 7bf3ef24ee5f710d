"""Ways to spoil good bytes, the same ones each time."""

from __future__ import annotations

import random

from tests.corpora.cases import Case


def damaged(name, data, *, cuts=8, flips=8, splices=6):
    """``data`` cut short, with bits flipped, and with pieces put in, taken out or repeated."""
    chance = random.Random(name)
    yield from cut_short(name, data, cuts)
    for number in range(flips):
        yield Case(f"{name}, bits flipped {number}", flipped(data, chance, 1 << number % 4))
    for number in range(splices):
        yield Case(f"{name}, spliced {number}", spliced(data, chance, number))


def cut_short(name, data, count):
    """``data`` without its end, at places all over it and just before the end."""
    ends = {len(data) * n // count for n in range(1, count)} | {1, 2, 3, 8, 16}
    ends |= {len(data) - n for n in (1, 2, 3, 8, 13) if n < len(data)}
    for end in sorted(end for end in ends if end < len(data)):
        yield Case(f"{name}, cut at {end} of {len(data)}", data[:end])


def flipped(data, chance, count):
    """``data`` with ``count`` bits turned over."""
    spoiled = bytearray(data)
    for _ in range(count):
        spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def spliced(data, chance, way):
    """``data`` with a run of bytes overwritten, left out, repeated, put in or moved."""
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice([1, 2, 4, 7, 64]))
    piece = data[start:end]
    middle = (
        bytes(len(piece)),
        b"\xff" * len(piece),
        b"",
        piece + piece,
        chance.randbytes(9) + piece,
        piece[::-1],
    )
    return data[:start] + middle[way % len(middle)] + data[end:]


def cut_anywhere(name, data):
    """``data`` cut at each of its bytes."""
    return (Case(f"{name}, cut at {end} of {len(data)}", data[:end]) for end in range(len(data)))
