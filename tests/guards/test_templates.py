"""A template of somebody else's job runs no code, and neither fills the memory nor goes on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import vbatch
from vbatch.errors import JobError
from vbatch.source.manifest.refs import BadValue
from vbatch.source.manifest.templates import Template

ESCAPES = """\
{{ ''.__class__.__mro__[1].__subclasses__() }}
{{ text.__class__ }}
{{ text['__class__'] }}
{{ text['__cla' ~ 'ss__'] }}
{{ text|attr('__class__') }}
{{ text|attr('\\x5f\\x5fclass\\x5f\\x5f') }}
{{ text|attr(['__cla', 'ss__']|join) }}
{{ (1).__class__.__base__ }}
{{ [].append.__self__ }}
{{ row.items.__func__ }}
{{ range.__globals__ }}
{{ namespace.__init__.__globals__ }}
{{ self.__init__.__globals__.__builtins__.open('TRACE', 'w') }}
{{ self._TemplateReference__context }}
{{ cycler.__init__.__globals__.os.popen('touch TRACE').read() }}
{{ joiner.__init__.__globals__.os.popen('touch TRACE').read() }}
{{ lipsum.__globals__['os'].popen('touch TRACE').read() }}
{{ config.__class__.__init__.__globals__['os'].popen('touch TRACE') }}
{{ request.application.__globals__.__builtins__.__import__('os').popen('touch TRACE') }}
{{ url_for.__globals__['current_app'] }}
{{ get_flashed_messages.__globals__ }}
{{ '{0.__class__}'.format(text) }}
{{ '{a.__class__.__init__.__globals__}'.format_map({'a': text}) }}
{{ '{0.__class__}'|format(text) if False else text.format.__wrapped__.__self__.__class__ }}
{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}
{% macro m() %}{{ m.__globals__ }}{% endmacro %}{{ m() }}
{% macro m() %}{{ caller.__class__ }}{% endmacro %}{% call m() %}{% endcall %}
{% for i in [1] %}{{ loop.__class__.__init__.__globals__ }}{% endfor %}
{% for i in [1] %}{{ loop._iterator.gi_frame }}{% endfor %}
{{ nothing.__class__ }}
{{ (nothing|default(text)).__class__ }}
{{ [text]|sum(attribute='__class__') }}
{{ text.encode.__call__.__self__ }}
{{ ' allowance'.__class__ }}
{{ environment }}
{{ context }}
{{ text|each }}{{ environment.finalize }}
{% set ns = namespace() %}{{ ns._Namespace__attrs }}
{% include '/etc/passwd' %}
{% include ['a', 'b'] ignore missing %}
{% import 'os' as os %}{{ os.system('touch TRACE') }}
{% from 'os' import system %}{{ system('touch TRACE') }}
{% extends '/etc/passwd' %}
{% do row.update({}) %}
{{ row.update({'a': 1}) }}
{{ row.pop('a') }}
{{ parts.append(1) }}
{{ parts.sort() }}
{% set row.a = 5 %}
{{ exec('open("TRACE", "w")') }}
{{ eval('1') }}
{{ open('TRACE', 'w') }}
{{ __import__('os') }}
"""
BOMBS = """\
{% for i in range(10 ** 9) %}{% endfor %}
{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}
{% for a in text * 900 %}{% for b in text * 900 %}{{ 1 if a == b == 0 }}{% endfor %}{% endfor %}
{% for a in range(99999) %}{% set x = range(99999)|list %}{% endfor %}
{% for a in range(99999) %}{{ text * 99 }}{% endfor %}
{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}
{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}
{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}
{{ 'a' * 10 ** 9 }}
{{ 10 ** 9 * 'a' }}
{{ [text] * 10 ** 9 }}
{{ ([text * 1000] * 10000)|length }}
{{ 9 ** 99999 }}
{{ ((((9 ** 64) ** 64) ** 64) ** 64) ** 64 }}
{% set ns = namespace(n=9) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}
{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}
{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}
{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}
{% set n = namespace(s=1) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}
{% macro m(s, n) %}{{ m(s ~ s, n - 1) if n }}{% endmacro %}{{ m('x', 60) }}
{{ 'a'.center(10 ** 9) }}
{{ 'a'|center(10 ** 9) }}
{{ 'a'|center(width=10 ** 9) }}
{{ 'a'.ljust(10 ** 9)|length }}
{{ 'a'.rjust(10 ** 9)|length }}
{{ 'a'.zfill(10 ** 9)|length }}
{{ '\\t'.expandtabs(10 ** 9)|length }}
{{ ('%1000000000d' % 1)|length }}
{{ ('%.1000000000f' % 1)|length }}
{{ ('%*d' % (10 ** 9, 1))|length }}
{{ ('%(a)1000000000d' % {'a': 1})|length }}
{{ '%1000000000d'|format(1)|length }}
{{ '{:>1000000000}'.format(1)|length }}
{{ '{:{}}'.format(1, 10 ** 9)|length }}
{{ '{a:1000000000}'.format_map({'a': 1})|length }}
{{ ('a' * 500000)|replace('a', 'b' * 1000)|length }}
{{ ('a' * 500000).replace('a', 'b' * 1000)|length }}
{{ ('b' * 1000).join('a' * 500000)|length }}
{{ ('a' * 500000)|join('b' * 1000)|length }}
{{ ('a' * 500000).translate({97: 'b' * 1000})|length }}
{{ ('a\\n' * 99999)|indent('b' * 10000)|length }}
{{ 'a'|indent(10 ** 9, true)|length }}
{{ [1]|batch(10 ** 9, 0)|list|length }}
{{ [1]|slice(10 ** 9)|list|length }}
{{ ('a' * 500000)|wordwrap(1)|length }}
{{ ('\\x00' * 500000)|tojson|tojson|tojson|tojson|tojson|tojson|tojson|length }}
{{ 1|round(10 ** 9) }}
"""
VALUES = {"text": "abc", "row": {"a": 1}, "parts": [3, 1]}
ALLOWED_MB = 96


def lines(text: str) -> list[str]:
    return text.splitlines()


def rendered(source: str) -> str:
    return Template(source, where="request.prompt").render(VALUES, there=VALUES)


@pytest.mark.parametrize("source", lines(ESCAPES))
def test_no_template_reaches_beyond_its_row(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises((BadValue, JobError)):
        rendered(source)

    assert list(tmp_path.iterdir()) == []
    assert VALUES == {"text": "abc", "row": {"a": 1}, "parts": [3, 1]}


@pytest.mark.parametrize("source", lines(BOMBS))
def test_no_template_makes_too_much_or_goes_on_for_ever(source):
    with pytest.raises(BadValue):
        rendered(source)


_ALL = """
import json, sys
from vbatch.source.manifest.refs import BadValue
from vbatch.source.manifest.templates import Template

