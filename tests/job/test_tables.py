"""Every key of the job file: what it takes, what it refuses, what is not built yet."""

from decimal import Decimal

import pytest

from vbatch.job.tables import JobFile

MINIMAL = """
manifest = "rows.jsonl"
[endpoint]
profile = "local"
"""
BUILT = {
    "name": ('"captions"', "captions"),
    "columns.id": ('"file"', "file"),
    "columns.image": ('"photo"', "photo"),
    "columns.images": ('"photos"', "photos"),
    "columns.prompt": ("false", False),
    "columns.system": ('"tone"', "tone"),
    "columns.params": ("false", False),
    "endpoint.profile": ('"local"', "local"),
    "endpoint.base_url": ('"http://127.0.0.1:8080/v1/"', "http://127.0.0.1:8080/v1"),
    "endpoint.api_key_env": ('"MY_KEY"', "MY_KEY"),
    "endpoint.model": ('"gpt-4o"', "gpt-4o"),
    "endpoint.headers": ('{X-Team = "vision"}', {"X-Team": "vision"}),
    "endpoint.proxy": ('"env"', "env"),
    "endpoint.keep_alive": ("false", False),
    "request.prompt": ('"What is {{ this }}?"', "What is {{ this }}?"),
    "request.system": ('"Be brief."', "Be brief."),
    "request.max_tokens": ("300", 300),
    "request.temperature": ("0", 0.0),
    "request.detail": ('"low"', "low"),
    "request.stream": ("true", True),
    "request.raw": ("true", True),
    "request.tools": (
        '[{type = "function", function = {name = "look", parameters = {}}}]',
        [{"type": "function", "function": {"name": "look", "parameters": {}}}],
    ),
    "request.extra": ("{seed = 7, stop = ['.']}", {"seed": 7, "stop": ["."]}),
    "images.root": ('["/a", "/b"]', ("/a", "/b")),
    "images.send": ('"url"', "url"),
    "images.max_side": ("1568", 1568),
    "images.max_bytes": ('"20MB"', 20_000_000),
    "images.format": ('"webp"', "webp"),
    "images.quality": ("100", 100),
    "images.metadata": ('"keep"', "keep"),
    "images.allow_private_urls": ("true", True),
    "limits.requests_per_minute": ("600", 600.0),
    "limits.tokens_per_minute": ("0.5", 0.5),
    "limits.max_in_flight": ("64", 64),
    "limits.max_bytes_in_flight": ('"4MiB"', 4_194_304),
    "limits.max_tokens_total": ("1_000_000", 1_000_000),
    "limits.max_duration": ('"5h"', 18_000.0),
    "limits.max_failure_rate": ("1", 1.0),
    "limits.max_cost": ("0.15", Decimal("0.15")),
    "limits.max_cost_total": ("5", Decimal(5)),
    "retry.max_attempts": ("1", 1),
    "retry.max_ambiguous": ("0", 0),
    "retry.on_invalid": ("3", 3),
    "retry.max_wait": ('"250ms"', 0.25),
    "retry.max_outage": ('"1h30m"', 5400.0),
    "retry.timeout": ("45.5", 45.5),
    "retry.drain": ("0", 0.0),
    "cache.path": ('"/var/answers.sqlite"', "/var/answers.sqlite"),
    "dedupe": ("true", True),
    "price.input": ("0.15", Decimal("0.15")),
    "price.output": ("1", Decimal(1)),
}
UNBUILT = {
    "endpoint.transport": '"http2"',
    "engine": '"ray"',
    "report": "{}",
}
BUDGETS = ("limits.max_cost", "limits.max_cost_total")
IMPOSSIBLE = {
    "name": ['"a/b"', '".."', '" a"', '""', "5", '"a\\nb"', f'"{"n" * 201}"'],
    "manifest": ['""', "[]", "[1]", "5", "{}", '"a\\u0000b"'],
    "output": ['" "', "true", '["a"]'],
    "columns": ["5", '"id"', "[]"],
    "columns.id": ["false", '""'],
    "columns.prompt": ["true", "0", '" "'],
    "endpoint.profile": ["5", '""', '" local"'],
    "endpoint.base_url": [
        '"localhost:8080"',
        '"ftp://host/v1"',
        '"https://"',
        '"https://host/v1?key=1"',
        '"https://host/v1#top"',
        '"https://host:99999/v1"',
        '"https://host:0/v1"',
        '"https://ho st/v1"',
        '"https://[::1/v1"',
        "8080",
    ],
    "endpoint.model": ['""', "4", '"a\\nb"'],
    "endpoint.keep_alive": ["1", '"true"'],
    "endpoint.headers": ["[]", '"X: y"'],
    "request.prompt": ['""', '" \\n"', "5"],
    "request.system": ["true"],
    "request.max_tokens": ["0", "1.0", '"300"', "true"],
    "request.temperature": ["2.1", "-0.1", "nan", "inf", '"0.5"', "true"],
    "request.detail": ['"max"', "1"],
    "request.response_schema": ['""', "5", "[]", '"gone.json"'],
    "request.tools": ["[]", '"look"', "[{}]", '[{type = "function"}]', "[{type = 5}]"],
    "request.tool_choice": ['"maybe"', "5", "[]"],
    "request.stream": ["1"],
    "request.raw": ["0"],
    "cache.path": ["5", '" "'],
    "dedupe": ["1"],
    "request.extra": [
        '"seed"',
        "{when = 2024-01-01}",
        "{a = nan}",
        "{a = -inf}",
        "{a = 9223372036854775808}",
        f"{{a = {'[' * 40}{']' * 40}}}",
    ],
    "images.root": ["5", '[""]', '"s3://bucket"'],
    "images.send": ['"both"'],
    "images.max_side": ["0"],
    "images.max_bytes": ['"20"', '"20M"', '"MB"', "0", "1.5", '"0.1B"', "inf"],
    "images.format": ['"gif"', '"jpg"'],
    "images.quality": ["0", "101"],
    "images.metadata": ["false"],
    "images.allow_private_urls": ['"no"'],
    "limits.requests_per_minute": ["0", "-1", "nan", "inf"],
    "limits.max_in_flight": ["0", '"many"', "true", "65537", "1.5"],
    "limits.max_tokens_total": ["0", "1.5"],
    "limits.max_duration": ["0", '"3 hours"', '""', '"5 m"', '"400d"', "-1", "nan", "2024-01-01"],
    "limits.max_failure_rate": ["-0.1", "1.1"],
    "retry.max_attempts": ["0", "1001", f"0x{'f' * 5000}"],
    "retry.max_ambiguous": ["-1"],
    "retry.timeout": ["0", '"0s"', '"1e3s"'],
    "limits.max_cost": ["0", "-1", "inf", "nan", '"5"', '"$5"', "true"],
    "limits.max_cost_total": ["0", "-1"],
    "price.input": ["-0.1", "inf", "nan", '"free"', f"0x{'f' * 5000}"],
}


