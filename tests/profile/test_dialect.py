import pytest

from vbatch.profile import ImageDialect


@pytest.mark.parametrize(
    ("limit", "count_bytes", "raw"),
    [
        (None, "encoded", None),
        (None, "decoded", None),
        (4_000_000, "encoded", 3_000_000),
        (4_000_003, "encoded", 3_000_000),
        (4_000_000, "decoded", 4_000_000),
        (1, "encoded", 1),
    ],
)
def test_byte_limits_are_reckoned_before_base64(limit, count_bytes, raw):
    dialect = ImageDialect(max_bytes=limit, max_request_bytes=limit, count_bytes=count_bytes)

    assert dialect.max_raw_bytes == raw
    assert dialect.max_raw_request_bytes == raw
