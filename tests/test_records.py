"""What later nights ask again by themselves, and when they stop paying for a row."""

import pytest

from vbatch.errors import RETRYABLE_CODES
from vbatch.records import is_retryable


def asked_again(code="server_error", *, possibly_billed=0, server_errors=0, max_ambiguous=2):
    return is_retryable(
        code,
        possibly_billed=possibly_billed,
        server_errors=server_errors,
        max_ambiguous=max_ambiguous,
    )


@pytest.mark.parametrize("code", sorted(RETRYABLE_CODES))
def test_what_may_pass_is_asked_again(code):
    assert asked_again(code)


@pytest.mark.parametrize("code", ["content_filter", "invalid_request", "image_unsupported"])
def test_what_stays_as_it_is_is_not(code):
    assert not asked_again(code)


@pytest.mark.parametrize(("max_ambiguous", "most"), [(0, 2), (2, 6), (5, 12)])
def test_a_row_is_left_once_it_may_have_cost_twice_what_one_night_may(max_ambiguous, most):
    assert asked_again(possibly_billed=most, max_ambiguous=max_ambiguous)
    assert not asked_again(possibly_billed=most + 1, max_ambiguous=max_ambiguous)


def test_a_row_is_left_after_five_nights_of_server_errors():
    assert asked_again(server_errors=4)
    assert not asked_again(server_errors=5)
