import orjson
import pytest

from vbatch.records import Item
from vbatch.source.manifest.batch import image_references


def _batch_line(url="https://x/a.png"):
    parts = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "this?"},
    ]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": body}


def test_batch_lines_keep_their_body_and_carry_the_rest(desk):
    line = _batch_line()
    found = desk.read(desk.lines(line))
    assert found.row.body == line["body"]
    assert (found.row.id, found.row.images, found.row.params) == ("c", (), {})
    assert found.row.prompt == "What is\nthis?"
    assert found.row.passthrough == {"method": "POST", "url": "/v1/chat/completions"}
    assert orjson.loads(found.row.given["body"]) == line["body"]


def test_batch_lines_are_the_same_when_only_a_signature_differs(desk):
    one = _batch_line("https://x/a?X-Amz-Signature=1")
    two = _batch_line("https://x/a?X-Amz-Signature=2")
    assert desk.read(desk.lines(one, two)).scan.repeated == 1


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": 5}], None),
        ([{"role": "user", "content": [{"type": "image_url"}, 5]}], None),
        (["odd"], None),
        (None, None),
    ],
)
def test_batch_lines_show_what_the_user_said_last(desk, messages, prompt):
    line = {"custom_id": "c", "body": {"messages": messages}}
    row = desk.read(desk.lines(line)).row
    assert isinstance(row, Item)
    assert row.prompt == prompt


@pytest.mark.parametrize(
    ("content", "references"),
    [
        ([{"type": "image_url", "image_url": {"url": "https://x/a.png"}}], ("https://x/a.png",)),
        ([{"image_url": "https://x/a.png"}, {"image_url": {"url": "b"}}], ("https://x/a.png", "b")),
        ([{"image_url": {"url": "data:image/png;base64,iVBO"}}], (None,)),
        ([{"image_url": {"url": 5}}, {"image_url": None}, {"text": "hi"}, "odd"], ()),
        ("What is it?", ()),
    ],
)
def test_batch_lines_tell_what_images_they_show(content, references):
    odd = [None, {"content": None}]
    assert image_references({"messages": [*odd, {"content": content}]}) == references
    assert image_references({"messages": {"content": content}}) == ()


def test_batch_lines_without_an_object_as_body_are_bad_rows(desk):
    found = desk.read(desk.lines(_batch_line(), {"custom_id": "d", "body": 5}))
    assert "body must be an object, not a number" in found.rows[1].message


def test_batch_lines_are_told_from_rows_with_a_text_called_body(desk):
    found = desk.read(desk.lines({"id": 1, "image": "a", "body": "An article."}))
    assert found.row.passthrough == {"body": "An article."}
    assert found.row.body is None


@pytest.mark.parametrize("body", ["An article.", 5, None])
def test_a_custom_id_beside_a_body_that_is_no_request_makes_no_batch_line(desk, body):
    row = desk.read(desk.lines({"custom_id": "c", "body": body, "image": "a"})).row
    assert isinstance(row, Item)
    assert row.body is None
    assert row.passthrough.get("body") == body


def test_a_body_may_be_json_text(desk):
    row = desk.read(desk.table({"custom_id": ["c"], "body": ['{"model": "m"}']})).row
    assert (row.id, row.body) == ("c", {"model": "m"})
    assert row.given["body"] == '"{\\"model\\": \\"m\\"}"'


def test_params_that_are_known_are_checked_and_others_pass(desk):
    params = {"model": "m", "max_tokens": 5, "temperature": 0, "detail": "low", "top_p": 0.5}
    assert desk.read(desk.lines({"id": 1, "image": "a", "params": params})).row.params == params
