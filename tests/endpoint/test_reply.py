import pytest

from vbatch.endpoint.reply import NotJsonError, Reply, leaves
from vbatch.endpoint.strings import OutsizedJsonError


def read(body):
    return Reply(status=200, body=body).json()


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'"\\ud800"', "\ud800"),
        (b'"\xff"', "\ufffd"),
        (b'{"a": Infinity}', {"a": float("inf")}),
        (b"[" * 900 + b"]" * 900, None),
    ],
)
def test_json_is_read_even_where_it_is_a_little_odd(body, value):
    found = read(body)
    assert value is None or found == value


@pytest.mark.parametrize("body", [b"", b"  ", b"<html>", b'{"a": ', b"a cat", b"\xff\xfe\x00"])
def test_what_is_no_json_says_so(body):
    with pytest.raises(NotJsonError):
        read(body)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[" * 2000 + b"]" * 2000, b"1" * 5000])
def test_json_too_large_to_be_held_says_so(body):
    with pytest.raises(OutsizedJsonError):
        read(body)


def test_leaves_follow_the_named_keys_only():
    document = {"error": [{"code": 3, "echo": {"code": 4}}, "text"], "input": {"code": 5}}
    assert [*leaves(document, ("code", "error"))] == [("code", 3), ("error", "text")]


def test_leaves_of_an_endless_document_end():
    deep = {}
    for _ in range(900):
        deep = {"error": deep}
    wide = {"error": ["x"] * 10_000}
    assert [*leaves(deep, ("error",))] == []
    assert len([*leaves(wide, ("error",))]) == 20
