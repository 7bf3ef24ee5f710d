import pytest

from vbatch.endpoint.tokens import ANSWER_TOKENS, UNSEEN_TOKENS, estimate, image_tokens
from vbatch.endpoint.wire import Question
from vbatch.records import PreparedImage, RemoteImage

BARE = Question(model="m", max_tokens=0)


def picture(width, height, detail=None):
    return PreparedImage(
        data=b"", media_type="image/png", width=width, height=height, sha256="", detail=detail
    )


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 765),
        (2048, 4096, 1105),
        (512, 512, 255),
        (1, 1, 255),
        (0, 0, 85),
        (100_000, 1, 85 + 4 * 170),
    ],
)
def test_tiles_count_as_published(width, height, tokens):
    assert image_tokens(width, height) == tokens


def test_everything_that_is_sent_and_expected_counts():
    nothing = estimate(BARE, [])
    assert estimate(Question(model="m", max_tokens=100), []) == nothing + 100
    assert estimate(Question(model="m"), []) == nothing + ANSWER_TOKENS
    assert estimate(Question(model="m", prompt="x" * 400, max_tokens=0), []) == nothing + 100
    assert estimate(Question(model="m", system="x" * 40, max_tokens=-5), []) == nothing + 10
    assert estimate(BARE, [picture(1024, 1024)] * 2) == nothing + 2 * 765
    assert estimate(BARE, [RemoteImage(url="https://x")]) == nothing + UNSEEN_TOKENS


def test_low_detail_is_cheap_for_any_size():
    low = Question(model="m", max_tokens=0, detail="low")
    nothing = estimate(low, [])
    assert estimate(low, [picture(4000, 4000)]) == nothing + 85
    assert estimate(low, [picture(1024, 1024, "high")]) == nothing + 765
    assert estimate(BARE, [RemoteImage(url="https://x", detail="low")]) == nothing + 85


def test_lone_surrogates_can_be_estimated():
    assert estimate(Question(model="m", prompt="\ud800"), []) > 0
