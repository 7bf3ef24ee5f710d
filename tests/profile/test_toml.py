import tomllib

from hypothesis import given
from hypothesis import strategies as st

from vbatch.profile import toml


@given(value=st.text() | st.lists(st.text(), max_size=3))
def test_what_is_written_is_read_again(value):
    assert tomllib.loads(f"a = {toml.write(value)}") == {"a": value}