def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) // 1024

before = peak()
for source in json.loads(sys.argv[1]):
    try:
        Template(source, where="x").render({"text": "abc", "row": {}, "parts": []}, there=[])
    except BadValue:
        pass
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_refusing_them_takes_no_memory_either(evidence):
    bombs = lines(BOMBS)

    done = subprocess.run(
        [sys.executable, "-c", _ALL, json.dumps(bombs)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    over = max(0, int(done.stdout) - ALLOWED_MB)
    assert over == 0, done.stdout
    evidence.add("bombs", cases=len(bombs), over_memory=over)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ text|upper ~ '!' }}", "ABC!"),
        ("{{ 'a-b'|replace('-', ' ') }}", "a b"),
        ("{{ '%05.1f %s' % (2, text) }}", "002.0 abc"),
        ("{{ '{:>5}|{}'.format(text, 100000) }}", "  abc|100000"),
        ("{{ '100000 of %s'|format(text) }}", "100000 of abc"),
        (
            "{% for p in parts|sort %}{{ loop.index }}/{{ loop.length }}:{{ p }} {% endfor %}",
            "1/2:1 2/2:3 ",
        ),
        ("{% for p in parts if p > 1 %}{{ p }}{% else %}none{% endfor %}", "3"),
        ("{% for k, v in row.items() %}{{ k }}={{ v }}{% endfor %}", "a=1"),
        ("{{ parts|join(', ') }} {{ parts|map('string')|list|length }}", "3, 1 2"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(text) }}", "<abc>"),
        ("{{ ', '.join(['a', 'b']) }}{{ text.split('b')|last }}", "a, bc"),
        ("{{ 'x'|indent(2, true) }}{{ 'a b'|wordwrap(1) }}", "  xa\nb"),
        ("{{ 2 ** 10 + 3 * 4 - 1 }}{{ 7 % 4 }}", "10353"),
        ("{{ text|truncate(2, true, '', 0) }}{{ row|tojson }}", 'ab{"a": 1}'),
        ("{{ [1, 2]|sum }}{{ 'é'|urlencode }}{{ parts|first }}", "3%C3%A93"),
    ],
)
def test_what_prompts_are_made_of_works_as_ever(source, text):
    assert rendered(source) == text


def test_such_a_template_fails_its_rows_and_sends_nothing(endpoint, workshop, failed):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    workshop.manifest([{"id": "a", "image": "one.jpg", "title": "t"}])
    prompt = (
        "{{ title }}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )

    vbatch.run(workshop.job(server.base_url, request={"prompt": prompt}))

    assert failed()["a"]["code"] == "bad_row"
    assert "loops" in failed()["a"]["message"]
    assert server.sums["requests"] == 0
