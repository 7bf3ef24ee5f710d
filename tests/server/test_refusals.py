import pytest

from vbatch.server.refusals import Refusal, told


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "insufficient_quota"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (529, "server_error"),
    ],
)
def test_openais_form_has_message_type_param_and_code(status, kind):
    refusal = Refusal(status, "No.", code="because", param="model")
    assert told(refusal, "openai") == {
        "error": {"message": "No.", "type": kind, "param": "model", "code": "because"}
    }


def test_the_other_form_is_detail_only():
    assert told(Refusal(402, "No credit.", code="x"), "detail") == {"detail": "No credit."}
