import hashlib

import pytest
from PIL import Image

from vbatch.server.dialects import DIALECTS, dialect_of
from vbatch.server.pictures import Pictures
from vbatch.server.refusals import Refusal
from vbatch.server.settings import ServerSettings


def _pictures(dialect="local", **settings) -> Pictures:
    given = ServerSettings(dialect=dialect, **settings)
    return Pictures(given, dialect_of(given))


def _refused(call, *args) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*args)
    assert caught.value.status == 400
    return caught.value


def test_an_inline_picture_is_kept_byte_for_byte(draw, uri):
    data = draw()
    picture = _pictures().get(uri(data), "low")
    assert picture.data == data
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert (picture.media_type, picture.url, picture.detail) == ("image/jpeg", None, "low")


@pytest.mark.parametrize(
    "url",
    [
        "data:image/jpeg;base64,abc",
        "data:image/jpeg;base64,ab\ncd",
        "data:image/jpeg;base64,ab-_",
        "data:image/jpeg;base64,abé=",
        "data:image/jpeg;base64,====",
    ],
)
def test_bad_base64_is_refused(url):
    assert _refused(_pictures().get, url, None).code == "invalid_base64"


@pytest.mark.parametrize(
    "url", ["data:image/jpeg,abcd", "data:;base64,abcd", "data:IMAGE/JPEG;base64,abcd", "data:"]
)
def test_a_data_uri_in_another_form_is_refused(url):
    assert "data URI" in _refused(_pictures().get, url, None).message


@pytest.mark.parametrize("url", ["http://a.test/x", "file:///etc/passwd", "ftp://a", "x.jpg", ""])
def test_other_schemes_than_https_are_refused(url):
    refusal = _refused(_pictures().get, url, None)
    assert refusal.code == "invalid_image_url"
    assert "public https URL" in refusal.message


def test_known_urls_stand_for_their_bytes(draw):
    known = {"https://a.test/x": draw("red"), "https://a.test/x?v=2": draw("blue")}
    pictures = _pictures(url_images=known)
    for url, data in [*known.items(), ("https://a.test/x?sig=1", known["https://a.test/x"])]:
        picture = pictures.get(url, None)
        assert (picture.data, picture.url, picture.media_type) == (data, url, None)


def test_plain_http_is_for_openai_only(draw):
    known = {"http://a.test/x": draw()}
    assert _pictures("openai", url_images=known).get("http://a.test/x", None).data
    assert _refused(_pictures("flexai", url_images=known).get, "http://a.test/x", None)


def test_a_folder_is_known_as_a_host(tmp_path, draw):
    (tmp_path / "in side").mkdir()
    (tmp_path / "in side" / "a.jpg").write_bytes(draw())
    pictures = _pictures(url_root=tmp_path)
    assert pictures.get("https://pictures.test/in%20side/a.jpg?sig=%2F", None).data == draw()


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.test/none.jpg",
        "https://pictures.test/",
        "https://pictures.test/../secret",
        "https://pictures.test/%2e%2e/secret",
        "https://pictures.test//etc/passwd",
        "https://pictures.test/out",
        "https://pictures.test/a%00b",
        "https://elsewhere.test/a.jpg",
        "https://127.0.0.1/a.jpg",
    ],
)
def test_what_cannot_be_fetched_is_refused(tmp_path, url):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path / "secret")
    refusal = _refused(_pictures(url_root=tmp_path / "root").get, url, None)
    assert refusal.code == "invalid_image_url"
    assert "could not fetch" in refusal.message


def test_without_a_folder_its_host_is_unknown():
    assert "could not fetch" in _refused(_pictures().get, "https://pictures.test/a", None).message


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_every_dialect_sees_the_formats_it_takes_and_refuses_others(dialect, kind, draw, uri):
    pictures = _pictures(dialect)
    picture = pictures.get(uri(draw(kind=kind), f"image/{kind.lower()}"), None)
    if kind in DIALECTS[dialect].formats:
        assert pictures.see(picture).format == kind
    else:
        refusal = _refused(pictures.see, picture)
        assert (refusal.kind, refusal.facts["found"]) == ("format", f"image/{kind.lower()}")


def test_urls_are_refused_where_none_are_taken():
    assert _refused(_pictures("ollama").get, "https://pictures.test/a.jpg", None).kind == "url"


def test_an_image_is_measured_as_base64(uri):
    pictures = _pictures("anthropic")
    fits = b"x" * (5_000_000 // 4 * 3)
    assert pictures.get(uri(fits), None).encoded_bytes == 5_000_000
    refusal = _refused(pictures.get, uri(fits + b"x"), None)
    assert (refusal.kind, refusal.facts) == ("bytes", {"size": 5_000_004, "limit": 5_000_000})


def test_the_declared_type_must_be_the_bytes_own(draw, uri):
    pictures = _pictures()
    refusal = _refused(pictures.see, pictures.get(uri(draw(), "image/png"), None))
    assert "said to be image/png but is image/jpeg" in refusal.message


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff\xe0"])
def test_what_cannot_be_decoded_is_refused(data, uri):
    pictures = _pictures()
    assert _refused(pictures.see, pictures.get(uri(data), None)).code == "invalid_image"


@pytest.mark.parametrize(("dialect", "taken"), [("flexai", False), ("vision", True)])
def test_an_animated_gif_is_refused_by_flexai_only(dialect, taken, encode, uri):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    pictures = _pictures(dialect)
    picture = pictures.get(uri(data, "image/gif"), None)
    if taken:
        assert pictures.see(picture).animated
    else:
        assert "Animated GIF" in _refused(pictures.see, picture).message


@pytest.mark.parametrize(("size", "taken"), [((100, 20), True), ((20, 101), False)])
def test_too_high_a_resolution_is_refused(size, taken, draw, uri):
    pictures = _pictures("infinityblue", max_side=100)
    picture = pictures.get(uri(draw(size=size)), None)
    if taken:
        assert pictures.see(picture).width == 100
    else:
        refusal = _refused(pictures.see, picture)
        assert refusal.code == "image_too_large"
        assert "20x101 is too high, at most 100" in refusal.message
