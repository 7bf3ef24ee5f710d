from pathlib import Path

import pytest

from vbatch.errors import JobError
from vbatch.job import spoken

HERE = Path("/here")


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("limits.max_in_flight=8", ("limits", "max_in_flight"), 8),
        ("images.quality = 90", ("images", "quality"), 90),
        ("endpoint.keep_alive=false", ("endpoint", "keep_alive"), False),
        ('endpoint.model="4"', ("endpoint", "model"), "4"),
        ("endpoint.model=gpt-4o", ("endpoint", "model"), "gpt-4o"),
        ("endpoint.model=", ("endpoint", "model"), ""),
        ("request.prompt=Is a = b?", ("request", "prompt"), "Is a = b?"),
        ("request.prompt=1\nb = 2", ("request", "prompt"), "1\nb = 2"),
        ("request.extra={seed=1}", ("request", "extra"), {"seed": 1}),
        ('endpoint.headers."X.Y"=a', ("endpoint", "headers", "X.Y"), "a"),
    ],
)
def test_a_setting_is_toml_if_it_can_be_and_text_otherwise(text, place, value):
    setting = spoken.override(text, HERE)

    assert (setting.place, setting.value, setting.text) == (place, value, text)


@pytest.mark.parametrize("text", ["", "=", "=5", "a b=1", "a.=1", "a # b=1", "a\nb=1", "{}=1"])
def test_what_has_no_key_is_refused(text):
    with pytest.raises(JobError, match=r"^-s: .*write it like -s limits"):
        spoken.override(text, HERE)


def test_what_is_no_setting_is_not_repeated():
    with pytest.raises(JobError) as caught:
        spoken.override("hidden", HERE)

    assert "hidden" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("manifest=rows.jsonl", 'manifest="/here/rows.jsonl"'),
        ("manifest=['a', \"${B}/c\"]", 'manifest=["/here/a", "${B}/c"]'),
        ("output=${OUT}", "output=${OUT}"),
        ("output=/out", "output=/out"),
        ("images.root=..", 'images.root="/"'),
        ("endpoint.profile=./my.toml", 'endpoint.profile="/here/my.toml"'),
        ("endpoint.profile=local", "endpoint.profile=local"),
        ("manifest=5", "manifest=5"),
        ("manifest=['a', 2024-01-01]", "manifest=['a', 2024-01-01]"),
    ],
)
def test_a_relative_path_is_kept_as_the_absolute_one(text, kept):
    assert spoken.override(text, HERE).text == kept


def test_a_dollar_in_the_working_folder_is_no_reference():
    setting = spoken.override("manifest=rows.jsonl", Path("/here/${A}"))

    assert setting.value == "/here/$${A}/rows.jsonl"


def test_a_setting_knows_the_keys_that_it_sets():
    setting = spoken.override("images={quality=1, format='png', root={}}", HERE)

    assert list(setting.places()) == [
        ("images", "quality"),
        ("images", "format"),
        ("images", "root"),
    ]
    assert setting.tree() == {"images": {"quality": 1, "format": "png", "root": {}}}


def test_flags_that_are_not_given_say_nothing():
    assert spoken.of_flags({"model": None, "prompt": None}, HERE) == ()


def test_flags_can_be_written_as_a_file():
    flags = {"manifest": ["a", "b"], "prompt": 'Say "$5"', "profile": "local"}

    assert spoken.as_file(spoken.of_flags(flags, HERE)) == (
        'manifest = ["/here/a", "/here/b"]\n'
        'request.prompt = "Say \\"$$5\\""\n'
        'endpoint.profile = "local"\n'
    )