def value_at(job, key):
    for part in key.split("."):
        job = getattr(job, part)
    return job


@pytest.mark.parametrize(("key", "written", "read"), [(k, *v) for k, v in BUILT.items()])
def test_a_built_key_is_read(load, key, written, read):
    prices = ("price.input=1", "price.output=1") if key in BUDGETS else ()
    job = load(MINIMAL, f"{key}={written}", *prices)

    assert value_at(job, key) == read
    assert type(value_at(job, key)) is type(read)


def test_what_is_found_by_itself_can_be_asked_for_by_name(load):
    assert load(MINIMAL, "limits.max_in_flight=auto").limits.max_in_flight == "auto"


@pytest.mark.parametrize(("key", "written"), UNBUILT.items())
def test_a_key_that_is_not_built_is_refused_and_said_so(problems, key, written):
    (problem,) = problems(MINIMAL, f"{key}={written}")

    assert problem.startswith(f"-s: {key}: ")
    assert "not built yet" in problem


@pytest.mark.parametrize("place", ["manifest", "output"])
@pytest.mark.parametrize("scheme", ["s3", "gs", "hf", "https", "http", "file"])
def test_what_is_not_on_a_local_disk_is_not_built_yet(problems, place, scheme):
    (problem,) = problems(MINIMAL, f"{place}={scheme}://bucket/rows.jsonl")

    assert problem == (
        f'-s: {place}: found "{scheme}://bucket/rows.jsonl"; allowed: a local path; {scheme}:// is '
        "not built yet in this version of vbatch"
    )


@pytest.mark.parametrize(
    ("key", "written"), [(key, one) for key, several in IMPOSSIBLE.items() for one in several]
)
def test_an_impossible_value_is_refused_by_key_and_by_what_is_allowed(problems, key, written):
    (problem,) = problems(MINIMAL, f"{key}={written}")

    assert problem.startswith(f"-s: {key}: ")
    assert "allowed: " in problem


_PLAIN = {"name", "manifest", "output", "dedupe"}


def test_every_key_of_the_tables_is_tried_here():
    tried = {key.split(".")[0] if "." not in key else key for key in (*BUILT, *IMPOSSIBLE)}
    tables = {name for name in JobFile.model_fields if name not in _PLAIN}
    known = {
        f"{table}.{key}"
        for table in tables
        for key in JobFile.model_fields[table].annotation.model_fields
    } | _PLAIN

    assert tried - {"columns"} == known


def test_the_defaults_are_those_of_the_guide(load):
    job = load(MINIMAL)

    assert job.images.model_dump() == {
        "root": (),
        "send": "auto",
        "max_side": None,
        "max_bytes": None,
        "format": "auto",
        "quality": 85,
        "metadata": "strip",
        "allow_private_urls": False,
    }
    assert job.limits.model_dump() == {
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "max_in_flight": "auto",
        "max_bytes_in_flight": 512_000_000,
        "max_cost": None,
        "max_cost_total": None,
        "max_tokens_total": None,
        "max_duration": None,
        "max_failure_rate": 0.5,
    }
    assert job.retry.model_dump() == {
        "max_attempts": 6,
        "max_ambiguous": 2,
        "on_invalid": 1,
        "max_wait": 60.0,
        "max_outage": 1800.0,
        "timeout": 300.0,
        "drain": 25.0,
    }
    assert job.request.model_dump(exclude_none=True) == {"extra": {}, "stream": False, "raw": False}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ('{"X Team" = "a"}', "'X Team' is not"),
        ('{X-Token = "hidden\\nvalue"}', "that of X-Token is not"),
        ("{X-Token = 5}", "that of X-Token is not"),
        ('{X-Token = "hidden "}', "that of X-Token is not"),
        ('{X-Token = "hiddén"}', "that of X-Token is not"),
        ('{X-Token = "hidden", x-token = "hidden"}', "each header once"),
    ],
)
def test_a_header_is_refused_without_showing_its_value(problems, headers, told):
    (problem,) = problems(MINIMAL, f"endpoint.headers={headers}")

    assert told in problem
    assert "hidd" not in problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("endpoint.api_key_env", "sk-hidden"),
        ("endpoint.proxy", "proxy:hidden@host"),
        ("endpoint.base_url", "https://me:hidden@host/v1"),
    ],
)
def test_what_may_be_a_secret_is_refused_unseen(problems, key, value):
    (problem,) = problems(MINIMAL, f"{key}={value}")

    assert problem.startswith(f"-s: {key}: allowed: ")
    assert "hidden" not in problem
