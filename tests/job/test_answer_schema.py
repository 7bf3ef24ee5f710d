"""The schema that answers follow is read with the job, and refused before anything is sent."""

from __future__ import annotations

import json
import os

import pytest

from vbatch.errors import JobError

JOB = 'manifest = "m"\nendpoint.profile = "local"\nrequest.response_schema = "answer.json"\n'


@pytest.fixture
def written(load, tmp_path):
    """Load a job whose schema file holds this."""

    def of(schema, job=JOB):
        text = schema if isinstance(schema, str) else json.dumps(schema)
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / "jobs" / "answer.json").write_text(text)
        return load(job)

    return of


def test_the_schema_stands_in_the_job_and_in_what_it_asks(written):
    schema = {"type": "object"}
    job = written(schema)

    assert job.request.response_schema == schema
    assert job.question()["request.response_schema"] == schema
    assert job.digest != written({"type": "array"}).digest


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("{", "no JSON"),
        ("[]", "holds an object"),
        ({"type": "thing"}, "valid JSON Schema; at $.type"),
        ({"$ref": "https://example.com/s.json"}, "stands alone"),
        ({"$ref": "#/$defs/gone"}, "leads nowhere"),
        ({"items": {"$ref": 5}}, "stands alone"),
        ({"items": {"$ref": "#thing"}}, "refers to places"),
        ({"$ref": "#/enum", "enum": [1]}, "leads nowhere"),
        ({"items": {"$dynamicRef": "#meta"}}, "instead of $dynamicRef"),
        ({"items": {"$id": "https://example.com/inner"}}, "without an $id within"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_place(written, schema, says):
    with pytest.raises(JobError) as caught:
        written(schema)

    assert "request.response_schema" in caught.value.message
    assert says in caught.value.message


def test_a_schema_file_that_is_not_there_is_named(load):
    with pytest.raises(JobError, match=r"answer\.json.*No such file"):
        load(JOB)


def test_a_property_may_have_any_name_and_a_value_any_form(written):
    schema = {"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": 5}]}

    assert written(schema).request.response_schema == schema


def test_a_place_may_have_a_name_that_is_spelt_with_percent_signs(written):
    schema = {"$defs": {"one thing": {"type": "string"}}, "$ref": "#/$defs/one%20thing"}

    assert written(schema).request.response_schema == schema


def test_what_is_no_regular_file_is_not_waited_for(load, tmp_path):
    (tmp_path / "jobs").mkdir()
    os.mkfifo(tmp_path / "jobs" / "answer.json")

    with pytest.raises(JobError, match="no regular file"):
        load(JOB)


def test_a_response_format_of_ones_own_beside_it_is_said_twice(written):
    job = JOB + 'request.extra.response_format = {type = "json_object"}\n'

    with pytest.raises(JobError, match="said twice"):
        written({}, job)
