"""A row that fails every night is not paid for every night."""

from __future__ import annotations

import itertools

import pytest

import vbatch
from vbatch.server import parse_faults


@pytest.mark.parametrize(
    ("fault", "nights"),
    [
        pytest.param("500:1", 5, id="five nights of server errors"),
        pytest.param("504:1", 3, id="more than twice what one night may cost"),
    ],
)
def test_a_row_that_fails_every_night_is_left_in_the_end(endpoint, workshop, fault, nights):
    server = endpoint(dialect="openai", faults=parse_faults(fault))
    workshop.rows(1)
    job = workshop.job(server.base_url, retry={"max_wait": "10ms"})
    asked = [0]
    for _ in range(nights + 2):
        vbatch.run(job)
        asked.append(server.sums["requests"])

    in_each = [after - before for before, after in itertools.pairwise(asked)]
    assert all(in_each[:nights])
    assert in_each[nights:] == [0, 0]
    failure = vbatch.open_run(workshop.folder / "run").failures().to_pylist()[0]
    assert not failure["retryable"]
