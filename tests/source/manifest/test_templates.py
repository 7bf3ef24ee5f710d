import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbatch.errors import JobError, ManifestError
from vbatch.records import BadRow
from vbatch.source.manifest.refs import BadValue
from vbatch.source.manifest.templates import Template


def _render(source, **values):
    return Template(source, where="request.prompt").render(values, there=values)


def test_text_without_marks_is_taken_as_it_is():
    assert _render("Describe.\r\n  } % {\n") == "Describe.\r\n  } % {\n"


def test_a_template_is_filled_from_the_rows_columns(desk):
    path = desk.lines({"id": "a", "image": "x.jpg", "title": "Sea", "tags": ["b", "c"]})
    prompt = "{{ id }} {{ image }} {{ title | upper }} {% for t in tags %}{{ t }},{% endfor %}"
    assert desk.read(path, prompt=prompt).row.prompt == "a x.jpg SEA b,c,"


def test_columns_go_by_the_manifests_names_and_ours(desk):
    path = desk.lines({"key": 1, "photo": {"path": "p", "bytes": "AA=="}, "q": "x"})
    found = desk.read(
        path,
        columns={"id": "key", "image": "photo"},
        prompt="{{ photo.path }}{{ image.path }}{{ id }}",
    )
    assert found.row.prompt == "pp1"


def test_the_system_prompt_is_a_template_too_and_the_rows_own_is_literal(desk):
    path = desk.lines(
        {"id": 1, "image": "a", "lang": "fr"},
        {"id": 2, "image": "b", "lang": "de", "system": "{{ own }}"},
        {"id": 3, "image": "c", "lang": "en", "system": ""},
    )
    found = desk.read(path, system="Speak {{ lang }}.")
    assert [row.system for row in found.rows] == ["Speak fr.", "{{ own }}", None]


@pytest.mark.parametrize("source", ["{{ x", "{% if %}", "{{ x | nosuch }}", "{% endfor %}"])
def test_a_template_that_cannot_be_read_is_refused_at_once(desk, source):
    with pytest.raises(JobError, match=r"request\.prompt: line 1 of the template"):
        desk.manifest("m.jsonl", prompt=source)


@pytest.mark.parametrize(
    "source", ["{% include 'a' %}", "{% import 'a' as b %}", "{% extends 'a' %}"]
)
def test_a_template_cannot_load_others(source):
    with pytest.raises(JobError, match="cannot include"):
        Template(source, where="request.system")


def test_a_template_nested_without_end_is_refused():
    with pytest.raises(JobError, match="nested too deeply"):
        Template("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", where="request.prompt")


def test_a_column_that_no_row_has_stops_before_anything_is_sent(desk):
    path = desk.lines({"id": 1, "image": "a", "title": "t"}, {"id": 2, "image": "b"})
    with pytest.raises(
        ManifestError, match="'headline' is undefined; columns of this row: id, image, title"
    ):
        desk.read(path, prompt="About {{ headline }}")


def test_a_column_that_some_rows_lack_makes_those_bad_rows(desk):
    path = desk.lines({"id": 1, "image": "a", "title": "t"}, {"id": 2, "image": "b"})
    found = desk.read(path, prompt="About {{ title }}")
    assert found.row.prompt == "About t"
    assert isinstance(found.rows[1], BadRow)
    assert found.rows[1].id == "2"
    assert (
        "request.prompt: 'title' is undefined; columns of this row: id, image"
        in found.rows[1].message
    )


def test_a_column_that_appears_after_the_first_hundred_rows_is_no_mistake(desk):
    rows = [{"id": n, "image": "a"} for n in range(100)]
    found = desk.read(
        desk.lines(*rows, {"id": 100, "image": "a", "title": "t"}), prompt="{{ title }}"
    )
    assert found.rows[100].prompt == "t"


def test_a_column_with_a_default_may_be_absent(desk):
    path = desk.lines({"id": 1, "image": "a"})
    assert desk.read(path, prompt="{{ title | default('it') }}").row.prompt == "it"


def test_a_template_that_nobody_uses_may_name_what_is_absent(desk):
    path = desk.lines({"id": 1, "image": "a", "prompt": "own"})
    assert desk.read(path, prompt="{{ nosuch }}").row.prompt == "own"


def test_rows_that_are_wrong_themselves_say_nothing_of_a_template(desk):
    found = desk.read(desk.lines({"id": 1, "image": "a", "prompt": 5}), prompt="{{ nosuch }}")
    assert "prompt must be text" in found.row.message
    found = desk.read(desk.lines({"custom_id": 1, "body": {}}), prompt="{{ nosuch }}")
    assert found.row.body == {}


def test_the_system_prompts_columns_are_looked_for_too(desk):
    with pytest.raises(ManifestError, match=r"request.system: 'nosuch' is undefined"):
        desk.read(desk.lines({"id": 1, "image": "a"}), prompt=None, system="{{ nosuch }}")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ a }}", "null value"),
        ("{{ b.c }}", "no attribute 'c'"),
        ("{{ b() }}", "not callable"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ b.__class__ }}", "unsafe"),
        ("{{ 'x' * 9999999 }}", "repetition"),
        ("{{ 9999999 * [1] }}", "repetition"),
        ("{{ 9 ** 99999 }}", "power"),
        ("{% for i in range(99999999) %}{{ i }}{% endfor %}", "Range too big"),
        ("{% for i in range(99999) %}{{ b * 50 }}{% endfor %}", "more than 1048576 characters"),
        ("{{ b | attr('x') }}", "has no attribute"),
    ],
)
def test_what_fails_while_it_is_filled_says_why(source, reason):
    with pytest.raises(BadValue, match=reason):
        _render(source, a=None, b="text")


def test_null_can_be_tested_for_and_replaced():
    assert (
        _render("{% if a %}x{% endif %}{{ a or 'none' }}{{ 3 * 4 }}{{ 2 ** 3 }}", a=None)
        == "none128"
    )


def test_columns_used_are_known_by_template():
    source = "{{ a.b }}{% for x in c %}{{ x }}{{ loop.index }}{% endfor %}{{ range(1) }}"
    assert Template(source, where="request.prompt").columns == {"a", "c"}


def test_the_manifest_names_the_columns_of_each_template(desk):
    manifest = desk.manifest("m.jsonl", prompt="{{ b }}{{ a }}", system="{{ a }}")
    assert manifest.template_columns == ("prompt:a", "prompt:b", "system:a")
    assert desk.manifest("m.jsonl").template_columns == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)
_PIECES = st.sampled_from(
    ["{{ a }}", "{{ a.b }}", "{{ a[0] }}", "{% for x in a %}{{ x }}{% endfor %}", "{{ a|length }}",
     "{{ a * 3 }}", "{{ a|join }}", "{{ a() }}", "text", "{{ a|tojson }}", "{{ a % a }}"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=4).map("".join), _JSON)
@settings(max_examples=150, deadline=None)
def test_any_value_gives_text_or_a_bad_value(source, value):
    try:
        text = _render(source, a=value)
    except BadValue as e:
        text = str(e)
    assert isinstance(text, str)
