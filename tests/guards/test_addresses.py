"""A manifest's URLs never make us connect to anything but the public internet."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

import vbatch
from tests.conftest import picture
from tests.guards.conftest import PUBLIC, said
from vbatch.source import fetch

PICTURE = picture("teal")

FORMS = {
    "loopback": [
        "http://127.0.0.1:{port}/a.jpg",
        "http://127.1:{port}/",
        "http://127.0.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0X7F.0.0.1:{port}/",
        "http://0177.0.0.01:{port}/",
        "http://017700000001:{port}/",
        "http://127.0.0.1.:{port}/",
        "http://127.255.255.254:{port}/",
        "http://0:{port}/",
        "http://0.0.0.0:{port}/",
        "http://localhost:{port}/",
        "http://LOCALHOST.:{port}/",
        "http://any.thing.localhost:{port}/",
    ],
    "written oddly": [
        "http://good.example@127.0.0.1:{port}/",
        "http://93.184.216.34:80@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}#@good.example/",
        "http://127.0.0.1:{port}?@good.example/",
        "http://127。0。0。1:{port}/",
        "http://①②⑦.0.0.1:{port}/",
        "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11:{port}/",
        "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
        "HTTP://127.0.0.1:{port}/",
        "http://127.0.0.1\t:{port}/",
        "http://[::1%25lo]:{port}/",
    ],
    "IPv6": [
        "http://[::1]:{port}/",
        "http://[::]:{port}/",
        "http://[0:0:0:0:0:0:0:1]:{port}/",
        "http://[0000::0001]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://[::FFFF:7F00:1]:{port}/",
        "http://[::127.0.0.1]:{port}/",
        "http://[64:ff9b::7f00:1]:{port}/",
        "http://[64:ff9b::169.254.169.254]:{port}/",
        "http://[64:ff9b:1::7f00:1]:{port}/",
        "http://[2002:7f00:1::]:{port}/",
        "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]:{port}/",
        "http://[fe80::1]:{port}/",
        "http://[fe80::1%25eth0]:{port}/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://[fec0::1]:{port}/",
        "http://[ff02::1]:{port}/",
        "http://[2001:db8::1]:{port}/",
    ],
    "private and reserved": [
        "http://10.0.0.1:{port}/",
        "http://172.16.0.1:{port}/",
        "http://172.31.255.255:{port}/",
        "http://192.168.0.1:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0xA9FEA9FE/latest/meta-data/",
        "http://2852039166/latest/meta-data/",
        "http://100.64.0.1:{port}/",
        "http://100.100.100.200/latest/meta-data/",
        "http://168.63.129.16/machine",
        "http://192.0.0.192/opc/v2/instance/",
        "http://192.0.2.1:{port}/",
        "http://198.18.0.1:{port}/",
        "http://224.0.0.1:{port}/",
        "http://240.0.0.1:{port}/",
        "http://255.255.255.255:{port}/",
    ],
    "names": [
        "http://loopback.example:{port}/",
        "http://LoopBack.Example.:{port}/",
        "http://loopback6.example:{port}/",
        "http://mapped.example:{port}/",
        "http://nat64.example:{port}/",
        "http://lan.example:{port}/",
        "http://metadata.example/latest/meta-data/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://mixed.example:{port}/",
        "http://mixed6.example:{port}/",
        "http://scoped.example:{port}/",
        "https://loopback.example:{port}/",
        "http://bücher.example:{port}/",
    ],
}
"""Ways to write a place that is nobody's but ours, by kind."""
NO_HOST = {
    "http://good.example%40127.0.0.1:{port}/": "image_unreadable",
    "http://%31%32%37.0.0.1:{port}/": "image_unreadable",
    "http:\\\\127.0.0.1:{port}\\": "image_not_found",
    "http:127.0.0.1:{port}/": "image_not_found",
    "//127.0.0.1:{port}/a.jpg": "image_forbidden",
    "ftp://127.0.0.1:{port}/a.jpg": "image_unsupported",
    "gopher://127.0.0.1:{port}/_GET": "image_unsupported",
    "dict://127.0.0.1:{port}/": "image_unsupported",
    "unix:///var/run/docker.sock": "image_unsupported",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/": "image_unsupported",
    "jar:http://127.0.0.1:{port}!/a": "image_not_found",
    "http://[::1:{port}/": "image_unreadable",
    "http://127.0.0.1:{port}:80/": "image_unreadable",
    "http://:{port}/": "image_unreadable",
}
"""What other programs might take for such a place, and what it is here."""
REDIRECTS = {
    "301": (301, "http://127.0.0.1:{port}/secret"),
    "302": (302, "http://localhost:{port}/secret"),
    "303": (303, "http://[::1]:{port}/secret"),
    "307": (307, "http://loopback.example:{port}/secret"),
    "308": (308, "http://0x7f.1:{port}/secret"),
    "without a scheme": (302, "//127.0.0.1:{port}/secret"),
    "with a name before it": (302, "http://good.example@127.0.0.1:{port}/secret"),
    "to a name that means two": (302, "http://mixed.example:{port}/secret"),
    "to a file": (302, "file:///etc/passwd"),
    "to data": (302, "data:image/png;base64,AAAA"),
    "to another protocol": (302, "gopher://127.0.0.1:{port}/_GET"),
}
"""What a public server may answer: status and place."""
NAMES = {
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "lan.example": ["192.168.1.1"],
    "metadata.example": ["169.254.169.254"],
    "metadata.google.internal": ["169.254.169.254"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
    "mixed6.example": [PUBLIC, "fd00:ec2::254"],
    "scoped.example": ["fe80::1"],
    "xn--bcher-kva.example": ["127.0.0.1"],
    "good.example": [PUBLIC],
}


@pytest.fixture
def fetched(endpoint, workshop, internet, failed, monkeypatch):
    """Run rows with these URLs, fetched by us: their failures by URL, and the endpoint.

    ``known`` are URLs behind which the endpoint itself finds a picture.
    """
    monkeypatch.setattr(fetch, "BACKOFFS_S", (0.01,))
    internet.names |= NAMES

    def run(urls, known=(), **images):
        server = endpoint(dialect="openai", url_images=dict.fromkeys(known, PICTURE))
        internet.ignored.add(urlsplit(server.base_url).port)
        workshop.manifest([{"id": url, "image": url, "prompt": "?"} for url in urls])
        vbatch.run(workshop.job(server.base_url, images={"send": "inline", **images}))
        return failed(), server

    return run


@pytest.mark.parametrize("kind", FORMS)
def test_no_way_to_write_a_private_address_is_connected_to(
    fetched, internet, listener, evidence, kind
):
    urls = [form.format(port=listener.port) for form in FORMS[kind]]

    failures, server = fetched(urls)

    assert {url: failures[url]["code"] for url in urls} == dict.fromkeys(urls, "image_forbidden")
    assert internet.connected == listener.accepted == []
    assert server.sums["requests"] == 0
    evidence.add("addresses refused", forms=len(failures), connections=len(listener.accepted))


def test_what_only_others_take_for_such_a_place_is_no_place_at_all(fetched, internet, listener):
    codes = {form.format(port=listener.port): code for form, code in NO_HOST.items()}

    failures, _ = fetched(list(codes))

    assert {url: failures[url]["code"] for url in codes} == codes
    assert internet.connected == listener.accepted == []


def test_a_redirect_from_outside_leads_nowhere_inside(fetched, internet, listener, evidence):
    for path, (status, place) in enumerate(REDIRECTS.values()):
        location = place.format(port=listener.port)
        listener.answers[f"/{path}"] = said(status, b"", location=location)
    urls = [f"http://good.example:{listener.port}/{n}" for n in range(len(REDIRECTS))]

    failures, _ = fetched(urls)

    assert {failures[url]["code"] for url in urls} == {"image_forbidden"}
    assert sorted(listener.accepted) == sorted(f"/{n}" for n in range(len(REDIRECTS)))
    assert set(internet.connected) == {PUBLIC}
    inside = [path for path in listener.accepted if path == "/secret"]
    evidence.add("addresses refused", forms=len(urls), connections=len(inside))


def test_redirects_that_never_end_are_given_up(fetched, listener):
    here = f"http://good.example:{listener.port}"
    listener.answers["/loop"] = said(302, b"", location="/loop")
    listener.answers |= {f"/chain{n}": said(302, b"", location=f"/chain{n + 1}") for n in range(40)}

    failures, _ = fetched([f"{here}/loop", f"{here}/chain0"])

    for failure in failures.values():
        assert (failure["code"], "redirects" in failure["message"]) == ("image_unreadable", True)
    assert len(listener.accepted) == 12


def test_a_redirect_within_the_public_internet_is_followed(fetched, listener):
    listener.answers["/a/b"] = said(302, b"", location="../there.jpg")
    listener.answers["/there.jpg"] = said(200, PICTURE)

    failures, server = fetched([f"http://good.example:{listener.port}/a/b"])

    assert not failures
    assert server.sums["answered"] == 1


def test_a_name_that_changes_after_it_was_looked_at_gains_nothing(fetched, internet, listener):
    """The address that was judged is the one that is connected to; there is no second lookup."""
    internet.names["fickle.example"] = [[PUBLIC], ["127.0.0.1"]]
    internet.names["turning.example"] = [["127.0.0.1"], [PUBLIC]]
    listener.answers["/fickle"] = said(200, PICTURE)

    failures, server = fetched(
        [f"http://{name}.example:{listener.port}/{name}" for name in ("fickle", "turning")]
    )

    assert [failure["code"] for failure in failures.values()] == ["image_forbidden"]
    assert "turning" in next(iter(failures))
    assert internet.connected == [PUBLIC]
    assert server.sums["answered"] == 1


def test_private_addresses_open_on_request_and_nothing_else_does(
    fetched, internet, listener, workshop, tmp_path_factory
):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.jpg"
    secret.write_bytes(picture("red"))
    listener.answers["/a.jpg"] = said(200, PICTURE)
    listener.answers["/out"] = said(302, b"", location=secret.as_uri())
    here = f"http://127.0.0.1:{listener.port}"
    (workshop.folder / "out.jpg").symlink_to(secret)
    forbidden = [f"{here}/out", str(secret), secret.as_uri(), "out.jpg", "/proc/self/environ"]

    failures, server = fetched([f"{here}/a.jpg", *forbidden], allow_private_urls=True)

    codes = {ref: failure["code"] for ref, failure in failures.items()}
    assert codes == dict.fromkeys(forbidden, "image_forbidden")
    assert set(internet.connected) == {"127.0.0.1"}
    assert server.sums["answered"] == 1


@pytest.mark.parametrize(("send", "as_urls"), [("url", 3), ("auto", 1), ("inline", 0)])
def test_what_goes_as_a_url_is_never_connected_to_by_us(fetched, internet, listener, send, as_urls):
    """The endpoint gets the address as it is, wherever it leads: that door is its own to guard."""
    urls = [
        "https://93.184.216.34/a.jpg",
        f"http://127.0.0.1:{listener.port}/secret",
        "https://localhost/secret",
    ]

    _, server = fetched(urls, known=urls, send=send)

    sent = {url for entry in server.entries for url in entry.urls if url}
    assert sent == set(urls[:as_urls])
    assert listener.accepted == []
    assert set(internet.connected) == ({PUBLIC} if send == "inline" else set())


def test_there_are_more_forms_than_anybody_knows():
    forms = [form for group in FORMS.values() for form in group]

    assert len(set(forms)) == len(forms) > 64
