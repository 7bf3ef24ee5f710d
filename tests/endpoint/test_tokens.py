import json
from math import ceil

from vbatch.costs.pictures import UNSEEN_SIDE, formula_of
from vbatch.endpoint import tokens
from vbatch.endpoint.tokens import ANSWER_TOKENS, cap_of, estimate
from vbatch.endpoint.wire import Question
from vbatch.records import PreparedImage, RemoteImage

BARE = Question(model="m", max_tokens=0)


def picture(width, height, detail=None):
    return PreparedImage(
        data=b"", media_type="image/png", width=width, height=height, sha256="", detail=detail
    )


def test_everything_that_is_sent_and_expected_counts():
    nothing = estimate(BARE, [])
    assert estimate(Question(model="m", max_tokens=100), []) == nothing + 100
    assert estimate(Question(model="m"), []) == nothing + ANSWER_TOKENS
    assert estimate(Question(model="m", prompt="x" * 400, max_tokens=0), []) == nothing + 100
    assert estimate(Question(model="m", system="x" * 40, max_tokens=-5), []) == nothing + 10
    assert estimate(BARE, [picture(1024, 1024)] * 2) == nothing + 2 * 765


def test_an_image_by_url_counts_as_a_square_of_usual_size_in_its_model():
    for model in ("m", "claude-opus-4-6", "o4-mini"):
        bare = Question(model=model, max_tokens=0)
        square = formula_of(model)(UNSEEN_SIDE, UNSEEN_SIDE, None)
        assert estimate(bare, [RemoteImage(url="https://x")]) == estimate(bare, []) + square


def test_the_model_decides_what_an_image_takes():
    def of(model):
        return estimate(Question(model=model, max_tokens=0), [picture(1024, 1024)])

    assert of("anthropic/claude-opus-4-6") - of("gpt-4o") == 37 * 37 - 765


def test_low_detail_is_cheap_for_any_size():
    low = Question(model="m", max_tokens=0, detail="low")
    nothing = estimate(low, [])
    assert estimate(low, [picture(4000, 4000)]) == nothing + 85
    assert estimate(low, [picture(1024, 1024, "high")]) == nothing + 765
    assert estimate(BARE, [RemoteImage(url="https://x", detail="low")]) == nothing + 85


def test_lone_surrogates_can_be_estimated():
    assert estimate(Question(model="m", prompt="\ud800"), []) > 0


def test_the_cap_is_found_under_either_name():
    assert cap_of(Question(model="m", max_tokens=7)) == 7
    assert cap_of(Question(model="m", extra={"max_completion_tokens": 9})) == 9
    assert cap_of(Question(model="m", extra={"max_tokens": "many", "seed": 1})) is None
    assert cap_of(Question(model="m")) is None
    assert cap_of(Question(model="m", max_tokens=7, extra={"n": 3})) == 21
    assert cap_of(Question(model="m", extra={"n": 3})) is None


def test_tools_and_schemas_are_read_like_text():
    tools = [{"type": "function", "function": {"name": "say", "description": "x" * 4000}}]
    form = {"type": "json_schema", "json_schema": {"schema": {"description": "y" * 400}}}
    nothing = estimate(BARE, [])
    both = Question(model="m", max_tokens=0, extra={"tools": tools, "response_format": form})
    assert estimate(both, []) == estimate(both, []) == nothing + weight(tools) + weight(form)
    other = Question(model="m", max_tokens=0, extra={"tools": tools * 2})
    assert estimate(other, []) == nothing + weight(tools * 2)
    assert estimate(Question(model="m", max_tokens=0, extra={"seed": 1}), []) == nothing


def weight(value) -> int:
    return ceil(len(json.dumps(value, separators=(",", ":"))) / 4)


def test_the_same_tools_are_weighed_once_and_none_never(monkeypatch):
    weighed = []
    monkeypatch.setattr(tokens, "dump", lambda value: weighed.append(value) or b"")
    tools = [{"type": "function", "function": {"name": "once"}}]
    for prompt in "abc":
        estimate(Question(model="m", prompt=prompt, extra={"tools": tools}), [])
        estimate(Question(model="m", prompt=prompt, extra={"seed": 1}), [])
    assert weighed == [tools]


def test_what_is_nested_too_deeply_to_be_sent_takes_nothing():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert estimate(Question(model="m", max_tokens=0, extra={"tools": deep}), []) == estimate(
        BARE, []
    )
