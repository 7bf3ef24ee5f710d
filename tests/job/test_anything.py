"""Whatever stands in a job file, it is a job or a JobError."""

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vbatch.errors import JobError
from vbatch.job import load_job
from vbatch.job.tables import JobFile
from vbatch.profile import toml

SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["${A}", "${A:-b}", "local", "flexai", "auto", "30m", "a.jsonl", "s3://b"])
)
TABLES = {
    name: getattr(field.annotation, "model_fields", {})
    for name, field in JobFile.model_fields.items()
}
KEYS = st.sampled_from(
    ["cache", "report", "stream", "on_invalid", "nonsense", *TABLES, *chain(*TABLES.values())]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def toml_of(value):
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, dict):
        pairs = (f"{toml_of(key)} = {toml_of(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, str):
        return toml.write(value)
    return repr(value).lower() if isinstance(value, int | float) else str(value)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    tree=st.dictionaries(KEYS, VALUES, max_size=8),
    overrides=st.lists(
        st.tuples(st.lists(KEYS, min_size=1, max_size=3), VALUES | st.text(max_size=6)), max_size=3
    ),
)
def test_whatever_a_job_says_it_is_a_job_or_a_job_error(tmp_path, tree, overrides):
    text = "".join(f"{key} = {toml_of(value)}\n" for key, value in tree.items())
    said = [f"{'.'.join(keys)}={toml_of(value)}" for keys, value in overrides]
    where = tmp_path / "a.toml"
    try:
        told = [load_job(where, text=text, overrides=said, env={"A": "x"}, cwd=tmp_path).digest]
    except JobError as error:
        told = error.problems

    assert all(told)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60), override=st.text(max_size=20))
def test_whatever_is_written_it_is_a_job_or_a_job_error(text, override):
    with pytest.raises(JobError):
        load_job(Path("/a.toml"), text=text, overrides=[override], env={}, cwd=Path("/"))
