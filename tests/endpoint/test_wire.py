import dataclasses
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.endpoint import wire
from vbatch.endpoint.body import Inlined
from vbatch.endpoint.wire import Question
from vbatch.errors import PermanentError
from vbatch.job import load_job
from vbatch.profile import Profile, load_profile
from vbatch.records import ImageSource, Item, PreparedImage, RemoteImage

PLAIN = Profile(name="plain")
TEXT = {"type": "text", "text": "What is it?"}
URL = RemoteImage(url="https://x.example/a.jpg")


def item(**more):
    given = {"prompt": "What is it?", "images": (), **more}
    return Item(id="a", row=0, row_digest="d", **given)


def inline(data=b"\xff\xd8", detail=None):
    return PreparedImage(
        data=data, media_type="image/jpeg", width=1, height=1, sha256="", detail=detail
    )


def job(request="", model="gpt-4o", profile="openai"):
    text = f"""
        manifest = "m.jsonl"
        [endpoint]
        profile = "{profile}"
        model = "{model}"
        [request]
        {request}
    """
    return load_job(Path("job.toml"), text=text, env={}, cwd=Path("/here"))


def dialect(**request):
    return Profile(name="own", request=request)


def sent(body):
    """What an endpoint will read; checks that the length was told right."""
    raw = b"".join(body.chunks())
    assert len(raw) == body.length
    return json.loads(raw)


def build(question, images=(), profile=PLAIN, row=None, **more):
    return wire.build(question, row or item(), images, profile, **more)


ASKED = Question(model="m", prompt="What is it?")


def test_a_request_is_what_every_gateway_documents():
    question = Question(
        model="gpt-4o",
        prompt="What is it?",
        system="Be brief.",
        max_tokens=100,
        temperature=0.5,
        extra={"seed": 7},
    )
    assert sent(build(question, [URL, inline()])) == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    TEXT,
                    {"type": "image_url", "image_url": {"url": "https://x.example/a.jpg"}},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9g="}},
                ],
            },
        ],
        "max_tokens": 100,
        "temperature": 0.5,
        "seed": 7,
    }


def test_what_is_not_set_is_not_sent():
    assert sent(build(Question(model="m", prompt="", system=""), [URL])) == {
        "model": "m",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": URL.url}}],
            }
        ],
    }
    assert sent(build(ASKED))["messages"] == [{"role": "user", "content": [TEXT]}]


def test_a_body_counts_the_raw_bytes_of_its_images():
    body = build(ASKED, [inline(b"12345"), URL, inline(b"123")])
    assert body.image_bytes == 8
    assert [len(part.data) for part in body.parts if isinstance(part, Inlined)] == [5, 3]
    assert body.model == "m"


@pytest.mark.parametrize(
    ("place", "asked", "details", "in_parts", "on_top", "merged"),
    [
        ("image_url", None, [None, None], [None, None], None, False),
        ("image_url", "low", [None, "high"], ["low", "high"], None, False),
        ("body", None, [None, None], [None, None], None, False),
        ("body", "auto", [None, None], [None, None], "auto", False),
        ("body", "low", ["high", None], [None, None], "high", True),
        ("body", None, ["low", "auto"], [None, None], "auto", True),
        ("body", None, ["low", None], [None, None], "low", False),
        ("body", "high", ["huge", None], [None, None], "huge", True),
        ("body", "low", [], [], "low", False),
        ("none", "low", ["high", "low"], [None, None], None, False),
    ],
)
def test_detail_goes_where_the_gateway_takes_it(place, asked, details, in_parts, on_top, merged):
    images = [RemoteImage(url="https://x", detail=detail) for detail in details]
    body = build(
        Question(model="m", prompt="What is it?", detail=asked), images, dialect(detail=place)
    )
    read = sent(body)
    parts = read["messages"][0]["content"][1:]
    assert [part["image_url"].get("detail") for part in parts] == in_parts
    assert read.get("detail") == on_top
    assert body.detail_merged is merged


def test_a_gateway_is_not_sent_what_it_refuses():
    question = Question(
        model="m", prompt="What is it?", temperature=1, detail="low", extra={"seed": 1, "n": 1}
    )
    read = sent(build(question, [URL], dialect(drop=("seed", "temperature", "detail"))))
    assert read.keys() == {"model", "messages", "n"}
    assert "detail" not in read["messages"][0]["content"][1]["image_url"]


@pytest.mark.parametrize(
    ("profile", "override", "name"),
    [
        ("max_tokens", None, "max_tokens"),
        ("max_completion_tokens", None, "max_completion_tokens"),
        ("max_tokens", "max_completion_tokens", "max_completion_tokens"),
        ("max_completion_tokens", "max_tokens", "max_tokens"),
    ],
)
def test_the_token_cap_has_the_name_that_the_endpoint_takes(profile, override, name):
    question = Question(model="m", prompt="p", max_tokens=5)
    body = build(question, [], dialect(token_field=profile), token_field=override)
    read = sent(body)
    assert {key: read[key] for key in read if "tokens" in key} == {name: 5}
    assert body.token_field == name


def test_a_token_cap_among_the_extras_is_renamed_once_it_was_refused():
    question = Question(model="m", prompt="p", extra={"max_completion_tokens": 9})
    assert sent(build(question))["max_completion_tokens"] == 9
    assert sent(build(question, token_field="max_tokens"))["max_tokens"] == 9


@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
def test_a_body_knows_the_name_its_cap_really_has(own):
    question = Question(model="m", prompt="p", extra={own: 9})

    assert build(question).token_field == own


