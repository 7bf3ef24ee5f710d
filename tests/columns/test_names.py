from hypothesis import given
from hypothesis import strategies as st

from vbatch.columns import FAILURE_NAMES, RESULT_NAMES, output_name, output_names


def test_a_column_with_a_name_of_ours_is_carried_with_in_before_it():
    assert output_name("text") == "in_text"
    assert output_name("line") == "in_line"
    assert output_name("caption") == "caption"


def test_a_column_that_is_called_in_text_keeps_its_name_beside_text():
    assert output_names(["text", "in_text"]) == {"text": "in_in_text", "in_text": "in_text"}


_NAMES = st.sampled_from(["text", "in_text", "in_in_text", "id", "in_id", "a", "body"])


@given(st.lists(_NAMES, unique=True))
def test_output_names_are_unique_and_never_ours(names):
    found = output_names(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert not set(found.values()) & {*RESULT_NAMES, *FAILURE_NAMES}
