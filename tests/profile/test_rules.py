"""Durations, sizes and addresses; what the tables take is tried in tests/job/test_tables.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vbatch.profile.rules import HttpUrl, Money, Seconds, Size, SomeSeconds, Table, is_http_url

ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.lists(st.text(max_size=2), max_size=2)
    | st.binary(max_size=3)
)


class Sample(Table):
    wait: Seconds = 0.0
    some: SomeSeconds = 1.0
    size: Size = 1
    url: HttpUrl = "http://host"
    money: Money = 0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("250ms", 0.25),
        ("60s", 60),
        ("1.5m", 90),
        ("2h", 7200),
        ("1d", 86_400),
        ("1h30m", 5400),
        (" 5s ", 5),
        (0, 0),
        (2.5, 2.5),
        (365 * 86_400, 365 * 86_400),
    ],
)
def test_durations_are_read_as_seconds(written, seconds):
    assert Sample(wait=written).wait == seconds


@pytest.mark.parametrize(
    "written", ["5", "s", "5 s", "-5s", "5S", "5sec", "5s,", "\u0665s", True, None]
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValidationError):
        Sample(wait=written)


def test_a_duration_that_must_be_some_is_not_none_at_all():
    assert Sample(some=0.001).some == 0.001
    with pytest.raises(ValidationError, match="above 0"):
        Sample(some="0s")


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("20MB", 20_000_000),
        ("20 mb", 20_000_000),
        ("1.5KB", 1500),
        ("4MiB", 4_194_304),
        ("1GiB", 1 << 30),
        ("1TB", 10**12),
        ("7B", 7),
        (7, 7),
        (2e6, 2_000_000),
    ],
)
def test_sizes_are_read_as_bytes(written, size):
    assert Sample(size=written).size == size


@pytest.mark.parametrize(
    ("value", "whether"),
    [
        ("http://127.0.0.1:8080", True),
        ("https://[::1]:8080/v1", True),
        ("HTTPS://host", True),
        ("https://host\\evil", False),
        ("https://hóst", False),
        ("https://:80", False),
        ("https://host:port", False),
        ("http://me:word@[::1]:80", True),
        ("//host", False),
        (None, False),
        (f"http://{'a' * 63}.example", True),
        (f"http://{'a' * 64}.example", False),
        ("http://a..b", False),
        ("http://.a", False),
        ("http://xn--a", False),
        ("http://xn--bcher-kva.example", True),
        ("http://a[::1]", False),
        ("http://[::1]a", False),
        ("http://[::1]@[host", False),
    ],
)
def test_an_address_has_a_scheme_a_host_and_a_port_that_can_be(value, whether):
    assert is_http_url(value) is whether


def test_an_at_sign_in_a_path_is_no_password():
    assert Sample(url="https://host/@team/v1/").url == "https://host/@team/v1"


@given(value=ANYTHING, field=st.sampled_from(sorted(Sample.model_fields)))
def test_whatever_is_found_it_is_taken_or_refused(value, field):
    try:
        taken = getattr(Sample.model_validate({field: value}), field) is not None
    except ValidationError as error:
        taken = {one["type"] for one in error.errors()} <= {"allowed", "private"}

    assert taken
