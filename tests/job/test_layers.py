from pathlib import Path

from vbatch.job.layers import layered, stacked, without
from vbatch.profile import load_profile


def test_the_later_layer_covers_the_earlier_key_by_key():
    assert stacked({"a": {"b": 1, "c": 1}, "d": 1}, {"a": {"b": 2}}, {"a": {"e": 3}}) == {
        "a": {"b": 2, "c": 1, "e": 3},
        "d": 1,
    }


def test_a_value_covers_a_table_and_a_table_a_value():
    assert stacked({"a": {"b": 1}}, {"a": 5}) == {"a": 5}
    assert stacked({"a": 5}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_none_is_not_set_and_covers_nothing():
    assert stacked({"a": 1}, {"a": None, "b": None}) == {"a": 1}


def test_precedence_is_profile_then_file_then_command_line():
    profile = load_profile("flexai", Path())
    key, model = "FLEXAI_API_KEY", "phi-4-multimodal-instruct"

    assert layered(None, {}, ()) == {}
    assert layered(profile, {}, ())["endpoint"] == {
        "base_url": "https://tokens.flex.ai/v1",
        "api_key_env": key,
        "model": model,
    }
    assert layered(profile, {"endpoint": {"model": "b"}}, ())["endpoint"]["model"] == "b"
    said = ({"endpoint": {"model": "c"}}, {"endpoint": {"model": "d"}})
    assert layered(profile, {"endpoint": {"model": "b"}}, said)["endpoint"]["model"] == "d"


def test_a_key_is_taken_out_wherever_it_is_and_nothing_else():
    tree = {"a": {"b": {"c": 1, "d": 2}}, "e": 3}

    assert without(tree, ("a", "b", "c")) == {"a": {"b": {"d": 2}}, "e": 3}
    assert without(tree, ("e",)) == {"a": {"b": {"c": 1, "d": 2}}}
    assert without(tree, ("e", "f")) == tree
    assert without(tree, ("x", "y")) == tree
