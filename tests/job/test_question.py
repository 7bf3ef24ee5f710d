import json
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from vbatch.job import differences
from vbatch.job.question import digest, masked

WRITTEN = 'manifest = "m"\n[endpoint]\nprofile = "flexai"\n[request]\nprompt = "What?"\n'
UNASKED = (
    "endpoint.base_url=http://elsewhere/v1",
    "endpoint.api_key_env=OTHER",
    "endpoint.headers={X-A='b'}",
    "endpoint.keep_alive=false",
    "images.root=/a",
    "images.allow_private_urls=true",
    "limits.requests_per_minute=5",
    "retry.max_attempts=1",
    "price.input=1",
    "manifest=n",
    "output=o",
    "name=p",
)
ASKED = (
    "endpoint.model=other",
    "endpoint.profile=local",
    "request.prompt=Why?",
    "request.system=Be brief.",
    "request.max_tokens=5",
    "request.temperature=0",
    "request.detail=low",
    "request.extra={seed=1}",
    "images.send=inline",
    "images.max_side=100",
    "images.max_bytes=100",
    "images.format=png",
    "images.quality=84",
    "images.metadata=keep",
    "columns.image=photo",
    "columns.prompt=false",
)


def test_a_question_is_flat_and_leaves_out_what_is_not_set(load):
    job = load(WRITTEN, "request.extra={a={b=1}}", "columns.prompt=false", "images.max_side=9")

    assert job.question() == {
        "profile": "flexai",
        "model": "phi-4-multimodal-instruct",
        "request.prompt": "What?",
        "request.extra.a": {"b": 1},
        "images.send": "auto",
        "images.max_side": 9,
        "images.format": "auto",
        "images.quality": 85,
        "images.metadata": "strip",
        "columns.prompt": False,
        "profile.request.max_choices": 1,
        "profile.request.max_completion_tokens": 2048,
    }


def test_how_fast_and_where_is_no_part_of_the_question(load):
    digests = {load(WRITTEN, override).digest for override in UNASKED}

    assert digests == {load(WRITTEN).digest}


def test_everything_that_is_asked_changes_the_digest(load):
    digests = {load(WRITTEN, override).digest for override in ("name=x", *ASKED)}

    assert len(digests) == len(ASKED) + 1
    assert {len(one) for one in digests} == {32}


def test_the_dialect_is_part_of_the_question(load, tmp_path):
    (tmp_path / "mine.toml").write_text('base_url = "http://h/v1"\nmodel = "m"\n')
    before = load('manifest = "m"', flags={"profile": "mine.toml"})
    with (tmp_path / "mine.toml").open("a") as file:
        file.write('request.detail = "body"\n')
    after = load('manifest = "m"', flags={"profile": "mine.toml"})

    assert before.digest != after.digest
    assert differences(before.question(), after.question()) == [
        "profile.request.detail: not set → 'body'"
    ]


def test_a_value_asks_the_same_wherever_it_was_written(load):
    direct = load(WRITTEN, "endpoint.model=model-7")
    filled = load(WRITTEN, "endpoint.model=${MODEL}", env={"MODEL": "model-7"})

    assert direct.digest == filled.digest


def test_secrets_in_a_question_are_masked_but_told_apart(load):
    asked = [
        load(WRITTEN, "request.extra={a=['I am ${WHO}.', 1]}", env={"WHO": who}).question()
        for who in ("canary-1", "canary-2")
    ]

    first, second = (question["request.extra.a"] for question in asked)
    mask = blake2b(b"canary-1", digest_size=4).hexdigest()
    assert first == [f"I am ***{mask}.", 1]
    assert first != second
    assert "canary" not in json.dumps(asked)


def test_the_longer_of_two_secrets_is_masked_first():
    assert masked("abcdefgh", ["abcdef", "abcdefgh", ""]).startswith("***")
    assert masked("abcdefgh", ["abcdef", "abcdefgh"]) == masked("abcdefgh", ["abcdefgh"])
    assert masked({"a": None}, ["x"]) == {"a": None}


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": "é"}) == digest({"b": "é", "a": 1})


def test_differences_name_key_and_both_values():
    old = {"request.prompt": "a", "model": "m", "request.max_tokens": 5}
    new = {"request.prompt": "b", "model": "m", "images.max_side": 9}

    assert differences(old, new) == [
        "images.max_side: not set → 9",
        "request.max_tokens: 5 → not set",
        "request.prompt: 'a' → 'b'",
    ]


def test_long_values_are_cut_to_where_they_differ():
    (told,) = differences({"p": "x" * 500 + "a" + "y" * 500}, {"p": "x" * 500 + "b" + "y" * 500})

    before, after = told.removeprefix("p: ").split(" → ")
    assert "xa" in before
    assert "xb" in after
    assert before[0] == before[-1] == after[0] == after[-1] == "…"
    assert len(told) < 270


@given(
    before=st.dictionaries(st.text(max_size=3), st.text(max_size=200), max_size=3),
    after=st.dictionaries(st.text(max_size=3), st.text(max_size=200), max_size=3),
)
def test_there_are_differences_exactly_where_questions_differ(before, after):
    told = differences(before, after)

    assert (told == []) == (before == after)


def test_two_jobs_read_the_same_where_manifest_and_roots_are_the_same(load):
    text = 'manifest = "{}.jsonl"\nendpoint.profile = "local"\nimages.root = "{}"\n'
    digest = load(text.format("a", "pics")).places_digest

    assert load(text.format("a", "pics"), "output=elsewhere").places_digest == digest
    assert load(text.format("b", "pics")).places_digest != digest
    assert load(text.format("a", "more")).places_digest != digest


def test_how_an_address_is_written_is_no_part_of_the_question_but_other_names_are(load):
    asked = WRITTEN.replace('"flexai"', '"{}"\nmodel = "m"\nbase_url = "https://x/openai"')

    azure = load(asked.format("azure")).question()
    mistral = load(asked.format("mistral")).question()

    assert not any("query" in key for key in azure)
    assert mistral["profile.request.rename"] == {"seed": "random_seed"}
