import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.server.checks import Ask, check, parse
from vbatch.server.dialects import DIALECTS
from vbatch.server.refusals import Refusal

URL = "https://pictures.test/a.jpg"


def _image(url=URL, **more) -> dict:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def _text(text="What is it?") -> dict:
    return {"type": "text", "text": text}


def _user(*parts) -> dict:
    return {"role": "user", "content": list(parts) or [_text(), _image()]}


def _body(**fields) -> dict:
    return {"model": "pixels", "messages": [_user()]} | fields


def _refused(body, dialect="local") -> Refusal:
    with pytest.raises(Refusal) as caught:
        check(body, DIALECTS[dialect])
    return caught.value


def test_a_plain_request_passes():
    assert check(_body(max_tokens=9, temperature=0, stream=False), DIALECTS["local"]) == Ask(
        model="pixels",
        prompt="What is it?",
        text="What is it?",
        references=check(_body(), DIALECTS["local"]).references,
        max_tokens=9,
        wants_json=False,
    )


def test_images_keep_their_order_and_detail_and_texts_are_gathered():
    messages = [
        {"role": "system", "content": "Be brief."},
        _user(_text("First?"), _image("https://a", detail="low")),
        {"role": "assistant", "content": "Yes."},
        _user(_text("Second?"), _image("https://b"), _image("https://c", detail="high")),
    ]
    ask = check(_body(messages=messages), DIALECTS["local"])
    assert [(ref.url, ref.detail) for ref in ask.references] == [
        ("https://a", "low"),
        ("https://b", None),
        ("https://c", "high"),
    ]
    assert ask.prompt == "Second?"
    assert ask.text == "Be brief.\nFirst?\nYes.\nSecond?"


def test_content_can_be_a_string():
    body = _body(messages=[{"role": "user", "content": "Hello", "name": "me"}])
    assert check(body, DIALECTS["local"]).references == ()


@pytest.mark.parametrize(
    ("fields", "wants"),
    [
        ({}, False),
        ({"messages": [_user(_text("Answer in Json."))]}, True),
        ({"response_format": {"type": "json_object"}}, True),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, True),
        ({"response_format": {"type": "text"}}, False),
        ({"response_format": {}}, False),
    ],
)
def test_json_is_wanted_where_the_prompt_or_the_format_says_so(fields, wants):
    assert check(_body(**fields), DIALECTS["local"]).wants_json is wants


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_both_token_fields_cap_the_answer(field):
    assert check(_body(**{field: 5}), DIALECTS["local"]).max_tokens == 5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"colour": 1}, "Unrecognized request argument supplied: colour"),
        ({"detail": "low"}, "Unrecognized request argument supplied: detail"),
        ({"model": 3}, "'model'"),
        ({"model": ""}, "'model'"),
        ({"messages": {}}, "'messages'"),
        ({"messages": []}, "'messages'"),
        ({"messages": ["hi"]}, "a message to be an object"),
        ({"messages": [{"role": "user"}]}, "Missing in a message: content"),
        ({"messages": [{"role": "user", "content": "a", "x": 1}]}, "Unknown in a message: x"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "Invalid role"),
        ({"messages": [{"role": "user", "content": []}]}, "string or a list"),
        ({"messages": [{"role": "user", "content": None}]}, "string or a list"),
        ({"messages": [{"role": "system", "content": "a"}]}, "last message"),
        ({"messages": [{"role": "system", "content": [_image()]}]}, "Only a user's message"),
        ({"messages": [_user("hi")]}, "type is text or image_url"),
        ({"messages": [_user({"type": "audio"})]}, "type is text or image_url"),
        ({"messages": [_user({"type": "text"})]}, "Missing in a text part: text"),
        ({"messages": [_user({"type": "text", "text": 1})]}, "must be a string"),
        ({"messages": [_user(_text() | {"x": 1})]}, "Unknown in a text part: x"),
        ({"messages": [_user(_text(), {"type": "image_url"})]}, "Missing in an image part"),
        ({"messages": [_user(_text(), _image() | {"x": 1})]}, "Unknown in an image part: x"),
        (
            {"messages": [_user(_text(), {"type": "image_url", "image_url": URL})]},
            "Expected image_url to be an object",
        ),
        (
            {"messages": [_user(_text(), {"type": "image_url", "image_url": {}})]},
            "Missing in image_url: url",
        ),
        ({"messages": [_user(_text(), _image(size=1))]}, "Unknown in image_url: size"),
        ({"messages": [_user(_text(), _image(3))]}, "url of an image must be a string"),
        ({"messages": [_user(_text(), _image(detail="fine"))]}, "low, high or auto"),
        ({"messages": [_user(_text(), _image(detail=["low"]))]}, "low, high or auto"),
        ({"max_tokens": 0}, "'max_tokens'"),
        ({"max_tokens": "9"}, "'max_tokens'"),
        ({"max_tokens": 9.0}, "'max_tokens'"),
        ({"max_tokens": True}, "'max_tokens'"),
        ({"max_tokens": None}, "'max_tokens'"),
        ({"max_completion_tokens": -1}, "'max_completion_tokens'"),
        ({"temperature": 2.1}, "'temperature'"),
        ({"temperature": -0.1}, "'temperature'"),
        ({"temperature": "1"}, "'temperature'"),
        ({"temperature": True}, "'temperature'"),
        ({"top_p": 1.5}, "'top_p'"),
        ({"stream": "true"}, "'stream'"),
        ({"stream_options": True}, "'stream_options'"),
        ({"response_format": {"type": "json_schema"}}, "json_schema.name"),
        ({"stream": 0}, "'stream'"),
        ({"n": 2}, "'n'"),
        ({"n": True}, "'n'"),
        ({"seed": 1.5}, "'seed'"),
        ({"stop": 1}, "'stop'"),
        ({"user": 1}, "'user'"),
        ({"response_format": "json"}, "'response_format'"),
        ({"tools": {}}, "'tools'"),
    ],
)
def test_what_no_dialect_takes_is_refused(fields, words):
    refusal = _refused(_body(**fields))
    assert refusal.status == 400
    assert words in refusal.message


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_needed_field_that_is_missing_is_named(field):
    body = _body()
    del body[field]
    assert _refused(body).message == f"Missing required parameter: '{field}'."


