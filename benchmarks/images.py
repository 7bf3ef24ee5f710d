"""Images alone: shrinking against Pillow, a file's cost above its floor, the loop's stops."""

from __future__ import annotations

import asyncio
import hashlib
import io
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pybase64
from PIL import Image

from benchmarks import workload
from vbatch.clock import SystemClock
from vbatch.records import ImageLimits, ImageSource
from vbatch.source import images
from vbatch.source.loader import ImageLoader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

SIZE = (4000, 3000)
SIDE = 1568
GRAIN = 4
"""Makes 12 megapixels a JPEG of 2.5 MB, as cameras do."""
QUALITY = 85
IN_FLIGHT = 64
LIMITS = ImageLimits(formats=frozenset({"jpeg", "png", "webp", "gif"}), max_side=SIDE)
TICK_S = 0.001


class Row(NamedTuple):
    """A line of the table: what, figure to reach, figure reached, ours, the yardstick's."""

    what: str
    to_reach: str
    reached: str
    ours: str
    yardstick: str


def photograph(kind: Literal["JPEG", "PNG", "WEBP"], seed: int = 1) -> bytes:
    """A file of 12 megapixels."""
    options = {"JPEG": {"quality": 90}, "PNG": {"compress_level": 1}, "WEBP": {"method": 0}}
    file = io.BytesIO()
    picture = workload.photograph(SIZE, grain=GRAIN, seed=seed)
    picture.save(file, kind, **options[kind])
    return file.getvalue()


def plain(data: bytes) -> bytes:
    """What everybody writes: open, thumbnail, save."""
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def ours(data: bytes) -> bytes:
    """The same by vbatch."""
    return images.prepare(data, LIMITS).data


def shrinking(rounds: int) -> list[Row]:
    """12 megapixels to 1568 pixels: CPU against plain Pillow, likeness, two threads against one."""
    data = photograph("JPEG")
    spent: dict[Callable[[bytes], bytes], list[float]] = {plain: [], ours: []}
    for _ in range(3 * rounds):
        for way, times in spent.items():
            began = time.process_time()
            way(data)
            times.append(time.process_time() - began)
    simple, quick = median(spent[plain]), median(spent[ours])
    speedups = [_threads_s(data, 1) / _threads_s(data, 2) for _ in range(rounds)]
    likeness = f"{psnr(plain(data), ours(data)):.1f} dB"
    return [
        Row(
            "12 megapixels to 1568 px",
            "≥ 2.2 x",
            f"{simple / quick:.2f} x",
            f"{quick * 1e3:.0f} ms",
            f"{simple * 1e3:.0f} ms (Pillow)",
        ),
        Row("the same, PSNR against Pillow's", "≥ 44 dB", likeness, "", ""),
        Row("the same, two threads", "≥ 1.8 x", f"{median(speedups):.2f} x", "", "one thread"),
    ]


def psnr(one: bytes, other: bytes) -> float:
    """How like two files of one size look, in dB."""
    a, b = (np.asarray(Image.open(io.BytesIO(file)), float) for file in (one, other))
    return 10 * math.log10(255**2 / float(((a - b) ** 2).mean()))


def _threads_s(data: bytes, threads: int, pictures: int = 8) -> float:
    with ThreadPoolExecutor(threads) as pool:
        began = time.monotonic()
        list(pool.map(ours, [data] * pictures))
        return time.monotonic() - began


def untouched(folder: Path, rounds: int) -> list[Row]:
    """CPU per JPEG that needs no change, with its base64, against reading, sha256 and base64."""
    photos = workload.photographs(folder)
    floor, paths = [], []
    for _ in range(rounds):
        began = time.process_time()
        for photo in photos:
            _least(photo)
        floor.append((time.process_time() - began) / len(photos))
        paths.append(asyncio.run(_loader_cpu_s(folder, photos)))
    low, high = median(floor) * 1e6, median(paths) * 1e6
    return [
        Row(
            "a JPEG that is sent as it is",
            "",
            f"{high / low:.2f}",
            f"{high:.0f} µs",
            f"{low:.0f} µs (read, sha256, base64)",
        )
    ]


def _least(photo: Path) -> None:
    descriptor = os.open(photo, os.O_RDONLY)
    data = os.read(descriptor, 1 << 24)
    os.close(descriptor)
    hashlib.sha256(data).hexdigest()
    pybase64.b64encode(data)


async def _loader_cpu_s(folder: Path, photos: list[Path]) -> float:
    loader = _loader(folder)
    todo = iter(photos * 4)

    async def worker() -> None:
        for photo in todo:
            sources = [ImageSource(kind="path", ref=str(photo.relative_to(folder)))]
            loader.size_hint(sources)
            for image in await loader.load(sources):
                pybase64.b64encode(image.data)  # type: ignore[union-attr]

    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    took = time.process_time() - began
    await loader.close()
    return took / (4 * len(photos))


def holding(folder: Path, rounds: int) -> list[Row]:
    """The event loop's stops while 12 megapixels are prepared, and while threads only hash."""
    rows = []
    for kind in ("JPEG", "PNG", "WEBP"):
        name = f"large.{kind.lower()}"
        (folder / name).write_bytes(photograph(kind))
        found = [asyncio.run(_stops_ms(folder, name)) for _ in range(rounds)]
        ours_ms, idle_ms = (median(each) for each in zip(*found, strict=True))
        rows.append(
            Row(
                f"event loop held, p99.9, {kind} of 12 megapixels",
                "≤ 20 ms",
                f"{ours_ms:.0f} ms",
                "",
                f"{idle_ms:.0f} ms beside threads that only hash",
            )
        )
    return rows


async def _stops_ms(folder: Path, name: str) -> tuple[float, float]:
    """99.9th percentiles of a tick's lateness: beside our threads, and beside others."""
    loader = _loader(folder)

    async def prepare(number: int) -> None:
        await loader.load([ImageSource(kind="path", ref=name, detail=str(number))])  # not shared

    block = bytes(100_000_000)
    pool = ThreadPoolExecutor(os.cpu_count())

    async def digest(_number: int) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, lambda: hashlib.sha256(block))

    try:
        return await _late_ms(prepare, 8), await _late_ms(digest, 16)
    finally:
        pool.shutdown()
        await loader.close()


async def _late_ms(work: Callable[[int], Awaitable[None]], count: int) -> float:
    late: list[float] = []
    done = asyncio.gather(*(work(number) for number in range(count)))
    while not done.done():
        began = time.monotonic()
        await asyncio.sleep(TICK_S)
        late.append(time.monotonic() - began - TICK_S)
    await done
    return float(np.percentile(late, 99.9)) * 1e3


def _loader(folder: Path) -> ImageLoader:
    return ImageLoader(
        limits=LIMITS,
        send="inline",
        urls=False,
        roots=[folder],
        allow_private_urls=False,
        max_count=None,
        max_request_bytes=None,
        clock=SystemClock(),
    )


def rows(folder: Path, rounds: int) -> list[tuple[str, str, str]]:
    """Lines of the table: what, to reach, found."""
    found = [*shrinking(rounds), *holding(folder, rounds), *untouched(folder, rounds)]
    return [
        (one.what, one.to_reach, f"**{one.reached}** {_beside(one.ours, one.yardstick)}".strip())
        for one in found
    ]


def _beside(*told: str) -> str:
    said = "; ".join(filter(None, told))
    return f"({said})" if said else ""
