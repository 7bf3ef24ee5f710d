import pytest

from vbatch.errors import JobError
from vbatch.job import load_job

MINIMAL = """
manifest = "rows.jsonl"
[endpoint]
profile = "local"
"""


@pytest.fixture
def load(tmp_path):
    """Load a job from its text; the file is jobs/captions.toml in the working folder."""

    def load(text=MINIMAL, *overrides, env=None, **options):
        path = tmp_path / "jobs" / "captions.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return load_job(
            path.relative_to(tmp_path), overrides=overrides, env=env or {}, cwd=tmp_path, **options
        )

    return load


@pytest.fixture
def problems(load):
    """The problems that a job is refused for."""

    def problems(*args, **options):
        with pytest.raises(JobError) as caught:
            load(*args, **options)
        return caught.value.problems

    return problems