def test_an_unknown_model_is_not_found():
    refusal = _refused(_body(model="gpt-9"))
    assert (refusal.status, refusal.code) == (404, "model_not_found")


def test_a_model_without_vision_takes_text_only():
    body = _body(model="stand-in/text-only")
    assert "does not take images" in _refused(body, "flexai").message
    body["messages"] = [_user(_text())]
    assert check(body, DIALECTS["flexai"]).model == "stand-in/text-only"


def test_a_reasoning_model_wants_its_own_token_field():
    refusal = _refused(_body(model="o4-mini", max_tokens=5), "openai")
    assert (refusal.code, refusal.param) == ("unsupported_parameter", "max_tokens")
    body = _body(model="o4-mini", max_completion_tokens=5)
    assert check(body, DIALECTS["openai"]).max_tokens == 5


_FIVE = [
    ("indoxhub", "openai/gpt-4o"),
    ("indoxhub-openai", "openai/gpt-4o"),
    ("aimlapi", "gpt-4o"),
    ("vision", "gpt-4o"),
    ("infinityblue", "gpt-5.4"),
    ("flexai", "phi-4-multimodal-instruct"),
]


@pytest.mark.parametrize(("dialect", "model"), _FIVE)
def test_the_five_take_what_their_pages_show(dialect, model):
    body = _body(model=model, max_tokens=300, temperature=2, stream=False)
    assert check(body, DIALECTS[dialect]).max_tokens == 300


@pytest.mark.parametrize(("dialect", "model"), _FIVE)
@pytest.mark.parametrize(
    "parts",
    [
        [_image(), _text()],
        [_text(), _image(), _text()],
        [_text(), _text(), _image()],
        [_image()],
    ],
    ids=["image first", "text last", "two texts", "no text"],
)
def test_the_five_want_one_text_before_the_images(dialect, model, parts):
    refusal = _refused(_body(model=model, messages=[_user(*parts)]), dialect)
    assert "one text part, then the images" in refusal.message


def test_openai_takes_parts_in_any_order():
    parts = [_image("https://a"), _text("One."), _image("https://b"), _text("Two.")]
    ask = check(_body(model="gpt-4o", messages=[_user(*parts)]), DIALECTS["openai"])
    assert [ref.url for ref in ask.references] == ["https://a", "https://b"]
    assert ask.prompt == "One.\nTwo."


@pytest.mark.parametrize(("dialect", "model"), _FIVE)
def test_detail_has_one_place_in_each_dialect(dialect, model):
    inside = _body(model=model, messages=[_user(_text(), _image(detail="low"))])
    at_top = _body(model=model, detail="low")
    right, wrong = (at_top, inside) if dialect == "vision" else (inside, at_top)
    assert [ref.detail for ref in check(right, DIALECTS[dialect]).references] == ["low"]
    assert "detail" in _refused(wrong, dialect).message


@pytest.mark.parametrize("detail", ["fine", None, 1])
def test_a_detail_at_the_top_is_low_high_or_auto(detail):
    assert "'detail'" in _refused(_body(model="gpt-4o", detail=detail), "vision").message


@pytest.mark.parametrize("field", ["n", "top_p", "seed", "tools", "max_completion_tokens"])
def test_vision_knows_six_fields_only(field):
    assert "Unrecognized" in _refused(_body(model="gpt-4o", **{field: 1}), "vision").message


@pytest.mark.parametrize(("dialect", "model"), _FIVE)
def test_the_five_know_one_token_field(dialect, model):
    refusal = _refused(_body(model=model, max_completion_tokens=5), dialect)
    assert "max_completion_tokens" in refusal.message


def test_too_many_images_are_an_invalid_request():
    body = _body(model="gpt-5.4", messages=[_user(_text(), *[_image()] * 17)])
    refusal = _refused(body, "infinityblue")
    assert (refusal.status, refusal.code) == (400, "too_many_images")


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"null", b'{"a": NaN}', b"\xff", b"[" * 5000])
def test_a_body_that_is_no_object_is_refused(raw):
    with pytest.raises(Refusal) as caught:
        parse(raw, "application/json")
    assert caught.value.status == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream"])
def test_another_content_type_is_refused(content_type):
    with pytest.raises(Refusal) as caught:
        parse(b"{}", content_type)
    assert caught.value.status == 415


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-3, 3)
    | st.sampled_from(["user", "text", "image_url", "low", URL, "pixels", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "image_url", "url", "detail"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "max_tokens", "temperature", "detail", "stream"]),
        _JSON,
    ),
    st.sampled_from(sorted(DIALECTS)),
)
@settings(deadline=None, max_examples=150)
def test_any_object_is_understood_or_refused(fields, dialect):
    body = {"model": DIALECTS[dialect].models[0].id, "messages": [_user()]} | fields
    body = parse(orjson.dumps(body), "application/json")
    try:
        understood = check(body, DIALECTS[dialect])
    except Refusal as refusal:
        understood = refusal.status
    assert isinstance(understood, Ask) or understood in (400, 404)
