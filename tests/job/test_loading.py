"""A job from file, command line and environment, and how it is refused."""

import os
from pathlib import Path

import pytest

from vbatch.errors import JobError
from vbatch.job import load_job
from vbatch.job.tables import Images, JobFile
from vbatch.profile import builtin_names, load_profile

MINIMAL = 'manifest = "rows.jsonl"\nendpoint.profile = "local"\n'
VISION = """
manifest = "rows.jsonl"
[endpoint]
profile = "vision"
base_url = "https://host/v1"
model = "gpt-4o"
"""
DURATION = (
    'a duration like "250ms", "60s", "30m", "2h" or a number of seconds, from 0, at most 365 days'
)


def test_a_file_of_two_lines_is_a_job(load, tmp_path):
    job = load(MINIMAL)

    assert job.name == "captions"
    assert job.manifest == (f"{tmp_path}/jobs/rows.jsonl",)
    assert job.output == f"{tmp_path}/jobs/runs/captions"
    assert job.model == "pixels"
    assert job.base == tmp_path / "jobs"
    assert job.source_text == MINIMAL
    assert job.overrides == ()


def test_a_job_without_a_file_is_made_of_flags(tmp_path):
    flags = {"manifest": "rows.jsonl.gz", "profile": "local", "prompt": "What?", "model": None}

    job = load_job(None, flags=flags, env={}, cwd=tmp_path)

    assert job.name == "rows"
    assert job.manifest == (f"{tmp_path}/rows.jsonl.gz",)
    assert job.output == f"{tmp_path}/runs/rows"
    assert job.request.prompt == "What?"


def test_flags_are_literal_since_the_shell_has_had_its_say(load, tmp_path):
    flags = {"manifest": ["a.jsonl", "b.jsonl"], "profile": "local", "prompt": "Is ${A} or $5?\x7f"}
    without_file = load_job(None, flags=flags, env={}, cwd=tmp_path)
    with_file = load(MINIMAL, flags={"prompt": "Is ${A} or $5?\x7f"})

    assert without_file.request.prompt == with_file.request.prompt == "Is ${A} or $5?\x7f"
    assert without_file.name == "vbatch"


def test_the_command_line_covers_the_file_which_covers_the_profile(load):
    written = VISION + "[request]\nmax_tokens = 1\n[request.extra]\nseed = 1\ntop_p = 0.5\n"

    job = load(
        written,
        "request.max_tokens=2",
        "request.extra.seed=2",
        'endpoint.model="gpt-4o-mini"',
        flags={"model": "gpt-5", "output": None},
    )

    assert job.request.max_tokens == 2
    assert job.request.extra == {"seed": 2, "top_p": 0.5}
    assert job.model == "gpt-5"
    assert job.endpoint.api_key_env == "VISION_API_KEY"


def test_what_the_profile_says_of_images_stands_in_the_job_unless_it_says_otherwise(load, tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "mine.toml").write_text(
        'base_url = "http://h/v1"\nmodel = "m"\n[images]\nmax_side = 800\nmax_bytes = "4MB"\n'
    )
    written = 'manifest = "m"\n[endpoint]\nprofile = "./mine.toml"\n'

    assert load(written).images.max_bytes == 3_000_000
    assert load(written).images.max_side == 800
    assert load(written, "images.max_bytes=10", "images.max_side=9000").images.max_bytes == 10


def test_every_problem_is_said_at_once_with_file_key_found_and_allowed(problems):
    written = """
model = "gpt-4o"
[endpoint]
profile = "opnai"
[images]
quality = 120
max_sid = 100
[limits]
max_in_flight = "many"
"""

    found = problems(written, "retry.max_wait=soon")

    file = "jobs/captions.toml: "
    assert [line.partition("; allowed")[0] for line in found] == [
        f'{file}endpoint.profile: no profile is called "opnai" - did you mean "openai"?',
        f"{file}images.quality: found 120",
        f'{file}images.max_sid: unknown key - did you mean "max_side"?',
        f'{file}limits.max_in_flight: found "many"',
        '-s: retry.max_wait: found "soon"',
        f"{file}manifest: required, but not set",
        f'{file}model: unknown key - did you mean "endpoint.model"?',
    ]
    assert [line.partition("; allowed")[2] for line in found] == [
        f': {", ".join(builtin_names())}, or a path to a profile file like "./mine.toml"',
        ": a whole number from 1 to 100",
        f" in [images]: {', '.join(Images.model_fields)}",
        ': "auto", or a whole number from 1 to 65536',
        f": {DURATION}",
        ": a path, a glob, a folder of images, or a list of them",
        f" at the top of the file: {', '.join(JobFile.model_fields)}",
    ]


def test_several_problems_make_a_message_of_as_many_lines(load):
    with pytest.raises(JobError) as caught:
        load("manifest = 1\nendpoint = 2")

    assert caught.value.message == "\n  ".join(["2 problems:", *caught.value.problems])


def test_a_profile_left_out_is_one_problem(problems):
    (problem,) = problems('manifest = "m"')

    assert problem.startswith(
        "jobs/captions.toml: endpoint.profile: required, but not set; allowed"
    )


def test_without_a_file_the_command_line_is_named(tmp_path):
    with pytest.raises(JobError, match=r"^command line: manifest: required"):
        load_job(None, flags={"profile": "local"}, env={}, cwd=tmp_path)


