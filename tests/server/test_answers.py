import json

import pytest

from vbatch.server.answers import answer, twisted
from vbatch.server.checks import Ask, Reference
from vbatch.server.eyes import Sight

_SIGHT = Sight(
    format="JPEG",
    width=640,
    height=480,
    animated=False,
    brightness="mid-bright",
    contrast="low",
    colours=("teal", "white"),
    sharpness="sharp",
)


def _ask(prompt="What is it?", images=1, **fields) -> Ask:
    given = {
        "model": "pixels",
        "prompt": prompt,
        "text": prompt,
        "references": (Reference(url="https://x", detail=None),) * images,
        "max_tokens": None,
        "wants_json": False,
    }
    return Ask(**given | fields)


def test_the_sentence_names_prompt_and_measurements():
    given = answer(_ask(), [_SIGHT], at_most=None)
    assert given.text == (
        "Asked “What is it?”: image 1 is a landscape JPEG of 640x480 pixels, mid-bright, "
        "low contrast, mostly teal and white, sharp."
    )
    assert (given.finish_reason, given.refusal) == ("stop", None)


def test_two_images_stand_in_their_order():
    other = Sight(
        format="GIF",
        width=5,
        height=9,
        animated=True,
        brightness="dark",
        contrast="high",
        colours=("red",),
        sharpness="blurry",
    )
    text = answer(_ask(images=2), [_SIGHT, other], at_most=None).text
    assert "; image 2 is a portrait GIF of 5x9 pixels, animated, dark, high" in text
    assert text.endswith("mostly red, blurry.")


def test_without_images_it_says_so():
    text = answer(_ask(images=0), [], at_most=None).text
    assert text == "Asked “What is it?”: there is no image to measure."


def test_a_long_prompt_is_shortened_and_its_blanks_are_tidied():
    text = answer(_ask("a\n  b " + "x" * 100), [_SIGHT], at_most=None).text
    assert text.startswith("Asked “a b " + "x" * 76 + "…”")


def test_json_is_compact_and_holds_the_same_measurements():
    given = answer(_ask(wants_json=True), [_SIGHT], at_most=None)
    assert ": " not in given.text
    assert json.loads(given.text) == {
        "asked": "What is it?",
        "images": [
            {
                "format": "JPEG",
                "width": 640,
                "height": 480,
                "orientation": "landscape",
                "animated": False,
                "brightness": "mid-bright",
                "contrast": "low",
                "colours": ["teal", "white"],
                "sharpness": "sharp",
            }
        ],
    }


@pytest.mark.parametrize(
    ("max_tokens", "at_most", "spent"), [(5, None, 5), (None, 7, 7), (9, 6, 6), (6, 9, 6)]
)
def test_an_answer_ends_at_the_smaller_cap(max_tokens, at_most, spent):
    whole = answer(_ask(), [_SIGHT], at_most=None)
    given = answer(_ask(max_tokens=max_tokens), [_SIGHT], at_most=at_most)
    assert (given.finish_reason, given.completion_tokens) == ("length", spent)
    assert whole.text.startswith(given.text)


def test_a_cap_that_is_large_enough_changes_nothing():
    whole = answer(_ask(), [_SIGHT], at_most=None)
    assert answer(_ask(max_tokens=whole.completion_tokens), [_SIGHT], at_most=None) == whole


def test_prompt_tokens_are_those_of_all_text_and_all_images():
    references = (Reference(url="a", detail="low"), Reference(url="b", detail="high"))
    ask = _ask(text="x" * 41, references=references)
    given = answer(ask, [_SIGHT, _SIGHT], at_most=None)
    assert given.prompt_tokens == 11 + 85 + (85 + 170 * 2)
    assert given.total_tokens == given.prompt_tokens + given.completion_tokens


@pytest.mark.parametrize(
    ("fault", "text", "finish_reason"),
    [
        ("null", None, "stop"),
        ("length", "Asked “What is it?”: image 1 is a landscape JPEG of 640x480 ", "length"),
        ("filter", "", "content_filter"),
        ("refusal", None, "stop"),
    ],
)
def test_a_scripted_fault_twists_text_and_finish_reason(fault, text, finish_reason):
    given = twisted(answer(_ask(), [_SIGHT], at_most=None), fault)
    assert (given.text, given.finish_reason) == (text, finish_reason)
    assert (given.refusal is not None) == (fault == "refusal")


@pytest.mark.parametrize("fault", [None, "slow", "nousage", "cut"])
def test_other_faults_leave_the_answer_as_it_is(fault):
    given = answer(_ask(), [_SIGHT], at_most=None)
    assert twisted(given, fault) is given
