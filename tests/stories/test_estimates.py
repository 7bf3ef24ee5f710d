"""What will it cost? Asked before anything is sent, and held against what is then reported."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from PIL import Image

import vbatch
from tests.conftest import picture
from vbatch import api
from vbatch.endpoint.tokens import WRAPPING_TOKENS
from vbatch.errors import Mismatch

KINDS = ("JPEG", "PNG", "WEBP", "GIF")
SIZES = ((640, 480), (1024, 768), (300, 200), (1700, 800), (120, 900), (1100, 1100), (33, 7))


def mixed(workshop, count: int) -> None:
    """Images of every kind and many sizes, some lying on their side, some with a large profile."""
    rows = []
    for n in range(count):
        kind, (width, height) = KINDS[n % 4], SIZES[n % 7]
        save = {}
        if kind == "JPEG":
            save["exif"] = lying() if n % 3 else b""
            save["icc_profile"] = b"x" * 90_000 if n % 8 == 0 else None
        name = workshop.picture(
            f"{n}.{kind.lower()}", "teal", (width + n, height + n), kind, **save
        )
        rows.append({"id": f"r{n}", "image": name, "prompt": f"What is image {n} about?"})
    workshop.manifest(rows)


def lying() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


@pytest.mark.parametrize(
    ("dialect", "model"),
    [
        ("openai", "gpt-4o"),
        ("openai", "o4-mini"),
        ("indoxhub", "anthropic/claude-opus-4-6"),
        ("indoxhub", "google/gemini-2.0-flash"),
    ],
)
def test_an_estimate_of_mixed_images_is_within_two_percent_of_what_is_then_reported(
    endpoint, workshop, dialect, model
):
    mixed(workshop, 28)
    server = endpoint(dialect=dialect)
    job = workshop.job(
        server.base_url,
        profile=dialect,
        endpoint={"model": model},
        request={"max_tokens": 20},
        images={"max_side": 1500},
        price={"input": 2.5, "output": 10},
    )

    expected = vbatch.estimate(job)
    assert server.sums["requests"] == 0, "nothing was sent"
    summary = vbatch.run(job)

    sums = server.sums
    assert expected.requests == summary.answered == 28
    assert expected.prompt_tokens == pytest.approx(sums["prompt_tokens"], rel=0.001)
    assert expected.total_tokens == pytest.approx(sums["total_tokens"], rel=0.02)
    paid = (2.5 * sums["prompt_tokens"] + 10 * sums["completion_tokens"]) / 1e6
    assert float(expected.cost) == pytest.approx(paid, rel=0.02)
    assert expected.tokens_error == 0, "every image was looked at"


def test_what_the_built_in_endpoint_will_say_is_known_without_a_cap(workshop):
    mixed(workshop, 56)
    job = workshop.folder / "job.toml"
    job.write_text('manifest = "manifest.jsonl"\noutput = "run"\n[endpoint]\nprofile = "local"\n')

    expected = vbatch.estimate(job)
    summary = vbatch.run(job)

    assert expected.total_tokens == pytest.approx(summary.total_tokens, rel=0.02)
    assert (expected.cost, expected.price) == (None, None)
    assert "not known" in "\n".join(expected.lines())
    assert "set [price]" in "\n".join(expected.lines())


def test_only_rows_still_to_do_count_and_answers_so_far_say_how_long_the_next_will_be(
    endpoint, workshop
):
    server = endpoint(dialect="openai")
    workshop.rows(60)
    job = workshop.job(server.base_url)
    vbatch.run(job, limit=30)
    answered = server.sums

    expected = vbatch.estimate(job)

    assert (expected.rows, expected.done, expected.requests) == (60, 30, 30)
    mean = answered["completion_tokens"] / 30
    assert expected.completion_tokens == pytest.approx(30 * mean, abs=1)
    assert any("as the run's so far" in text for text in expected.assumptions)
    assert "as fast as the run was last" in expected.assumptions
    assert vbatch.estimate(job, fresh=True).requests == 60


def test_a_changed_question_is_refused_as_a_run_would_refuse_it(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    job = workshop.job(server.base_url)
    vbatch.run(job, limit=1)

    with pytest.raises(Mismatch):
        vbatch.estimate(job, overrides=["request.max_tokens=5"])
    changed = vbatch.estimate(job, overrides=["request.max_tokens=5"], accept_change=True)
    assert (changed.requests, changed.completion_tokens) == (1, 5)


def test_images_by_url_are_counted_by_an_assumption_that_is_said(workshop):
    workshop.manifest([{"id": n, "image": f"https://pictures.test/{n}.jpg"} for n in range(4)])
    job = workshop.job("https://api.openai.com/v1", request={"prompt": "What?"})

    expected = vbatch.estimate(job)

    assert (expected.images, expected.remote_images) == (4, 4)
    assert expected.prompt_tokens == 4 * (765 + 2)
    assert any("4 images by URL" in text and "1024 x 1024" in text for text in expected.assumptions)


def test_rows_that_will_fail_are_named_and_not_paid_for(workshop):
    workshop.picture("one.jpg")
    (workshop.folder / "notes.jpg").write_text("no picture at all")
    workshop.manifest(
        [
            {"id": "a", "image": "one.jpg", "prompt": "?"},
            {"id": "b", "image": "gone.jpg", "prompt": "?"},
            {"id": "c", "image": "/etc/hostname", "prompt": "?"},
            {"id": "d", "image": "notes.jpg", "prompt": "?"},
            {"id": "e", "image": 5, "prompt": "?"},
        ]
    )
    expected = vbatch.estimate(workshop.job("https://api.openai.com/v1"))
    assert expected.requests == 1
    assert expected.codes == {
        "image_not_found": 1,
        "image_forbidden": 1,
        "image_unsupported": 1,
        "bad_row": 1,
    }


def batch_line(**fields) -> dict:
    """A line with 400 characters, one small picture of low detail and one by URL."""
    uri = "data:image/png;base64," + base64.b64encode(picture("red", (600, 600), "PNG")).decode()
    content = [
        {"type": "text", "text": "x" * 400},
        {"type": "image_url", "image_url": {"url": uri, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://pictures.test/a.jpg"}},
    ]
    body = {
        "model": "gpt-4o",
        "max_completion_tokens": 70,
        "messages": [{"role": "user", "content": content}],
    }
    return {"custom_id": "a", "body": body | fields}


def test_lines_in_batch_format_and_embedded_images_are_looked_into(workshop):
    workshop.manifest([batch_line()])

    expected = vbatch.estimate(workshop.job("https://api.openai.com/v1"))

    assert (expected.images, expected.remote_images) == (2, 1)
    assert expected.prompt_tokens == 100 + 85 + 765
    assert expected.completion_tokens == 70


def test_the_tools_and_the_schema_of_a_line_are_counted(workshop):
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 4000}}]
    workshop.manifest([batch_line(tools=tools)])

    expected = vbatch.estimate(workshop.job("https://api.openai.com/v1"))

    assert 1000 <= expected.prompt_tokens - (100 + 85 + 765) <= 1030


def test_a_rehearsal_counts_a_line_in_batch_format_as_an_estimate_does(workshop):
    workshop.manifest([batch_line()])
    job = workshop.job("https://api.openai.com/v1", price={"input": 1, "output": 2})

    expected, report = vbatch.estimate(job), rehearsed(job)

    assert (report["images"], report["image_bytes"]) == (2, expected.image_bytes)
    assert report["tokens"] == expected.total_tokens + WRAPPING_TOKENS
    assert report["cost"] == pytest.approx(float(expected.cost) + WRAPPING_TOKENS / 1e6)


def test_a_rehearsal_takes_a_picture_that_nobody_can_read_for_one_of_usual_size(workshop):
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    workshop.manifest([batch_line(messages=[{"role": "user", "content": content}])])

    report = rehearsed(workshop.job("https://api.openai.com/v1"))

    assert (report["requests"], report["codes"]) == (1, {})
    assert report["tokens"] == 765 + 70 + WRAPPING_TOKENS


def rehearsed(job) -> dict:
    """What ``run --dry-run`` finds."""
    return api.rehearse(api.load(job)).as_json()


def test_rows_with_models_of_their_own_are_counted_and_paid_for_as_theirs(workshop):
    workshop.picture("one.jpg", "red", (1024, 1024))
    models = ("gpt-4o", "gpt-4o-mini")
    workshop.manifest(
        [{"id": m, "image": "one.jpg", "prompt": "?", "params": {"model": m}} for m in models]
    )
    expected = vbatch.estimate(
        workshop.job("https://api.openai.com/v1", request={"max_tokens": 100})
    )
    assert expected.prompt_tokens == 765 + 1 + 2833 + 4 * 5667 + 1
    cost = (766 * 2.5 + 100 * 10 + 25_502 * 0.15 + 100 * 0.6) / 1e6
    assert float(expected.cost) == pytest.approx(cost)
    assert expected.cost_at_most == expected.cost


def test_hours_follow_the_limits_that_are_set(workshop):
    workshop.rows(120)
    job = workshop.job("https://api.openai.com/v1", limits={"requests_per_minute": 2})
    assert vbatch.estimate(job).hours == pytest.approx(1)
    slower = vbatch.estimate(job, overrides=["limits.tokens_per_minute=600"], answer_tokens=345)
    assert slower.hours == pytest.approx(120 * (255 + 2 + 345) / 600 / 60, rel=0.01)
    assert "limits.tokens_per_minute" in " ".join(slower.assumptions)


def test_of_very_many_rows_a_sample_is_looked_at_and_the_error_is_told(workshop, monkeypatch):
    monkeypatch.setattr("vbatch.api.expected.ALL_ROWS", 300)
    for n, size in enumerate(SIZES):
        workshop.picture(f"{n}.jpg", "red", size)
    rows = [{"id": n, "image": f"{n % 7}.jpg", "prompt": "What?"} for n in range(3000)]
    workshop.manifest(rows)
    job = workshop.job("https://api.openai.com/v1")
    sampled = vbatch.estimate(job)
    monkeypatch.setattr("vbatch.api.expected.ALL_ROWS", 3000)
    whole = vbatch.estimate(job)

    assert 200 < sampled.looked_at < 400
    assert whole.looked_at == sampled.requests == 3000
    assert 0 < sampled.tokens_error < 0.1 * whole.total_tokens
    assert abs(sampled.total_tokens - whole.total_tokens) <= 1.5 * sampled.tokens_error
    assert f"± {sampled.tokens_error:,}" in "\n".join(sampled.lines())
    assert vbatch.estimate(job).looked_at == 3000


def test_the_verb_tells_people_and_machines(workshop):
    workshop.rows(3)
    job = workshop.job("https://api.openai.com/v1", request={"max_tokens": 10})

    def told(*words) -> str:
        command = [sys.executable, "-m", "vbatch", "estimate", str(job), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    lines = told()
    assert "3 rows, 0 done already" in lines
    assert "cost      about $" in lines
    assert "OpenAI's list price" in lines
    document = json.loads(told("--json"))
    assert (document["requests"], document["images"], document["model"]) == (3, 3, "gpt-4o")
    assert document["total_tokens"] == document["prompt_tokens"] + 30
    assert document["cost"] == pytest.approx((2.5 * document["prompt_tokens"] + 10 * 30) / 1e6)


def test_questions_that_are_asked_once_are_paid_for_once(workshop):
    workshop.picture("one.jpg")
    rows = [{"id": n, "image": "one.jpg", "prompt": f"about {n % 3}"} for n in range(12)]
    workshop.manifest(rows)
    job = workshop.job("https://api.openai.com/v1", request={"max_tokens": 5})
    job.write_text("dedupe = true\n" + job.read_text())

    expected = vbatch.estimate(job)

    assert expected.requests == 3
    assert expected.total_tokens == 3 * (255 + 2 + 5)
    assert any("9 rows ask what another asks" in text for text in expected.assumptions)
    assert vbatch.estimate(job, overrides=["dedupe=false"], fresh=True).requests == 12
