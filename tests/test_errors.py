import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbatch.errors import REDACTED, redact

KEY = "sk-a/b+c=\"'é\\"


@pytest.mark.parametrize(
    "shown",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(KEY, ensure_ascii=False)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(char):04X}" for char in KEY),
        quote(KEY),
        quote(KEY, safe=""),
    ],
)
def test_a_secret_is_taken_out_however_it_is_written(shown):
    assert redact(f"<{shown}>", (KEY,)) == f"<{REDACTED}>"


def test_a_secret_that_holds_another_goes_as_a_whole():
    assert redact("sk-12345", ("sk-1", "sk-12345")) == REDACTED
    assert redact("100% sk-12345", ("sk-1", "sk-12345")) == f"100% {REDACTED}"


def test_empty_secrets_hide_nothing():
    assert redact("a\\b", ("",)) == "a\\b"
    assert redact("ab", ()) == "ab"


secrets = st.text(min_size=3, max_size=12).filter(lambda text: text not in REDACTED)


@given(st.text(), secrets, st.text())
def test_no_text_keeps_a_secret(before, secret, after):
    cleared = redact(before + secret + after, (secret,))
    assert REDACTED in cleared
