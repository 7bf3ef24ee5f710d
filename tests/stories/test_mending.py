"""What the endpoint refuses for a reason that can be mended is mended once, and remembered."""

from __future__ import annotations

import vbatch


def results(workshop):
    return vbatch.open_run(workshop.folder / "run").results().to_pylist()


def failures(workshop):
    return vbatch.open_run(workshop.folder / "run").failures().to_pylist()


def test_images_too_large_for_the_endpoint_are_shrunk_and_later_ones_before_they_are_sent(
    endpoint, workshop
):
    server = endpoint(dialect="infinityblue", max_side=100)
    workshop.picture("big.png", "red", (150, 120), "PNG")
    workshop.manifest([{"id": str(n), "image": "big.png", "prompt": f"row {n}"} for n in range(6)])
    job = workshop.job(
        server.base_url,
        profile="infinityblue",
        endpoint={"model": "gpt-5.4"},
        limits={"max_in_flight": 1},
    )

    summary = vbatch.run(job)

    assert (summary.exit_code, summary.answered) == (0, 6)
    assert all("75x60" in row["text"] for row in results(workshop))
    assert server.sums["by_status"] == {"400": 1, "200": 6}


def test_an_image_that_stays_too_large_fails_its_row(endpoint, workshop):
    server = endpoint(dialect="infinityblue", max_side=10)
    workshop.picture("big.png", "red", (150, 120), "PNG")
    workshop.manifest([{"id": "a", "image": "big.png", "prompt": "hello"}])
    job = workshop.job(server.base_url, profile="infinityblue", endpoint={"model": "gpt-5.4"})

    assert vbatch.run(job).exit_code == 3

    (row,) = failures(workshop)
    assert (row["code"], row["attempts"], row["retryable"]) == ("request_too_large", 2, False)


def test_the_name_of_the_token_cap_is_switched_once_for_the_run(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(8)
    job = workshop.job(
        server.base_url,
        endpoint={"model": "o4-mini"},
        request={"max_tokens": 200},
        limits={"max_in_flight": 1},
    )

    assert vbatch.run(job).answered == 8

    assert server.sums["by_status"] == {"400": 1, "200": 8}


def test_a_url_that_neither_the_endpoint_nor_we_can_fetch_is_unreachable(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "https://nowhere.invalid/a.png", "prompt": "hello"}])

    assert vbatch.run(workshop.job(server.base_url)).exit_code == 3

    (row,) = failures(workshop)
    assert (row["code"], row["retryable"]) == ("image_unreachable", True)
    assert row["image"] == "https://nowhere.invalid/a.png"


def test_a_url_is_never_fetched_by_us_when_the_job_says_url(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "https://nowhere.invalid/a.png", "prompt": "hello"}])
    job = workshop.job(server.base_url, images={"send": "url"})

    assert vbatch.run(job).exit_code == 3

    (row,) = failures(workshop)
    assert (row["code"], row["stage"]) == ("image_unreachable", "request")
    assert server.sums["requests"] == 1


def test_one_detail_for_all_images_is_the_highest_and_is_said(endpoint, workshop):
    server = endpoint(dialect="vision")
    workshop.picture("a.png", "red", (9, 9), "PNG")
    images = [{"path": "a.png", "detail": "low"}, {"path": "a.png", "detail": "high"}]
    workshop.manifest([{"id": "a", "images": images, "prompt": "hello"}])

    summary = vbatch.run(workshop.job(server.base_url, profile="vision"))

    assert summary.exit_code == 0
    assert "the highest was sent for all" in summary.line()
