"""What is asked: manifests of URLs or of photographs, jobs, and the same as bare bodies."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.endpoint import Endpoint

MODEL = "bench"
PROMPT = "Describe this picture in one sentence."
PHOTOGRAPHS = 256
BODIES = 64
"""As many different ones as are on their way at a time."""

_JOB = """\
manifest = "{manifest}"
output = "{output}"

[endpoint]
profile = "openai"
base_url = "{base_url}"
model = "{model}"
api_key_env = "BENCH_KEY"

[request]
prompt = "{prompt}"
max_tokens = 120

[limits]
max_in_flight = {in_flight}
"""


def url_manifest(folder: Path, rows: int) -> Path:
    """``rows`` rows, each with one image by URL."""
    path = folder / f"urls-{rows}.jsonl"
    if not path.exists():
        with path.open("w") as file:
            file.writelines(_url_row(n) for n in range(rows))
    return path


def photo_manifest(folder: Path, rows: int) -> Path:
    """``rows`` rows over 256 photographs of about 160 kB each, given by path."""
    photographs(folder)
    path = folder / f"photos-{rows}.jsonl"
    if not path.exists():
        with path.open("w") as file:
            for n in range(rows):
                row = {"id": f"row-{n:08d}", "image": f"photos/{n % PHOTOGRAPHS:03d}.jpg"}
                file.write(json.dumps(row) + "\n")
    return path


def photographs(folder: Path) -> list[Path]:
    """The photographs, made where they are not there yet."""
    places = [folder / "photos" / f"{n:03d}.jpg" for n in range(PHOTOGRAPHS)]
    places[0].parent.mkdir(exist_ok=True)
    for number, place in enumerate(places):
        if not place.exists():
            photograph((1024, 768), grain=5.5, seed=number).save(place, quality=85)
    return places


def photograph(size: tuple[int, int], *, grain: float, seed: int) -> Image.Image:
    """Soft shapes with ``grain``: compresses about as a photograph does."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    noise = chance.normal(0, grain, (size[1], size[0], 1))
    return Image.fromarray(np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8))


def job(
    folder: Path, manifest: Path, endpoint: Endpoint, *, name: str, in_flight: int = 64
) -> Path:
    """A job file that asks ``manifest`` of ``endpoint`` and writes to ``folder / name``."""
    path = folder / f"{name}.toml"
    path.write_text(
        _JOB.format(
            manifest=manifest,
            output=folder / name,
            base_url=endpoint.base_url,
            model=MODEL,
            prompt=PROMPT,
            in_flight=in_flight,
        )
    )
    return path


def url_bodies(folder: Path) -> Path:
    """Chat requests as the bare loop sends them, one per line."""
    images = (json.loads(_url_row(n))["image"] for n in range(BODIES))
    return _written(folder / "url-bodies.jsonl", images)


def photo_bodies(folder: Path) -> Path:
    """The same with photographs inline."""
    images = (
        "data:image/jpeg;base64," + base64.b64encode(place.read_bytes()).decode()
        for place in photographs(folder)[:BODIES]
    )
    return _written(folder / "photo-bodies.jsonl", images)


def _url_row(number: int) -> str:
    image = f"https://images.example.com/2026/{number:08d}.jpg"
    return json.dumps({"id": f"row-{number:08d}", "image": image}) + "\n"


def _written(path: Path, images: Iterator[str]) -> Path:
    with path.open("w") as file:
        for image in images:
            content = [
                {"type": "image_url", "image_url": {"url": image}},
                {"type": "text", "text": PROMPT},
            ]
            message = {"role": "user", "content": content}
            body = {"model": MODEL, "messages": [message], "max_tokens": 120}
            file.write(json.dumps(body) + "\n")
    return path
