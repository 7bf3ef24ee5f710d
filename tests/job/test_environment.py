import pytest

from vbatch.job.environment import Environment
from vbatch.profile.problems import Problems


@pytest.fixture
def problems():
    return Problems(lambda _: "job.toml")


def lines(problems):
    return [problems._lines[place][0] for place in problems]


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("${NAME}", "value"),
        ("a ${NAME} and ${NAME}", "a value and value"),
        ("${GONE:-default}", "default"),
        ("${GONE:-}", ""),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("${NAME:-default}", "value"),
        ("${GONE:-two\nlines}", "two\nlines"),
        ("${GONE:-$$5}", "$5"),
        ("$$", "$"),
        ("$${NAME}", "${NAME}"),
        ("$$$${NAME}", "$${NAME}"),
        ("$5 and $NAME", "$5 and $NAME"),
        ("{{ page }} {% if a %}", "{{ page }} {% if a %}"),
    ],
)
def test_references_are_filled_in(problems, written, filled):
    environment = Environment({"NAME": "value", "EMPTY": ""}, problems)

    assert environment.fill(written, ("name",)) == filled
    assert lines(problems) == []


def test_strings_anywhere_in_a_tree_are_filled_in_and_nothing_else(problems):
    environment = Environment({"A": "x"}, problems)

    filled = environment.fill({"a": ["${A}", {"b": "${A}"}], "${A}": 5, "c": True, "d": 1.5})

    assert filled == {"a": ["x", {"b": "x"}], "${A}": 5, "c": True, "d": 1.5}


def test_a_value_is_not_looked_into_again(problems):
    environment = Environment({"A": "${B} $$", "B": "x"}, problems)

    assert environment.fill("${A}") == "${B} $$"


def test_a_variable_that_is_not_set_is_named_with_its_key(problems):
    Environment({}, problems).fill({"request": {"prompt": "${GONE}"}})

    assert lines(problems) == [
        (
            "job.toml: request.prompt: the environment variable GONE is not set; set it, or write "
            "${GONE:-default}"
        )
    ]


@pytest.mark.parametrize("written", ["${}", "${a b}", "${A", "${A-b}", "${{ a }}", "${A:-${B}}"])
def test_what_names_no_variable_is_said_to(problems, written):
    Environment({"A": "a", "B": "b"}, problems).fill({"name": written})

    (line,) = lines(problems)
    assert "names no variable; write ${NAME}, ${NAME:-default}, or $$ for $" in line


def test_a_value_that_is_not_utf8_is_refused(problems):
    Environment({"A": "na\udce9ve"}, problems).fill({"name": "${A}"})

    assert lines(problems) == ["job.toml: name: is not UTF-8 text"]


def test_values_from_outside_are_secrets_unless_they_are_short(problems):
    environment = Environment({"LONG": "abcdef", "SHORT": "abcde", "LINES": 'a"b\ncdef'}, problems)

    environment.fill(["${LONG}", "${SHORT}", "${LINES}", "${GONE:-default}"])

    assert environment.secrets == {"abcdef", 'a"b\ncdef', 'a\\"b\\ncdef'}


def test_what_stands_in_a_place_that_commands_name_is_no_secret(problems):
    variables = {
        "DAY": "2026-11-20",
        "PROJECT": "captions",
        "OTHER": "abcdef",
        "API_KEY": "in-path",
    }
    environment = Environment(variables, problems)
    environment.fill([f"${{{name}}}" for name in variables])

    secrets = environment.secrets_beside("/runs/2026-11-20/in-path", "captions.toml")

    assert secrets == {"abcdef", "in-path"}, "a key stays one wherever it stands"
