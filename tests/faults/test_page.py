from tests.faults import codes, page
from tests.faults.table import FAMILIES, TABLE
from vbatch.errors import FAILURE_CODES, RETRYABLE_CODES


def outcomes():
    for fault in TABLE:
        for outcome in (fault.once, fault.first, fault.for_good, fault.everywhere):
            if outcome is not None:
                yield outcome


def test_the_page_on_faults_is_what_the_suite_plays():
    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "python -m tests.faults.page"


def test_every_code_is_explained():
    assert codes.FAILURES.keys() == FAILURE_CODES
    assert {outcome.code for outcome in outcomes() if outcome.ends == "failed"} <= FAILURE_CODES
    stops = {outcome.code for outcome in outcomes() if outcome.ends == "stopped"}
    assert stops - {""} == codes.STOPS.keys()
    assert {outcome.exit_code for outcome in outcomes()} == codes.EXITS.keys()


def test_what_is_asked_again_by_itself_is_what_the_product_asks_again():
    assert page.RETRYABLE == RETRYABLE_CODES


def test_every_fault_has_a_name_of_its_own():
    assert len({fault.name for fault in TABLE}) == len(TABLE)
    assert all(family.faults and family.advice for family in FAMILIES)
