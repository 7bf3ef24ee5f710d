import math

import pytest

from vbatch.errors import JobError
from vbatch.server import ServerSettings


@pytest.mark.parametrize("seconds", [math.nan, -1.0, math.inf])
def test_an_answer_takes_a_time_that_can_be(seconds):
    with pytest.raises(JobError, match="latency"):
        ServerSettings(latency_s=seconds)


def test_a_folder_behind_urls_is_there(tmp_path):
    with pytest.raises(JobError, match="no folder"):
        ServerSettings(url_root=tmp_path / "nope")
    assert ServerSettings(url_root=tmp_path).url_root == tmp_path
