"""What is small on disk and huge in memory is refused while it is still small."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import vbatch
from tests.conftest import picture
from tests.guards.conftest import said
from vbatch.source.loader import CAP_BYTES

ALLOWED_MB = 160
"""More than an ordinary run has at its most. A line of 16 MiB is still held; a bomb is not."""
_MB = 1 << 20
_MEASURED = """
import sys, threading
from vbatch.cli import _run
code = _run()
with open("/proc/self/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) // 1024, file=sys.stderr)
"""
needs_proc = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the peak of one process is read from /proc"
)


def measured(*words, cwd):
    """Run a command in a process of its own: its exit code, and its peak in MB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *map(str, words)],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    code, peak = done.stderr.strip().splitlines()[-1].split()
    return int(code), int(peak)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The peak in MB of a process that does all but sending, with nothing special in it."""
    folder = tmp_path_factory.mktemp("usual")
    (folder / "one.jpg").write_bytes(picture())
    words = ("--manifest", folder, "--prompt", "?", "--profile", "local", "--output", "run")
    return measured("run", *words, cwd=folder)[1]


def answer():
    choice = {"message": {"content": "fine"}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice]}).encode()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def png(width: int, height: int, extra: bytes = b"", pixels: bytes = b"") -> bytes:
    pixels = pixels or zlib.compress(bytes((min(width, 32) + 1) * min(height, 32)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header(width, height)
        + extra
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def zeros(packer, megabytes: int) -> bytes:
    """So many megabytes of nothing, packed."""
    return b"".join(packer.compress(bytes(_MB)) for _ in range(megabytes)) + packer.flush()


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header lies about its size."""
    data = bytearray(picture("teal", (64, 64)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def second_frame(side: int) -> bytes:
    """A JPEG with a frame header more, which says another size."""
    data, large = picture("teal", (64, 64)), jpeg_of(side, side)
    at = data.index(b"\xff\xc0")
    frame = large[at : at + 2 + int.from_bytes(large[at + 2 : at + 4])]
    return data[:at] + data[at : at + len(frame)] + frame + data[at + len(frame) :]


def gif(width: int, height: int, frames: int, screen: tuple[int, int] | None = None) -> bytes:
    head = (
        b"GIF89a" + struct.pack("<HH", *(screen or (width, height))) + b"\x80\0\0\0\0\0\xff\xff\xff"
    )
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0"
    return head + frame * frames + b";"


def webp(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sizes
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def many_frames(kind: str, count: int = 24) -> bytes:
    frames = [Image.new("L", (2048, 2048), n) for n in range(count)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


def images() -> dict[str, tuple[bytes, str | None]]:
    """Bytes, and the code they fail with (None: they are sent, at their true size)."""
    packed = zeros(zlib.compressobj(1), 256)
    return {
        "a PNG of 50,000 x 50,000": (png(50_000, 50_000), "image_too_large"),
        "a PNG of 2**31 x 2**31": (png(2**31 - 1, 2**31 - 1), "image_too_large"),
        "a JPEG that says 65,535": (jpeg_of(65_535, 65_535), "image_too_large"),
        "a PNG with a second header": (png(64, 64, header(50_000, 50_000)), "image_too_large"),
        "a JPEG with a second frame": (second_frame(65_500), "image_too_large"),
        "a GIF of 65,535 x 65,535": (gif(65_535, 65_535, 1), "image_too_large"),
        "a GIF frame larger than its screen": (gif(65_535, 65_535, 1, (8, 8)), "image_too_large"),
        "a GIF of 20,000 frames": (gif(60_000, 60_000, 20_000), "image_too_large"),
        "a WebP of 16,777,216 x 16,777,216": (webp(2**24, 2**24), "image_too_large"),
        "PNG zTXt": (png(32, 32, chunk(b"zTXt", b"a\0\0" + packed)), None),
        "PNG iTXt": (png(32, 32, chunk(b"iTXt", b"a\0\1\0\0\0" + packed)), None),
        "PNG iCCP": (png(32, 32, chunk(b"iCCP", b"a\0\0" + packed)), "image_unreadable"),
        "PNG with more pixels than its size": (png(32, 32, pixels=packed), None),
        "PNG that says 2**31 frames": (
            png(32, 32, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
            None,
        ),
        "PNG of 100,000 chunks": (png(32, 32, chunk(b"tEXt", b"a\0b") * 100_000), None),
        "24 frames of GIF": (many_frames("GIF"), None),
        "24 frames of PNG": (many_frames("PNG"), None),
    }


@needs_proc
def test_a_parquet_value_that_stands_in_every_row_is_read_a_few_rows_at_a_time(tmp_path, usual):
    rows = 150
    note = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * (4 * _MB)])
    table = pa.table({"id": map(str, range(rows)), "image": ["one.jpg"] * rows, "note": note})
    pq.write_table(table, tmp_path / "m.parquet", dictionary_pagesize_limit=1 << 30)
    assert (tmp_path / "m.parquet").stat().st_size < _MB
    script = f"""
from vbatch.job import Columns
from vbatch.source.manifest.paths import Part
from vbatch.source.manifest.tables import Table

table = Table(Part(kind="table", path={str(tmp_path / "m.parquet")!r}, partition={{}}), Columns())
print(sum(len(row.values["note"]) for row in table.rows(0)))
with open("/proc/self/status") as status:
    print(next(line for line in status if line.startswith("VmHWM")).split()[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    read, peak_kib = map(int, done.stdout.split())
    assert read == rows * 4 * _MB
    assert peak_kib // 1024 <= usual + ALLOWED_MB


@needs_proc
def test_images_that_unpack_to_gigabytes_are_refused_small(workshop, listener, usual, evidence):
    cases = images()
    for number, (data, _) in enumerate(cases.values()):
        (workshop.folder / f"{number}.img").write_bytes(data)
    rows = [{"id": f"{n}", "image": f"{n}.img", "prompt": "?"} for n in range(len(cases))]
    workshop.manifest(rows)
    job = workshop.job(listener.chats(200, answer()), images={"max_side": 16, "format": "jpeg"})

    code, peak = measured("run", job, cwd=workshop.folder)

    assert code == 3
    failures = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    found = {int(row["id"]): row["code"] for row in failures}
    assert {name: found.get(n) for n, name in enumerate(cases)} == {
        name: code for name, (_, code) in cases.items()
    }
    over = max(0, peak - usual - ALLOWED_MB)
    assert over == 0, (usual, peak)
    evidence.add("bombs", cases=len(cases), over_memory=over)


def packed_manifest(kind: str, folder, line: bytes) -> str:
    """A manifest with a good row, ``line`` 192 times in one line, and another good row."""
    name = f"bomb.jsonl.{kind}"
    row = b'{"id": "%s", "image": "one.jpg", "prompt": "?"}\n'
    packed = {
        "gz": lambda path: gzip.GzipFile(path, "wb", compresslevel=1),
        "zst": lambda path: pa.CompressedOutputStream(str(path), "zstd"),
    }
    with packed[kind](folder / name) as out:
        out.write(row % b"first")
        for _ in range(192):
            out.write(line)
        out.write(b"\n" + row % b"last")
    return name


@needs_proc
@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_packed_line_of_gigabytes_is_a_bad_row_that_nobody_held(
    workshop, listener, usual, kind, evidence
):
    workshop.picture("one.jpg")
    name = packed_manifest(kind, workshop.folder, b" " * _MB if kind == "gz" else b"[" * _MB)
    job = workshop.job(listener.chats(200, answer()))

    code, peak = measured("run", job, "--manifest", name, cwd=workshop.folder)

    run = vbatch.open_run(workshop.folder / "run")
    assert code == 3
    assert run.results().num_rows == 2
    (failure,) = run.failures().to_pylist()
    assert (failure["code"], failure["line"]) == ("bad_row", 2)
    over = max(0, peak - usual - ALLOWED_MB)
    assert over == 0, (usual, peak)
    evidence.add("bombs", cases=1, over_memory=over)


LINES = {
    "depth": '{"id": "x", "image": "one.jpg", "prompt": "?", "deep": ' + "[" * 500_000,
    "closed depth": '{"deep": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "objects": '{"deep": ' + '{"a":' * 200_000 + "1" + "}" * 200_001,
    "an integer": '{"id": 1' + "0" * 1_000_000 + ', "image": 3}',
    "a float": '{"id": "x", "image": 1e' + "9" * 100_000 + "}",
    "escapes": '{"id": "' + "\\u0000" * 100_000 + '", "image": 4}',
}


def test_lines_that_only_a_parser_suffers_from_are_bad_rows(workshop, listener, evidence):
    workshop.picture("one.jpg")
    good = {"id": "good", "image": "one.jpg", "prompt": "?"}
    workshop.manifest([good, *LINES.values()])

    summary = vbatch.run(workshop.job(listener.chats(200, answer())))

    failures = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    assert [row["code"] for row in failures] == ["bad_row"] * len(LINES)
    assert summary.answered == 1
    evidence.add("bombs", cases=len(failures))


@needs_proc
def test_an_answer_that_unpacks_to_gigabytes_is_given_up_on_the_way(
    workshop, listener, usual, evidence
):
    bomb = zeros(zlib.compressobj(1, wbits=31), 512)
    job = workshop.job(listener.chats(200, bomb, content_encoding="gzip"))
    workshop.rows(4)

    code, peak = measured("run", job, cwd=workshop.folder)

    failures = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    assert code == 3
    assert {row["code"] for row in failures} == {"response_too_large"}
    over = max(0, peak - usual - ALLOWED_MB)
    assert over == 0, (usual, peak)
    evidence.add("bombs", cases=1, over_memory=over)


@needs_proc
def test_a_page_that_unpacks_to_gigabytes_is_no_image(workshop, listener, usual, evidence):
    """It is asked for unpacked, and what is packed all the same is given up at the cap."""
    bomb = zeros(zlib.compressobj(1, wbits=31), 600)
    listener.answers["/a.jpg"] = said(200, bomb, content_encoding="gzip")
    listener.answers["/b.jpg"] = said(200, gzip.compress(picture()), content_encoding="gzip")
    here = f"http://127.0.0.1:{listener.port}"
    rows = [{"id": n, "image": f"{here}/{n}.jpg", "prompt": "?"} for n in "ab"]
    workshop.manifest(rows)
    url = listener.chats(200, answer())
    job = workshop.job(url, images={"allow_private_urls": True, "send": "inline"})

    code, peak = measured("run", job, cwd=workshop.folder)

    (failure,) = vbatch.open_run(workshop.folder / "run").failures().to_pylist()
    assert code == 3
    assert (failure["id"], failure["code"]) == ("a", "image_unreadable")
    over = max(0, peak - usual - CAP_BYTES // 10**6 - ALLOWED_MB)
    assert over == 0, (usual, peak)
    evidence.add("bombs", cases=1, over_memory=over)
