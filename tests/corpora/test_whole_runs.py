"""Runs over bad corpora: each row is answered or failed, each file read or refused, no code 1."""

import json
import re
import subprocess
import sys
from base64 import b64encode
from itertools import chain, count

import pytest

import vbatch
from tests.conftest import picture
from tests.corpora import answers, lines, pictures, strangers, tables
from tests.corpora.cases import part_of
from tests.corpora.rows import ending
from tests.endpoint.raw_server import http, read_request, said, serving
from vbatch.errors import FAILURE_CODES, VbatchError

PATIENT = {"max_failure_rate": 1.0}
ENDINGS = ("jpg", "png", "gif", "webp", "txt")


def tables_of(workshop):
    run = vbatch.open_run(workshop.folder / "run")
    return run.results().to_pylist(), run.failures().to_pylist()


def test_a_run_over_bad_pictures_fails_their_rows_and_no_other(endpoint, workshop, evidence):
    made = chain(pictures.spoiled(), pictures.odd(), strangers.polyglots(), strangers.foreign())
    cases = list(part_of(made, 0, 4))
    rows = [{"id": f"good {n}", "image": workshop.picture("good.jpg")} for n in range(30)]
    for number, case in enumerate(cases):
        name = f"{number}.{ENDINGS[number % len(ENDINGS)]}"  # what a file is called says nothing
        (workshop.folder / name).write_bytes(case.data)
        rows.append({"id": f"bad {number}", "image": name, "what": case.name})
    workshop.manifest(rows)
    server = endpoint(dialect="openai")
    job = workshop.job(server.base_url, limits=PATIENT, request={"prompt": "What is it?"})

    summary = vbatch.run(job)

    results, failures = tables_of(workshop)
    assert summary.exit_code == 3
    assert {row["id"] for row in (*results, *failures)} == {row["id"] for row in rows}
    assert len(results) + len(failures) == len(rows)
    assert sum(row["id"].startswith("good") for row in results) == 30
    assert {row["code"] for row in failures} <= FAILURE_CODES
    assert sum(row["code"].startswith("image_") for row in failures) > 100
    evidence.add("bad corpora", rows_of_whole_runs=len(cases))


def test_a_run_over_odd_values_fails_their_rows_and_no_other(endpoint, workshop, evidence):
    cases = [case for case in lines.odd_values() if not case.name.endswith("id")]
    odd = [case.data.splitlines()[1] for case in cases]
    odd = [line.replace(b'"odd"', b'"odd %d"' % n) for n, line in enumerate(odd)]
    workshop.picture("a.jpg")
    workshop.picture("c.jpg")
    path = workshop.folder / "manifest.jsonl"
    path.write_bytes(b"\n".join([lines.BEFORE, *odd]))
    server = endpoint(dialect="openai")
    job = workshop.job(server.base_url, limits=PATIENT, request={"prompt": "What is it?"})

    summary = vbatch.run(job)

    results, failures = tables_of(workshop)
    assert summary.exit_code == 3
    assert "before" in {row["id"] for row in results}
    assert len(results) > 100
    bad = [row for row in failures if row["code"] == "bad_row"]
    assert len(bad) > 100
    assert all(row["file"] == str(path) and row["line"] > 1 and row["message"] for row in bad)
    assert len({row["line"] for row in bad}) == len(bad)
    evidence.add("bad corpora", rows_of_whole_runs=len(odd))


@pytest.mark.parametrize("part", range(2))
def test_a_run_over_a_bad_manifest_ends_with_a_code_of_its_own(endpoint, workshop, corpus, part):
    workshop.picture("a.jpg")
    server = endpoint(dialect="openai")
    job = workshop.job(server.base_url, limits=PATIENT, request={"prompt": "What is it?"})
    numbers = count()
    made = chain(
        part_of(lines.odd_files(), 0, 11),
        part_of(tables.damaged_anywhere(), 0, 23),
        part_of(tables.typed(), 0, 11),
        tables.odd_shapes(),
    )

    def judge(case):
        path = workshop.folder / f"m{ending(case)}"
        path.write_bytes(case.data)
        run = workshop.folder / f"run-{next(numbers)}"
        overrides = [f"manifest={path}", f"output={run}"]
        try:
            return int(vbatch.run(job, overrides=overrides).exit_code)
        except VbatchError as error:
            return int(error.exit_code) if error.message else "no word"

    codes = corpus.go_through(part_of(made, part, 2), judge)
    assert codes.keys() <= {0, 2, 3, 4}
    assert min(codes[2], codes[3]) > 5


async def test_a_run_over_odd_answers_fails_their_rows_and_no_other(workshop, evidence):
    kinds = ("chat", "parts", "calls", "refusal", "legacy", "envelope", "responses")
    odd = [one for one in answers.swapped() if one.name.startswith(kinds)][::4]
    workshop.rows(2 * len(odd))

    async def talk(reader, writer):
        while True:
            asked = await read_request(reader)
            number, good = divmod(int(re.search(rb"row (\d+)", asked.body)[1]), 2)
            body = json.dumps(said("fine")).encode() if not good else odd[number].reply.body
            writer.write(http(body))

    async with serving(talk) as base_url:
        job = workshop.job(base_url, limits=PATIENT, retry={"max_attempts": 1})
        summary = await vbatch.arun(job)

    results, failures = tables_of(workshop)
    assert summary.exit_code == 3
    assert len(results) + len(failures) == 2 * len(odd)
    assert sum(row["text"] == "fine" for row in results) >= len(odd)
    assert {row["code"] for row in failures} <= {"empty_answer", "bad_response", "server_error"}
    evidence.add("bad corpora", rows_of_whole_runs=len(odd))


@pytest.mark.parametrize(
    ("verb", "data", "code"),
    [
        ("run", b'{"id":"a","image":"a.jpg"}\nnonsense\n{"id":"b","image":"b.png"}\n', 3),
        ("run", b'{"id":"a","image":"a.jpg"}\n{"id":"a","image":"b.png"}\n', 2),
        ("check", b'{"id":"a"}\n', 2),
    ],
)
def test_the_command_line_says_what_is_wrong_without_a_traceback(
    endpoint, workshop, verb, data, code
):
    workshop.picture("a.jpg")
    (workshop.folder / "b.png").write_bytes(picture()[:-100])
    (workshop.folder / "manifest.jsonl").write_bytes(data)
    server = endpoint(dialect="openai")
    job = workshop.job(server.base_url, limits=PATIENT, request={"prompt": "What is it?"})

    done = subprocess.run(
        [sys.executable, "-m", "vbatch", verb, str(job)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert "manifest.jsonl" in done.stderr + done.stdout or "2 failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_batch_line_is_kept_with_the_images_that_it_shows(endpoint, workshop):
    shown = [
        f"https://pictures.test/{workshop.picture('a.jpg')}",
        f"data:image/jpeg;base64,{b64encode(picture()).decode()}",
    ]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in shown]
    content = [{"type": "text", "text": "hello"}, *parts]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
    workshop.manifest([{"custom_id": "a", "body": body}])
    server = endpoint(dialect="openai", url_root=workshop.folder)
    assert vbatch.run(workshop.job(server.base_url)).exit_code == 0

    results, _ = tables_of(workshop)
    assert results[0]["images"] == [shown[0], None]
