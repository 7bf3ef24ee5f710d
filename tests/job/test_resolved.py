from pathlib import Path

import pytest

from vbatch.errors import JobError
from vbatch.records import ImageLimits

FLEXAI = 'manifest = "m"\nendpoint.profile = "flexai"\n'
LOCAL = 'manifest = "m"\nendpoint.profile = "local"\n'


def test_the_limits_of_images_are_the_profiles_under_the_jobs(load):
    job = load(FLEXAI, "images.max_side=800", "images.quality=70", "images.metadata=keep")

    assert job.image_limits() == ImageLimits(
        formats=frozenset({"jpeg", "png", "webp", "gif"}),
        animated=False,
        max_side=800,
        max_bytes=None,
        format="auto",
        quality=70,
        strip=False,
    )
    assert load(LOCAL).image_limits().strip
    assert load(LOCAL).image_limits().animated


def test_the_roots_of_images_are_the_jobs_or_the_default(load, tmp_path):
    assert load(FLEXAI).roots(Path("/rows")) == (Path("/rows"),)
    assert load(FLEXAI, "images.root=['/a', 'b']").roots(Path("/rows")) == (
        Path("/a"),
        tmp_path / "b",
    )


def test_the_built_in_endpoint_has_no_address_before_it_has_started(load):
    job = load(LOCAL)

    assert job.starts_endpoint
    with pytest.raises(JobError, match="has not been started"):
        _ = job.base_url


def test_a_job_can_be_pointed_at_an_endpoint_that_has_started(load):
    job = load(LOCAL)
    there = job.at("http://127.0.0.1:9/v1")

    assert there.base_url == "http://127.0.0.1:9/v1"
    assert not there.starts_endpoint
    assert there.digest == job.digest


def test_the_built_in_endpoint_is_not_started_where_one_is_named(load):
    assert not load(LOCAL, "endpoint.base_url=http://127.0.0.1:9/v1").starts_endpoint
    assert not load(FLEXAI).starts_endpoint
