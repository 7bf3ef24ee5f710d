"""What a job's settings become in the rooms that work with them."""

import resource

import pytest

from vbatch.api.wiring import AUTO_IN_FLIGHT, OPEN_FILES_SHARE, slots_of
from vbatch.job import load_job


@pytest.fixture
def slots(tmp_path):
    """``slots("deepinfra", "limits.max_in_flight=9")``: requests at once for such a job."""
    (tmp_path / "rows.jsonl").write_text("")

    def found(profile, *overrides):
        flags = {"manifest": "rows.jsonl", "profile": profile, "model": "m"}
        return slots_of(load_job(None, flags=flags, overrides=overrides, env={}, cwd=tmp_path))

    return found


@pytest.fixture
def _many_files(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100_000, 100_000))


@pytest.mark.usefixtures("_many_files")
def test_no_more_are_in_flight_than_the_gateway_takes_unless_a_number_is_given(slots):
    assert slots("openai") == AUTO_IN_FLIGHT
    assert slots("deepinfra") == 200
    assert slots("deepinfra", "limits.max_in_flight=240") == 240


def test_no_more_are_in_flight_than_files_can_be_open(slots, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))

    assert slots("deepinfra") == int(OPEN_FILES_SHARE * 100)
