import pybase64
import pytest

from vbatch.records import ImageSource
from vbatch.source.manifest.refs import (
    BadValue,
    images_of,
    is_remote,
    kind_of,
    unsigned,
    without_bytes,
)

_TWO = b"\0\xff"


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("a/b.jpg", ImageSource(kind="path", ref="a/b.jpg")),
        ("file:///etc/passwd", ImageSource(kind="path", ref="file:///etc/passwd")),
        ("https://x/a.jpg", ImageSource(kind="url", ref="https://x/a.jpg")),
        ("s3://bucket/a.jpg", ImageSource(kind="url", ref="s3://bucket/a.jpg")),
        ("DATA:image/png,x", ImageSource(kind="data_uri", ref="DATA:image/png,x")),
        (b"\x89PNG", ImageSource(kind="bytes", data=b"\x89PNG")),
        ({"url": "s3://x", "detail": "low"}, ImageSource(kind="url", ref="s3://x", detail="low")),
        ({"path": "p"}, ImageSource(kind="path", ref="p")),
        ({"bytes": b"1", "path": "p"}, ImageSource(kind="bytes", data=b"1")),
        ({"bytes": "AP8=", "detail": "high"}, ImageSource(kind="bytes", data=_TWO, detail="high")),
        ({"bytes": None, "path": "p"}, ImageSource(kind="path", ref="p")),
        ({"image_url": "https://x"}, ImageSource(kind="url", ref="https://x")),
        (
            {"type": "image_url", "image_url": {"url": "https://x", "detail": "auto"}},
            ImageSource(kind="url", ref="https://x", detail="auto"),
        ),
        (
            {"detail": "low", "image_url": {"url": "https://x"}},
            ImageSource(kind="url", ref="https://x", detail="low"),
        ),
    ],
)  # fmt: skip
def test_an_image_can_be_given_in_many_ways(value, source):
    assert images_of(value, None) == (source,)
    assert images_of(None, [value]) == (source,)


def test_several_images_stand_in_their_order_after_the_one():
    assert [image.ref for image in images_of("a", ["b", {"path": "c"}])] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("image", "images", "message"),
    [
        (None, None, "no image"),
        ("", None, "no image"),
        ({}, None, "no image"),
        ({"bytes": None, "path": None}, [], "no image"),
        (5, None, "image must be a path, a URL or an object .* it is a number"),
        (None, [None], r"images\[0\] must be .* it is empty"),
        ("a", ["b", ["c"]], r"images\[1\] must be .* it is a list"),
        (None, "a", "images must be a list, not text"),
        ({"url": 5}, None, "image.url must be text; it is a number"),
        ({"url": "", "path": "p"}, None, "image.url must be text; it is empty"),
        ({"image_url": {"url": {"image_url": {}}}}, None, "image.image_url.url must be text"),
        ({"image_url": {}}, None, "image.image_url names no image|image.image_url.image_url"),
        ({"path": "p", "detail": "huge"}, None, "image.detail must be low, high or auto"),
        ({"bytes": 5}, None, "image.bytes must be base64 text, not a number"),
        ({"bytes": "?"}, None, "image.bytes is not base64"),
    ],
)
def test_anything_else_is_refused_by_its_place(image, images, message):
    with pytest.raises(BadValue, match=message):
        images_of(image, images)


@pytest.mark.parametrize(
    ("signed", "plain"),
    [
        ("https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=2&versionId=3", "versionId=3"),
        ("https://b.s3.amazonaws.com/k?AWSAccessKeyId=1&Signature=2%3D&Expires=3", ""),
        ("https://storage.googleapis.com/b/k?x-goog-signature=1&X-Goog-Expires=2", ""),
        ("https://storage.googleapis.com/b/k?GoogleAccessId=1&Expires=2&Signature=3", ""),
        ("https://d.cloudfront.net/k?w=5&Expires=1&Signature=2&Key-Pair-Id=3", "w=5"),
        ("https://d.cloudfront.net/k?Policy=1&Signature=2&Key-Pair-Id=3", ""),
        ("https://a.blob.example/k?sv=1&st=2&se=3&sr=b&sp=r&sig=4&snapshot=5", "snapshot=5"),
        ("https://o.aliyuncs.com/k?OSSAccessKeyId=1&Expires=2&Signature=3", ""),
        ("https://c.myqcloud.com/k?q-sign-algorithm=a&q-ak=b&q-signature=c&q-header-list=", ""),
        ("https://cdn.example/k?token=1&expires=2&size=3", "size=3"),
    ],
)  # fmt: skip
def test_signatures_are_left_out_of_what_makes_an_image_the_same(signed, plain):
    address = signed.partition("?")[0]
    assert unsigned(signed) == (f"{address}?{plain}" if plain else address)
    assert unsigned(signed + "#page=2") == unsigned(signed) + "#page=2"


@pytest.mark.parametrize(
    "ref",
    [
        "https://x/view?token=IMAGE1",
        "https://x/k?sp=2&sr=1&se=no",
        "https://x/k?expiry=1&policy=p",
        "https://x/k?",
        "a?X-Amz-Signature=1",
        "https://[bad/k?Signature=1",
        "https://x/k?a=1&a=2",
    ],
)
def test_parameters_that_may_name_the_image_are_kept(ref):
    assert unsigned(ref) == ref


@pytest.mark.parametrize(
    ("value", "remote"),
    [
        ("https://x", True),
        ("HTTP://x", True),
        ("s3://x", False),
        ("a.jpg", False),
        (["a", "http://x"], True),
        ([["http://x"]], False),
        ({"url": "https://x"}, True),
        ({"bytes": b"", "path": "https://x"}, False),
        ({"image_url": {"url": "https://x"}}, True),
        ({"url": {"url": "https://x"}}, False),
        (5, False),
        (None, False),
    ],
)
def test_http_images_are_told_from_others(value, remote):
    assert is_remote(value) is remote


def test_a_reference_keeps_everything_but_the_bytes():
    value = {"bytes": pybase64.b64encode(b"x"), "path": "p", "detail": "low"}
    assert without_bytes([value, b"x", "a"]) == [{"path": "p", "detail": "low"}, None, "a"]


def test_kinds_are_named_in_the_words_of_json():
    found = [kind_of(value) for value in (None, "a", True, 1, 1.5, [], {})]
    assert found == ["null", "text", "a boolean", "a number", "a number", "a list", "an object"]