def test_a_field_goes_by_the_name_it_has_at_the_gateway():
    question = Question(model="m", prompt="p", extra={"seed": 7, "top_p": 1})

    body = sent(build(question, profile=dialect(rename={"seed": "random_seed"})))

    assert (body["random_seed"], body["top_p"]) == (7, 1)
    assert "seed" not in body


def test_a_row_overrides_the_job():
    asked = job('max_tokens = 10\ntemperature = 1\ndetail = "low"\nextra = { seed = 1, top_p = 1 }')
    params = {"model": "gpt-5", "max_tokens": 20, "detail": "high", "seed": 2, "stop": ["."]}
    question = wire.question(asked, item(params=params, system="Be brief."))
    assert question == Question(
        model="gpt-5",
        prompt="What is it?",
        system="Be brief.",
        max_tokens=20,
        temperature=1,
        detail="high",
        extra={"seed": 2, "top_p": 1, "stop": ["."]},
    )


def test_a_row_that_leaves_a_param_open_gets_the_jobs():
    asked = job("max_tokens = 10")
    question = wire.question(asked, item(params={"max_tokens": None, "seed": None}))
    assert question == Question(model="gpt-4o", prompt="What is it?", max_tokens=10)


def test_a_row_cannot_set_messages_or_stream():
    params = {"messages": [], "stream": True, "seed": 1}
    assert wire.question(job(), item(params=params)).extra == {"seed": 1}


@pytest.mark.parametrize("params", [{"max_tokens": "many"}, {"temperature": True}, {"detail": 3}])
def test_a_param_of_an_odd_type_is_left_for_the_endpoint_to_judge(params):
    question = wire.question(job(), item(params=params))
    assert question.extra == params
    assert sent(build(question)).items() >= params.items()


def test_a_batch_line_is_sent_as_it_is():
    line = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "é\ud800"}]}],
        "max_tokens": 9,
        "stream": False,
    }
    row = item(body=line, prompt=None, images=(ImageSource(kind="path", ref="unused"),))
    question = wire.question(job(), row)
    assert (question.model, question.max_tokens, question.prompt) == ("gpt-4o-mini", 9, None)
    read = sent(wire.build(question, row, [], PLAIN))
    assert read["messages"][0]["content"][0]["text"] == "é\ufffd"
    assert {**read, "messages": None} == {**line, "messages": None}
    switched = wire.build(question, row, [], PLAIN, token_field="max_completion_tokens")
    assert sent(switched)["max_completion_tokens"] == 9
    assert "max_tokens" not in sent(switched)


def test_a_batch_line_without_model_is_counted_under_the_jobs():
    row = item(body={"messages": [], "max_completion_tokens": 4}, prompt=None)
    question = wire.question(job(), row)
    assert (question.model, question.max_tokens) == ("gpt-4o", 4)
    assert "model" not in sent(wire.build(question, row, [], PLAIN))


def test_params_too_deep_to_be_written_fail_their_row():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(PermanentError) as caught:
        build(Question(model="m", prompt="p", extra={"deep": deep}))
    assert caught.value.code == "invalid_request"


def test_every_built_in_profile_builds_a_body():
    for name in ("indoxhub", "indoxhub-openai", "aimlapi", "vision", "infinityblue", "flexai"):
        profile = load_profile(name, Path())
        question = Question(model="m", prompt="What is it?", max_tokens=5, detail="high")
        read = sent(build(question, [URL, inline()], profile))
        assert read["max_tokens"] == 5
        assert (read.get("detail") == "high") is (name == "vision")


anything = st.text(st.characters(exclude_categories=()), max_size=12)


@settings(deadline=None)
@given(anything, anything, st.lists(anything | st.binary(max_size=20), max_size=3))
def test_whatever_a_row_holds_its_body_is_json_of_the_announced_length(prompt, model, images):
    pictures = [
        inline(one) if isinstance(one, bytes) else RemoteImage(url=one, detail=model)
        for one in images
    ]
    read = sent(build(Question(model=model, prompt=prompt, system=prompt), pictures))
    assert len(read["messages"][-1]["content"]) == bool(prompt) + len(images)


@pytest.mark.parametrize("detail", ["image_url", "body", "none"])
def test_rows_that_ask_the_same_share_all_but_their_images(detail):
    """Whatever order rows come in, a writer writes what each would be by itself."""
    asked = job('prompt = "What is it?"\nmax_tokens = 9')
    asked = asked.model_copy(update={"profile": dialect(detail=detail)})
    writer = wire.Writer(asked)
    rows = [
        item(),
        item(),
        item(prompt="And this?"),
        item(prompt="And this?", params={"seed": 1}),
        item(prompt="And this?", system="Be brief."),
        item(body={"model": "m", "messages": [], "max_tokens": 3}),
        item(),
    ]
    images = [(), (URL,), (inline(), dataclasses.replace(URL, detail="high"))]

    for row, sent_images, token_field in itertools.product(
        rows, images, [None, "max_tokens", "max_completion_tokens"]
    ):
        alone = wire.question(asked, row)
        question = writer.question(row)
        assert question == alone
        body = writer.body(question, row, sent_images, token_field)
        expected = wire.build(alone, row, sent_images, asked.profile, token_field=token_field)
        assert sent(body) == sent(expected)
        assert body.detail_merged == expected.detail_merged
        assert (body.model, body.token_field) == (expected.model, expected.token_field)


def test_a_question_is_put_together_once_for_rows_that_ask_the_same():
    writer = wire.Writer(job('prompt = "What is it?"'))
    first = writer.question(item())
    assert writer.question(item()) is first
    assert writer.question(item(prompt="Else?")) is not first
