"""No secret stands in anything that vbatch writes or prints, whoever repeats it, and however."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

import vbatch
from tests.guards.conftest import said
from vbatch.clock import SystemClock
from vbatch.endpoint.client import Client
from vbatch.endpoint.settings import settings_of
from vbatch.errors import redact

KEY = 'sk-canary/"key"+42='
HEADER = "canary-header-\\<7>"
PROXY = "canary%2Fproxy"
LOGIN = "canary/proxy"
"""The same as it is sent, in base64 with the user's name."""
ADDRESS = "canary-in-an-address"
UNRELATED = "canary-that-nobody-asked-for"
SECRETS = {
    "key": KEY,
    "header": HEADER,
    "proxy": PROXY,
    "login": LOGIN,
    "address": ADDRESS,
    "unrelated": UNRELATED,
}


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS = {
    "as it is": lambda secret: secret,
    "in a sentence": lambda secret: f"Incorrect API key provided: {secret}. You can find",
    "twice": lambda secret: f"{secret}{secret}",
    "JSON escapes": lambda secret: json.dumps(secret)[1:-1],
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"key": secret})),
    "all escaped": escaped,
    "percent signs": lambda secret: quote(secret, safe=""),
    "all percent signs": percent,
    "percent signs, twice": lambda secret: quote(percent(secret)),
    "HTML": html.escape,
    "base64": b64,
    "base64 of a login": lambda secret: b64(f"user:{secret}"),
    "base64 in a longer text": lambda secret: b64(f"x{secret}and more"),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"~?{secret}".encode()).decode(),
}
"""How a server may repeat a secret."""


def traces(secret: str) -> set[str]:
    """What a text holds that gives ``secret`` away; of base64 the middle, at any place in it."""
    middles = set()
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(bytes(shift) + secret.encode()).decode().rstrip("=")
            middles.add(whole[4:-3])
    plain = {secret, json.dumps(secret)[1:-1], html.escape(secret)}
    return {*plain, escaped(secret), quote(secret, safe=""), percent(secret), *middles}


def everything(folder) -> dict[str, str]:
    """All that was written below ``folder``, tables as the values they hold."""
    found = {}
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            found[str(path)] = json.dumps(
                pq.read_table(path).to_pylist(), default=str, ensure_ascii=False
            )
            found[f"{path} (footer)"] = repr(pq.read_metadata(path).metadata)
        elif path.is_file():
            found[str(path)] = path.read_bytes().decode("utf-8", "replace")
    return found


def hits(texts, *names) -> list[str]:
    marks = {mark for name in names or SECRETS for mark in traces(SECRETS[name])}
    return [f"{place}: {mark}" for place, text in texts.items() for mark in marks if mark in text]


@pytest.fixture
def vault(workshop, monkeypatch):
    """A job full of secrets, each come by a way that keeps it out of the file."""
    monkeypatch.chdir(workshop.folder)
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("HEADER", HEADER)
    monkeypatch.setenv("PROXY", PROXY)
    monkeypatch.setenv("ADDRESS", ADDRESS)
    monkeypatch.setenv("UNRELATED", UNRELATED)
    workshop.rows(2)

    def job(base_url, **tables):
        path = workshop.job(base_url, retry={"max_attempts": 1}, **tables)
        more = 'headers = { X-Team-Login = "${HEADER}" }\nkeep_alive = false'
        path.write_text(path.read_text().replace("[endpoint]", f"[endpoint]\n{more}"))
        return path

    return job


@pytest.fixture
def told(vb, workshop):
    """Type commands: all that they printed and all that they wrote."""

    def type_all(*commands):
        printed = {" ".join(map(str, words)): "".join(vb(*words)[1:]) for words in commands}
        return {**everything(workshop.folder / "run"), **printed}

    return type_all


def error_with(form):
    """An error that repeats both secrets wherever an error says something."""
    words = f"{form(KEY)} {form(HEADER)}"
    error = {"message": words, "code": form(KEY), "type": form(HEADER), "param": words}
    return json.dumps({"error": error, "id": words, "request_id": words}).encode()


def headers_with(form):
    words = f"{form(KEY)} {form(HEADER)}"
    return {
        "x_request_id": words,
        "set_cookie": f"key={words}",
        "www_authenticate": words,
        "content_type": words,
        "retry_after": form(KEY),
        "location": f"http://x.example/?k={form(KEY)}",
    }


def every_form(secret):
    return " ".join(form(secret) for form in FORMS.values())


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("secret", [KEY, HEADER, PROXY])
def test_a_secret_is_found_in_every_form(secret, name):
    text = f"before {FORMS[name](secret)} after"

    cleared = redact(text, (secret,))

    assert [mark for mark in traces(secret) if mark in cleared] == []
    assert "[redacted]" in cleared
    assert cleared.startswith("before ")
    assert cleared.endswith(" after")


@pytest.mark.parametrize("status", [200, 302, 400, 401, 407, 500])
def test_an_error_that_repeats_secrets_shows_them_nowhere(told, vault, listener, status, evidence):
    reply = error_with(every_form), headers_with(every_form)
    url = listener.chats(status, reply[0], **reply[1])
    listener.answers["/v1/models"] = said(status, reply[0], **reply[1])
    job = vault(url)

    texts = told(["run", job], ["run", job, "--json"], ["check", job], ["status", "run", "--json"])

    found = hits(texts)
    assert found == []
    assert any("[redacted]" in text for text in texts.values())
    evidence.add("secrets in our output", places=len(texts), hits=len(found))


