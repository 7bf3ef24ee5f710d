"""Every gateway, every kind of image, both kinds of manifest: each row gets its own answer."""

from __future__ import annotations

import base64
import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

import vbatch

DIALECTS = {
    "indoxhub": "openai/gpt-4o",
    "indoxhub-openai": "openai/gpt-4o",
    "aimlapi": "gpt-4o",
    "vision": "gpt-4o",
    "infinityblue": "gpt-5.4",
    "flexai": "phi-4-multimodal-instruct",
}
KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}
PROMPTS = [
    "What is this?",
    "¿Qué ves aquí?",
    "これは何ですか",
    "Что на снимке? 🙂",
    'a "quoted" \\ prompt',
]


def drawn(number: int, kind: str) -> bytes:
    """A picture unlike all others."""
    image = Image.new("RGB", (40 + number, 30), (number * 9 % 256, 80, 200))
    ImageDraw.Draw(image).ellipse((4, 4, 20, 20), fill=(250, number * 5 % 256, 10))
    if kind == "GIF":
        image = image.quantize(16)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def twenty_rows(folder, urls: dict[str, bytes]) -> tuple[list[dict], dict[str, list[str]]]:
    """The rows, and for each id the sha256 of its images in order."""
    rows, expected = [], {}
    for n in range(20):
        count = (1, 1, 2, 3)[n % 4]
        sources, digests = [], []
        for k in range(count):
            suffix, kind = list(KINDS.items())[(n + k) % 4]
            data = drawn(5 * n + k, kind)
            name = f"p{n}-{k}.{suffix}"
            where = (n + k) % 3
            if where == 0:
                (folder / name).write_bytes(data)
                sources.append(name)
            elif where == 1:
                encoded = base64.b64encode(data).decode()
                sources.append(f"data:image/{kind.lower()};base64,{encoded}")
            else:
                url = f"https://pictures.test/{name}"
                urls[url] = data
                sources.append(url)
            digests.append(hashlib.sha256(data).hexdigest())
        prompt = f"{PROMPTS[n % len(PROMPTS)]} (row {n})"
        row = {"id": f"row-{n}", "prompt": prompt, "place": {"page": n, "tags": ["a", "b"]}}
        rows.append(row | ({"image": sources[0]} if count == 1 else {"images": sources}))
        expected[row["id"]] = digests
    return rows, expected


def write_manifest(path, rows) -> None:
    if path.suffix == ".parquet":
        pq.write_table(
            pa.Table.from_pylist([{"image": None, "images": None} | r for r in rows]), path
        )
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_row_is_answered_for_its_own_images_in_order(dialect, suffix, endpoint, workshop):
    urls: dict[str, bytes] = {}
    rows, expected = twenty_rows(workshop.folder, urls)
    server = endpoint(dialect=dialect, api_key="sk-test-0123456789", url_images=urls)
    write_manifest(workshop.folder / f"manifest.{suffix}", rows)
    job = workshop.job(
        server.base_url,
        profile=dialect,
        endpoint={"model": DIALECTS[dialect]},
        request={"detail": "low", "max_tokens": 900, "temperature": 0.5},
    )

    summary = vbatch.run(job, overrides=[f"manifest={workshop.folder}/manifest.{suffix}"])

    assert (summary.exit_code, summary.answered, summary.failed) == (0, 20, 0)
    run = vbatch.open_run(workshop.folder / "run")
    results = {row["id"]: row for row in run.results().to_pylist()}
    asked = {entry.prompt: entry for entry in server.entries}
    for row in rows:
        result, entry = results[row["id"]], asked[row["prompt"]]
        assert result["prompt"] == row["prompt"]
        assert entry.image_sha256 == expected[row["id"]], "byte for byte, in order"
        sent = [digest for digest in result["image_sha256"] if digest is not None]
        assert [d for d in expected[row["id"]] if d in sent] == sent
        assert result["place"] == row["place"]
        assert (result["prompt_tokens"], result["completion_tokens"]) == (
            entry.prompt_tokens,
            entry.completion_tokens,
        )
        assert result["total_tokens"] == entry.prompt_tokens + entry.completion_tokens
        for word in row["prompt"].split("?")[0].split()[:1]:
            assert word.strip('"') in result["text"]
    (usage,) = run.usage().to_pylist()
    assert usage["requests"] == server.sums["requests"] == 20
    assert usage["prompt_tokens"] == server.sums["prompt_tokens"]
    assert usage["completion_tokens"] == server.sums["completion_tokens"]
    assert usage["total_tokens"] == server.sums["total_tokens"]
