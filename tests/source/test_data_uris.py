import base64
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.source.drawing import outcome
from vbatch.errors import ImageError
from vbatch.source.data_uris import decode, size

BODY = bytes(range(256)) + b"?>"
PLAIN = base64.b64encode(BODY).decode()


@pytest.mark.parametrize(
    "uri",
    [
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/png;charset=x;BASE64,{PLAIN}",
        f"data:;base64,{PLAIN}",
        f"data:image/png;base64 ,{PLAIN}",
        f"data:image/png;base64,{PLAIN.rstrip('=')}",
        f"data:image/png;base64,{PLAIN[:76]}\r\n{PLAIN[76:]}\n",
        f"data:image/png;base64,{PLAIN.replace('+', '%2B').replace('/', '%2f')}",
        f"data:image/png;base64,{base64.urlsafe_b64encode(BODY).decode()}",
        f"data:image/png,{quote_from_bytes(BODY)}",
        f"data:,{quote_from_bytes(BODY)}",
    ],
)
def test_every_form_of_the_same_bytes_is_read(uri):
    assert decode(uri, cap_bytes=10_000) == BODY


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/png;base64",
        "data:",
        "data:;base64,a",
        "data:;base64,@@@@",
        "data:;base64,é",
        "x",
    ],
)
def test_a_malformed_uri_is_unreadable_and_shown_only_in_part(uri):
    with pytest.raises(ImageError) as caught:
        decode(uri, cap_bytes=10_000)

    assert caught.value.code == "image_unreadable"
    assert len(caught.value.message) < 200


def test_a_uri_over_the_cap_is_too_large():
    with pytest.raises(ImageError) as caught:
        decode(f"data:;base64,{PLAIN}", cap_bytes=100)

    assert caught.value.code == "image_too_large"


@given(st.text(max_size=60))
def test_any_text_gives_bytes_or_an_image_error(text):
    result = outcome(decode, "data:" + text, cap_bytes=1_000)

    assert isinstance(result, bytes) or result.code == "image_unreadable"


def test_the_size_is_about_that_of_the_bytes():
    assert len(BODY) <= size(f"data:image/png;base64,{PLAIN}") < len(BODY) + 30
