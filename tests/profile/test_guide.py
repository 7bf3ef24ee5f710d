"""The page on profiles names every key with its default, and its examples are profiles."""

import re
from pathlib import Path

import pytest

from vbatch.profile import Profile, load_profile
from vbatch.profile.rules import Table

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "profiles.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
OF_OTHERS = {"request", "images", "list_models"}


def rows() -> dict[tuple[str, str], str]:
    """The default that the page gives for each key, by table and key."""
    found, table = {}, ""
    for line in GUIDE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or len(cells) != 3 or cells[0] == "key":
            continue
        named = re.match(r"\*\*`\[(\w+)\]`\*\*", cells[0])
        table = named[1] if named else table
        keys = re.findall(r"`(\w+)`", cells[0])
        defaults = cells[1].split(", ") if len(keys) > 1 and ", " in cells[1] else [cells[1]]
        found |= {(table, key): defaults[min(n, len(defaults) - 1)] for n, key in enumerate(keys)}
    return found


def tables() -> dict[str, type[Table]]:
    return {
        "": Profile,
        **{name: Profile.model_fields[name].default_factory for name in OF_OTHERS},
    }


def test_every_key_is_on_the_page_and_no_other():
    keys = {
        (table, name)
        for table, model in tables().items()
        for name in model.model_fields
        if name not in OF_OTHERS
    }

    assert set(rows()) == keys


@pytest.mark.parametrize(("place", "said"), rows().items(), ids=str)
def test_the_default_on_the_page_is_the_real_one(place, said):
    table, key = place
    default = tables()[table].model_fields[key].get_default(call_default_factory=True)
    if (table, key) in {("", "name"), ("images", "formats")}:
        return  # told in words
    said = said.strip("`").strip('"')
    if default is None:
        assert said == "none"
    elif isinstance(default, bool):
        assert said == str(default).lower()
    elif isinstance(default, float):
        assert float(said.removesuffix("s")) == default
    elif isinstance(default, str):
        assert said.strip() == default.strip()
    else:
        assert said in {"[]", "{}"}
        assert not default


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_are_profiles(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)

    profile = load_profile("./mine.toml", tmp_path)

    assert profile.base_url
    assert profile.api_key_env
