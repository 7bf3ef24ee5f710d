"""JSONL manifests of every kind of wrong."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa

from tests.corpora.cases import Case
from tests.corpora.damage import cut_short, damaged
from vbatch.columns import FAILURE_NAMES, RESULT_NAMES

BEFORE = b'{"id":"before","image":"a.jpg","label":1}'
AFTER = b'{"id":"after","image":"b.jpg","label":2}'

COLUMNS = (
    *("id", "custom_id", "image", "image_path", "images", "prompt", "system", "params", "body"),
    *("label", "extra", "text", "in_text"),
)

WHOLE = {
    "null": "null",
    "true": "true",
    "nothing": "",
    "zero": "0",
    "minus one": "-1",
    "2**63": str(2**63),
    "2**64": str(2**64),
    "-2**63 - 1": str(-(2**63) - 1),
    "10**400": str(10**400),
    "5,000 digits": "9" * 5000,
    "a fraction": "1.5",
    "a large fraction": "1e308",
    "more than a float": "1e400",
    "minus zero": "-0.0",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "leading zero": "007",
    "hexadecimal": "0x1F",
    "Python's None": "None",
    "single quotes": "'a.jpg'",
}
TEXTS = {
    "empty text": "",
    "blank text": " \t ",
    "NUL": "a\0b",
    "control characters": "\x1b[2J\x07\x9b\x7f",
    "long text": "x" * 100_000,
    "right to left": "\u202egpj.a",
    "no character": "\ufffe\uffff\U0010ffff",
    "surrogates in pairs": "\U0001f600",
    "a line separator": "a\u2028b\u0085c",
    "an empty data URI": "data:",
    "a broken data URI": "data:image/png;base64,@@@",
    "half a data URI": "data:image/png;base64,iVBO",
    "a broken URL": "http://[::1",
    "a URL with NUL": "https://x/\0",
    "a file URL": "file:///etc/passwd",
    "a way out": "../../../../etc/passwd",
    "a bucket": "s3://bucket/key",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "JSON": '{"a": 1}',
    "half of JSON": '{"a": ',
}
TREES = {
    "an empty list": [],
    "lists of nothing": [[], [[]], None],
    "a list of kinds": [1, "a", None, {}, [], 1.5, True],
    "a long list": list(range(5000)),
    "an empty object": {},
    "an empty key": {"": 1, "\0": 2},
    "a hundred keys": {f"k{n}": n for n in range(100)},
    "a number as URL": {"url": 5},
    "an object as URL": {"image_url": {"url": {"url": "a"}}},
    "no URL": {"url": None, "path": None, "bytes": None},
    "bytes that are none": {"bytes": "!!!"},
    "bytes and path": {"bytes": "AAAA", "path": "", "detail": "huge"},
    "bytes as numbers": {"bytes": [1, 2, 3], "path": "a.jpg"},
    "wrong settings": {"max_tokens": -1, "temperature": "hot", "model": 5, "detail": []},
    "messages of no kind": {"messages": [5, {"role": 1, "content": [{"image_url": 7}, "x"]}]},
    "settings that clash": {"messages": [], "stream": True, "model": ""},
}
RAW = {
    "a lone surrogate": '"\\ud800"',
    "surrogates the wrong way round": '"\\udc00\\ud800"',
    "a cut escape": '"\\u12"',
    "a wrong escape": '"\\x41"',
    "a raw tab": '"a\tb"',
    "nested 200 deep": "[" * 200 + "]" * 200,
    "nested 300 deep": "[" * 300 + "]" * 300,
    "nested 1,000 deep": "[" * 1000 + "]" * 1000,
    "nested 100,000 deep": "[" * 100_000,
    "nested objects": '{"a":' * 400 + "1" + "}" * 400,
    "a large integer deep down": f'{{"a":[{{"b":{2**70}}}]}}',
    "doubled keys": '{"a":1,"a":{"a":2}}',
}


def values():
    """Each odd value as JSON text."""
    written = {**TEXTS, **TREES}
    return {**WHOLE, **{name: json.dumps(value) for name, value in written.items()}, **RAW}


def odd_values():
    """A row between good ones with an odd value in one column."""
    for what, value in values().items():
        for column in COLUMNS:
            yield Case(f"{what} as {column}", _between(_row(column, value)))


def _row(column, value):
    rest = {"id": '"odd"', "image": '"c.jpg"', "label": "3"}
    if column in {"image_path", "images", "body", "custom_id"}:
        rest = {"custom_id": '"odd"'}
    rest[column] = value
    return "{" + ",".join(f'"{key}":{value}' for key, value in rest.items()) + "}"


def _between(line):
    line = line if isinstance(line, bytes) else line.encode()
    return b"\n".join((BEFORE, line, AFTER, b""))


def odd_lines():
    """Lines between good ones that are no row, or hardly one."""
    for name, line in _LINES.items():
        yield Case(name, _between(line))
    row = b'{"id":"odd","image":"c.jpg","prompt":"What is it?","label":3,"x":[1,{"y":null}]}'
    for case in damaged("a row", row, cuts=80, flips=120, splices=90):
        yield Case(case.name, _between(case.data))
    for byte in range(256):
        yield Case(f"byte {byte} in a text", _between(row.replace(b"What", bytes([byte]))))
        yield Case(f"byte {byte} between values", _between(row.replace(b"3,", b"3%c," % byte)))
    for name in sorted({*RESULT_NAMES, *FAILURE_NAMES, "", "\0", "\0extra", "in_id", "k" * 9000}):
        line = json.dumps({"id": "odd", "image": "c.jpg", f"{name}": [1]})
        yield Case(f"a column called {name[:20]!r}", _between(line))


_LINES = {
    "a list": b'["id", "image"]',
    "a text": b'"a.jpg"',
    "a bare path": b"a.jpg",
    "a comment": b'// {"id": 1}',
    "CSV": b"id,image,prompt",
    "a trailing comma": b'{"id":"odd","image":"c.jpg",}',
    "two rows": b'{"id":"odd","image":"c.jpg"}{"id":"odd2","image":"d.jpg"}',
    "two rows and a blank": b'{"id":"odd","image":"c.jpg"} {"id":"odd2"}',
    "a row in brackets": b'[{"id":"odd","image":"c.jpg"}]',
    "a row with a comma behind": b'{"id":"odd","image":"c.jpg"},',
    "a mark in front": b'\xef\xbb\xbf{"id":"odd","image":"c.jpg"}',
    "a mark inside": b'{"id":"odd",\xef\xbb\xbf"image":"c.jpg"}',
    "Latin-1": '{"id":"odd","image":"größe.jpg"}'.encode("latin-1"),
    "overlong UTF-8": b'{"id":"odd","image":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"id":"odd","image":"\xed\xa0\x80"}',
    "five bytes of UTF-8": b'{"id":"odd","image":"\xf8\x88\x80\x80\x80"}',
    "NULs": bytes(2000),
    "a NUL behind": b'{"id":"odd","image":"c.jpg"}\0',
    "form feeds": b"\x0c\x0b\x1c\x1d",
    "blanks": b" " * 5000,
    "2,000 columns": json.dumps({"image": "c.jpg", **{f"k{n}": n for n in range(2000)}}).encode(),
    "id twice": b'{"id":"odd","id":"even","image":"c.jpg"}',
    "the id of another": BEFORE.replace(b"a.jpg", b"other.jpg"),
    "the same again": BEFORE,
    "the same with another label": BEFORE.replace(b"1}", b'"one"}'),
    "nothing at all": b"{}",
    "no image": b'{"id":"odd"}',
    "image and images": b'{"id":"odd","image":"c.jpg","images":["d.jpg","e.jpg"]}',
    "image twice by other names": b'{"id":"odd","url":"https://x/a","file_name":"b"}',
}


def odd_files():
    """Files that are strange as a whole: name with ending, and bytes."""
    lines = b"\n".join(b'{"id":%d,"image":"%d.jpg","label":"x"}' % (n, n) for n in range(60))
    yield from _odd_texts(lines)
    for ending, packed in (
        ("jsonl", lines),
        ("jsonl.gz", gzip.compress(lines, mtime=0)),
        ("jsonl.zst", pa.compress(lines, "zstd", asbytes=True)),
    ):
        for case in damaged(ending, packed, cuts=40, flips=60, splices=60):
            yield Case(f"{case.name}.{ending}", case.data)
    yield from _odd_packings(lines)


def _odd_texts(lines):
    marked = b"\xef\xbb\xbf" + lines
    texts = {
        "nothing": b"",
        "a mark": b"\xef\xbb\xbf",
        "half a mark": b"\xef\xbb",
        "marked": marked,
        "marked twice": b"\xef\xbb\xbf" + marked,
        "marked in the middle": lines + b"\n" + marked.replace(b'"id":', b'"id":9'),
        "ends of Windows": lines.replace(b"\n", b"\r\n"),
        "ends of old Macs": lines.replace(b"\n", b"\r"),
        "ends of all kinds": lines.replace(b"\n", b"\n\r\n\r"),
        "ends only": b"\n" * 5000,
        "blanks": b" \t\r\n" * 500,
        "zeros": bytes(70_000),
        "0xFF": b"\xff" * 5000,
        "zeros behind": lines + bytes(5000),
        "a JSON list": b"[" + lines.replace(b"\n", b",\n") + b"]",
        "JSON over many lines": json.dumps([{"id": 1, "image": "a"}], indent=1).encode(),
        "a page": b"<html><body>404</body></html>",
        "brackets": b"[" * 2_000_000,
        "quotes": b'{"' * 500_000,
        "a line of 17 MiB": b'{"image":"' + b"x" * (17 << 20) + b'"}\n' + lines,
        "17 MiB that never end": b'{"image":"' + b"x" * (17 << 20),
    }
    texts |= {f"in {code}": lines.decode().encode(code) for code in _CODES}
    for name, data in texts.items():
        yield Case(f"{name}.jsonl", data)


_CODES = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "utf-8-sig", "cp037")


def _odd_packings(lines):
    packed = gzip.compress(lines, mtime=0)
    zipped = pa.compress(lines, "zstd", asbytes=True)
    yield Case("not packed.jsonl.gz", lines)
    yield Case("not packed.jsonl.zst", lines)
    yield Case("packed.jsonl", packed)
    yield Case("packed the other way.jsonl.gz", zipped)
    yield Case("packed the other way.jsonl.zst", packed)
    yield Case("packed twice.jsonl.gz", gzip.compress(packed, mtime=0))
    yield Case("more behind.jsonl.gz", packed + b"more")
    yield Case("more behind.jsonl.zst", zipped + b"more")
    yield Case("zeros behind.jsonl.gz", packed + bytes(600))
    yield Case("a part again.jsonl.gz", packed + packed[: len(packed) // 2])
    yield Case("a bomb.jsonl.gz", gzip.compress(bytes(60 << 20), 1, mtime=0))
    yield Case("a bomb of ends.jsonl.gz", gzip.compress(b"\n" * 200_000, 1, mtime=0))
    for case in cut_short("nothing packed", gzip.compress(b"", mtime=0), 20):
        yield Case(f"{case.name}.jsonl.gz", case.data)
