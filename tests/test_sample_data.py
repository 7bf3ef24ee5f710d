import importlib.util
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageChops, ImageStat

from vbatch.records import ImageLimits
from vbatch.source import data_uris
from vbatch.source.images import prepare

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data"
LIMITS = ImageLimits(formats=frozenset({"jpeg", "png", "gif", "webp"}), animated=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder as the script makes it today."""
    spec = importlib.util.spec_from_file_location("make_samples", SAMPLES / "make_samples.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    folder = tmp_path_factory.mktemp("samples")
    script.make(folder)
    return folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file())


def pictures():
    return sorted((SAMPLES / "pictures").iterdir())


def look_alike(one, other):
    """Whether two files show the same; encoders and fonts may differ by a shade."""
    with Image.open(one) as a, Image.open(other) as b:
        assert (a.mode, a.size, a.format) == (b.mode, b.size, b.format)
        assert getattr(a, "n_frames", 1) == getattr(b, "n_frames", 1)
        difference = ImageChops.difference(a.convert("RGB"), b.convert("RGB"))
    return max(ImageStat.Stat(difference).mean) < 2


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_script_makes_the_files_that_are_here(made):
    assert names(made) == [name for name in names(SAMPLES) if not name.endswith(".py")]


@pytest.mark.parametrize("name", [path.name for path in pictures()])
def test_the_script_draws_each_picture_as_it_is_here(made, name):
    assert look_alike(made / "pictures" / name, SAMPLES / "pictures" / name)


def test_the_script_writes_the_rows_that_are_here(made):
    for name in ("manifest.jsonl", "pairs.jsonl"):
        for now, here in zip(lines(made / name), lines(SAMPLES / name), strict=True):
            embedded = str(here.get("image")).startswith("data:")
            if embedded:
                uris = [row.pop("image") for row in (now, here)]
                one, other = (data_uris.decode(uri, cap_bytes=10_000) for uri in uris)
                assert look_alike(io.BytesIO(one), io.BytesIO(other))
            assert now == here


def test_the_script_writes_the_table_that_is_here(made):
    now, here = (pq.read_table(folder / "manifest.parquet") for folder in (made, SAMPLES))

    assert now.schema.equals(here.schema)
    assert now.drop(["image"]).equals(here.drop(["image"]))
    for one, other in zip(now["image"].to_pylist(), here["image"].to_pylist(), strict=True):
        assert one["path"] == other["path"]
        assert (one["bytes"] is None) == (other["bytes"] is None)
        if one["bytes"]:
            assert look_alike(io.BytesIO(one["bytes"]), io.BytesIO(other["bytes"]))


def test_every_path_in_the_manifests_is_a_picture_here():
    rows = lines(SAMPLES / "manifest.jsonl") + lines(SAMPLES / "pairs.jsonl")
    named = [image for row in rows for image in row.get("images", [row.get("image")])]
    paths = [image["path"] if isinstance(image, dict) else image for image in named]
    paths = [path for path in paths if not path.startswith("data:")]

    assert {SAMPLES / path for path in paths} == set(pictures())


def test_no_row_needs_the_network():
    text = (SAMPLES / "manifest.jsonl").read_text() + (SAMPLES / "pairs.jsonl").read_text()

    assert "://" not in text


def test_the_folder_is_small():
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*.*")) < 400_000


@pytest.mark.parametrize("name", [path.name for path in pictures()])
def test_every_picture_can_be_sent(name):
    data = (SAMPLES / "pictures" / name).read_bytes()

    made = prepare(data, LIMITS)

    touched = {"lighthouse-turned.jpg", "fractal-grey.jpg", "bouncing-ball.gif"}
    assert (made.data is not data) == (name in touched)
    assert Image.open(io.BytesIO(made.data)).size == (made.width, made.height)


def test_the_turned_picture_comes_out_upright_and_without_its_place():
    data = (SAMPLES / "pictures" / "lighthouse-turned.jpg").read_bytes()
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)

    made = prepare(data, LIMITS)

    assert (made.width, made.height) == (300, 450)
    assert not Image.open(io.BytesIO(made.data)).getexif()