def test_a_flag_is_named_when_its_value_is_wrong(problems):
    assert problems(MINIMAL, flags={"prompt": " "}) == (
        '--prompt: request.prompt: found " "; allowed: text in quotes, not blank',
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb = [1,,2]\n", "2: not TOML: Invalid value (column 8)"),
        ("a = 1\nb = [1,", "2: not TOML: Invalid value (at end of document)"),
        (f"a = {'9' * 5000}", " not TOML: Exceeds the limit"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(problems, text, told):
    (problem,) = problems(text)

    assert problem.startswith(f"jobs/captions.toml:{told}")


@pytest.mark.parametrize(
    "text", [f"a = {'[' * 5000}", f"{'.'.join('a' * 2000)} = 1"], ids=["lists", "tables"]
)
def test_a_file_nested_beyond_all_sense_is_refused(problems, text):
    assert problems(text) == ("jobs/captions.toml: nested too deeply",)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(JobError, match=r"^none\.toml: cannot read this job file: No such file"):
        load_job(Path("none.toml"), env={}, cwd=tmp_path)


def test_what_is_no_file_to_read_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(JobError, match="cannot read this job file: it is no regular file"):
        load_job(Path("pipe.toml"), env={}, cwd=tmp_path)
    with pytest.raises(JobError, match="cannot read this job file: it is no regular file"):
        load_job(Path("/dev/zero"), env={}, cwd=tmp_path)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "job.toml").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(JobError, match="cannot read this job file: it is over 4 MiB"):
        load_job(Path("job.toml"), env={}, cwd=tmp_path)


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path):
    (tmp_path / "job.toml").write_bytes(b'manifest = "a"\nname = "\xe9"\n')

    with pytest.raises(JobError, match=r"^job\.toml:2: a job file is UTF-8 text"):
        load_job(Path("job.toml"), env={}, cwd=tmp_path)


def test_a_byte_order_mark_is_no_matter(tmp_path):
    (tmp_path / "job.toml").write_text(MINIMAL, encoding="utf-8-sig")

    assert load_job(Path("job.toml"), env={}, cwd=tmp_path).model == "pixels"


def test_a_file_whose_stem_can_name_no_folder_must_say_its_name(tmp_path):
    (tmp_path / "a .toml").write_text(MINIMAL)

    with pytest.raises(JobError, match=r'name: required, as no folder can be called "a "'):
        load_job(Path("a .toml"), env={}, cwd=tmp_path)
    assert load_job(Path("a .toml"), overrides=["name=a"], env={}, cwd=tmp_path).name == "a"


def test_a_kept_job_is_the_same_job_wherever_it_goes_on(load, tmp_path):
    written = 'manifest = "${ROWS}"\nimages.root = ["pictures"]\nendpoint.profile = "local"\n'
    env = {"ROWS": "rows.jsonl"}
    first = load(written, "output=out", "images.root=../shared", env=env, flags={"prompt": "$5?"})
    (tmp_path / "jobs" / "captions.toml").unlink()

    again = load_job(
        tmp_path / "jobs" / "captions.toml",
        text=first.source_text,
        overrides=first.overrides,
        env=env,
        cwd=Path("/"),
    )

    assert again == first
    assert again.output == f"{tmp_path}/out"


def test_a_kept_job_without_a_file_is_the_same_job_too(tmp_path):
    flags = {"manifest": "rows.jsonl", "profile": "local", "prompt": "${5}"}
    first = load_job(None, flags=flags, env={}, cwd=tmp_path)

    again = load_job(None, text=first.source_text, overrides=first.overrides, env={}, cwd=tmp_path)

    assert again == first


def test_a_kept_profile_stands_for_the_built_in_one_of_its_name_only(load):
    kept = load_profile("flexai", Path()).model_copy(update={"base_url": "https://old/v1"})
    written = 'manifest = "m"\nendpoint.profile = "flexai"\n'

    assert load(written, kept_profile=kept).base_url == "https://old/v1"
    assert load(MINIMAL, kept_profile=kept).profile.name == "local"


def test_a_profile_file_of_the_command_line_lies_in_the_working_folder(load, tmp_path):
    (tmp_path / "mine.toml").write_text('base_url = "http://h/v1"\nmodel = "m"\n')

    job = load('manifest = "m"', flags={"profile": "mine.toml"})

    assert job.profile.name == "mine"
    assert job.endpoint.profile == f"{tmp_path}/mine.toml"


def test_problems_of_a_profile_file_are_listed_with_the_others(problems, tmp_path):
    (tmp_path / "mine.toml").write_text("base_url = 5\nauth_header = ''\n")

    found = problems('manifest = "m"\nmodel = 1', flags={"profile": "mine.toml"})

    assert [": ".join(one.split(": ")[:2]) for one in found] == [
        f"{tmp_path}/mine.toml: base_url",
        f"{tmp_path}/mine.toml: auth_header",
        "jobs/captions.toml: model",
    ]


def test_the_path_of_requests_is_taken_off_a_base_url(load):
    job = load(MINIMAL, "endpoint.base_url=http://host/v1/chat/completions/")

    assert job.base_url == "http://host/v1"


def test_a_run_that_lies_somewhere_is_not_looked_for_in_the_environment(load, tmp_path):
    written = 'manifest = "rows.jsonl"\noutput = "${GONE}"\nendpoint.profile = "local"\n'

    job = load(written, "output=${GONE}", output=tmp_path / "a${b}$$c")

    assert job.output == f"{tmp_path}/a${{b}}$$c"