def test_an_answer_that_repeats_what_let_us_in_is_kept_without_it(told, vault, listener, workshop):
    words = f"{every_form(KEY)} {every_form(HEADER)}"
    call = {"id": words, "type": "function", "function": {"name": words, "arguments": words}}
    message = {"content": f"An answer: {words}", "refusal": words, "tool_calls": [call]}
    choice = {"message": message, "finish_reason": words}
    body = json.dumps({"id": words, "model": words, "choices": [choice]}).encode()
    job = vault(listener.chats(200, body, **headers_with(every_form)))

    texts = told(["run", job], ["run", job, "--json"], ["retry", "run", "--finish-reason", KEY])

    assert hits(texts, "key", "header") == []
    rows = vbatch.open_run(workshop.folder / "run").results().to_pylist()
    assert {row["text"][:10] for row in rows} == {"An answer:"}


def test_a_proxy_that_repeats_its_login_gives_it_away_nowhere(told, vault, listener, monkeypatch):
    login = b64(f"user:{LOGIN}")
    words = f"{PROXY} {login} {every_form(LOGIN)}"
    listener.answers["http://gateway.example/v1/chat/completions"] = said(
        407, json.dumps({"error": {"message": words}}).encode(), x_request_id=words
    )
    proxy = f"http://user:{PROXY}@127.0.0.1:{listener.port}"
    by_name = proxy.replace(PROXY, "${PROXY}")
    job = vault("http://gateway.example/v1")
    monkeypatch.setenv("http_proxy", proxy)

    texts = told(
        ["run", job, "-s", f"endpoint.proxy={by_name}"],
        ["run", job, "-s", "endpoint.proxy=env", "--accept-change", "--json"],
    )

    assert hits(texts) == []
    assert len(listener.accepted) == 4
    assert "[redacted]" in "".join(texts.values())


WRONG = {
    "a value": 'send = "${HEADER}"',
    "a list": 'formats = ["${HEADER}"]',
    "a number": 'quality = "${TEST_KEY}"',
    "a size": 'max_bytes = "${HEADER}"',
    "a key beside it": 'sent = "${TEST_KEY}"',
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("verb", ["run", "check", "run --dry-run"])
def test_a_wrong_job_is_described_without_its_secrets(told, vault, listener, what, verb):
    job = vault(listener.base_url)
    job.write_text(f"{job.read_text()}[images]\n{WRONG[what]}\n")

    texts = told([*verb.split(), job, "-s", "limits.requests_per_minute=${HEADER}"])

    assert hits(texts) == []
    assert "images" in "".join(texts.values())


@pytest.mark.parametrize("verb", ["run", "check", "run --dry-run"])
def test_a_folder_that_is_not_there_is_not_named_by_a_secret(told, vault, listener, verb):
    texts = told([*verb.split(), vault(listener.base_url), "-s", "images.root=/x/${ADDRESS}"])

    assert hits(texts) == []
    assert "there is no folder" in "".join(texts.values())


def test_a_secret_that_is_no_word_of_the_question_is_kept_nowhere(told, vault, listener, workshop):
    """An address, a folder and a header by name: kept and shown as the file has them."""
    answer = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
    chat = f"/{ADDRESS}/v1/chat/completions"
    listener.answers[chat] = said(200, json.dumps(answer).encode())
    job = vault(f"http://127.0.0.1:{listener.port}/${{ADDRESS}}/v1")
    workshop.manifest([{"id": n, "image": f"{n}.jpg", "prompt": "?"} for n in ("one", "gone")])
    settings = ["-s", "endpoint.headers.X-More=${HEADER}", "-s", "images.root=${ADDRESS}"]
    (workshop.folder / ADDRESS).mkdir()
    workshop.picture(f"{ADDRESS}/one.jpg")

    texts = told(
        ["run", job, *settings],
        ["run", job, *settings, "--json"],
        ["run", job, *settings, "--dry-run"],
        ["check", job, *settings],
        ["status", "run"],
        ["status", "run", "--json"],
        [
            "models",
            "--profile",
            "openai",
            *settings,
            "-s",
            f"endpoint.base_url={listener.base_url}",
        ],
    )

    assert listener.accepted[0] == chat
    assert hits(texts) == []
    kept = workshop.folder / "run" / ".vbatch" / "job.toml"
    assert kept.read_text() == job.read_text()
    assert "${HEADER}" in texts[str(workshop.folder / "run" / ".vbatch" / "kept.json")]


def test_what_is_printed_for_debugging_shows_none(vault, listener):
    job = vbatch.api.load(vault(listener.base_url))
    settings = settings_of(job, connections=1)
    session = vbatch.api.session(job)
    client = Client(settings, clock=SystemClock())
    things = (job, job.endpoint, settings, session, client, job.model_dump(), job.question())

    shown = {type(thing).__name__: f"{thing!r} {thing!s} {thing}" for thing in things} | {
        "vars": repr({name: repr(value) for name, value in vars(session).items()})
    }

    assert hits(shown) == []


def test_a_new_job_file_and_the_environment_have_nothing_to_do_with_each_other(told, vault):
    texts = told(["init", "fresh"], ["profiles"], ["profiles", "--json"], ["--help"], ["nothing"])

    assert hits(texts) == []
