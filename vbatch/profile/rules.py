"""What a value may be, and the sentence that says so when it is something else.

A rule is a pydantic validator of a single argument, plain where its answer needs no serializer of
its own. It takes what TOML can hold, returns the value
as the house uses it, and converts nothing by guessing: ``"8"`` is no number and ``1`` no boolean.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final, TypeGuard
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator
from pydantic_core import PydanticCustomError

ALLOWED: Final = "allowed"
"""The error type whose ``text`` says what is allowed."""
PRIVATE: Final = "private"
"""Likewise, for values that are never shown: they may be secrets."""

_UNLIMITED = 10**15
_DAY_S = 86_400
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": _DAY_S}
_UNITS_BYTES = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", 1)},
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]i?B|B)", re.ASCII | re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AUTHORITY = re.compile(r"(?:[^\[\]]*@)?(?:\[[^\[\]]+\](?::\d*)?|[^\[\]@]*)")

Rule = Callable[[Any], Any]


class Table(BaseModel):
    """A table of a TOML file: no key but its own, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def wrong(allowed: str) -> PydanticCustomError:
    """The error of a rule that takes only what ``allowed`` names."""
    return PydanticCustomError(ALLOWED, "{text}", {"text": allowed})


def wrong_private(allowed: str) -> PydanticCustomError:
    """Likewise, without ever showing what was found."""
    return PydanticCustomError(PRIVATE, "{text}", {"text": allowed})


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong("true or false")
    return value


def is_text(value: Any) -> bool:
    """Whether ``value`` is a string with something to read in it."""
    return isinstance(value, str) and bool(value.strip())


def _text(value: Any) -> str:
    if not is_text(value):
        raise wrong("text in quotes, not blank")
    return str(value)


def _word(value: Any) -> str:
    if not _is_word(value):
        raise wrong("text in quotes, in one line, no blanks around it")
    return str(value)


def _is_word(value: Any) -> bool:
    return is_text(value) and not _CONTROL.search(value) and value == value.strip()


def whole(low: int, high: int = _UNLIMITED) -> Rule:
    """A rule for whole numbers from ``low`` to ``high``."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            bounds = f"from {low}" if high == _UNLIMITED else f"from {low} to {high}"
            raise wrong(f"a whole number {bounds}")
        return value

    return check


def number(low: float, high: float = _UNLIMITED, *, above: bool = False) -> Rule:
    """A rule for finite numbers from ``low`` (or above it) to ``high``."""

    def check(value: Any) -> float:
        if not _is_number(value) or not low <= value <= high or (above and value == low):
            bounds = f"above {low:g}" if above else f"from {low:g}"
            raise wrong(f"a number {bounds}" + ("" if high == _UNLIMITED else f" to {high:g}"))
        return float(value)

    return check


def _is_number(value: Any) -> TypeGuard[float]:
    """NaN is none; infinity and integers too large for a float are for the bounds to refuse."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - NaN


def _money(value: Any) -> Decimal:
    """Dollars. Decimal by way of the shortest text, so that 0.15 stays 0.15."""
    if not (isinstance(value, Decimal) or _is_number(value)) or not 0 <= value <= _UNLIMITED:
        raise wrong("a number from 0: USD per million tokens")
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _dollars(value: Any) -> Decimal:
    """A budget. Decimal as ``_money``."""
    if not (isinstance(value, Decimal) or _is_number(value)) or not 0 < value <= _UNLIMITED:
        raise wrong("a number of USD above 0")
    return value if isinstance(value, Decimal) else Decimal(str(value))


def duration(*, above: bool = False) -> Rule:
    """A rule for durations, read as seconds: ``"250ms"``, ``"1h30m"``, or a bare number."""
    allowed = 'a duration like "250ms", "60s", "30m", "2h" or a number of seconds, '
    allowed += f"{'above 0' if above else 'from 0'}, at most 365 days"

    def check(value: Any) -> float:
        seconds = _seconds(value) if isinstance(value, str) else value
        if not _is_number(seconds) or not 0 <= seconds <= 365 * _DAY_S or (above and not seconds):
            raise wrong(allowed)
        return float(seconds)

    return check


def _seconds(text: str) -> float | None:
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text.strip():
        return None
    return sum(float(amount) * _UNITS_S[unit] for amount, unit in parts)


def _size(value: Any) -> int:
    """Bytes: ``"20MB"`` is 20,000,000, ``"4MiB"`` 4,194,304, a bare number is bytes."""
    count = _bytes(value) if isinstance(value, str) else value
    if not _is_number(count) or not 1 <= count <= _UNLIMITED or count != int(count):
        raise wrong('a size like "512KB", "20MB", "4MiB" or a number of bytes, from 1')
    return int(count)


def _bytes(text: str) -> int | None:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    units = {unit.upper(): size for unit, size in _UNITS_BYTES.items()}
    return int(Decimal(found[1]) * units[found[2].upper()])


def names(allowed: str, *, least: int = 0) -> Rule:
    """A rule for a string or a list of strings, none of them blank; returns a tuple."""

    def check(value: Any) -> tuple[str, ...]:
        several = (value,) if isinstance(value, str) else value
        if not isinstance(several, list | tuple) or len(several) < least:
            raise wrong(allowed)
        if not all(map(is_path, several)):
            raise wrong(allowed)
        return tuple(several)

    return check


def pairs(allowed: str) -> Rule:
    """A rule for a table of texts, none of them blank or broken into lines."""

    def check(value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(map(_is_word, [*value, *value.values()])):
            raise wrong(allowed)
        return dict(value)

    return check


def is_path(value: Any) -> bool:
    """Whether ``value`` can be a path or a name."""
    return is_text(value) and "\0" not in value


def _url(value: Any) -> str:
    """An http(s) address to which a path can be added; slashes at its end go."""
    if isinstance(value, str) and "@" in value.partition("://")[2].partition("/")[0]:
        raise wrong_private("an address without user name and password; use headers or api_key_env")
    if isinstance(value, str) and (shown := re.split(r"[?#]", value)[0]) != value:
        raise wrong_private(
            'an address like "https://host/v1"; take out the query or fragment that stands after '
            f"{shown!r}, keys go into headers or api_key_env"
        )
    if not is_http_url(value):
        raise wrong('an address like "https://host/v1", without query and fragment')
    return str(value).rstrip("/")


def is_http_url(value: Any) -> bool:
    """Whether ``value`` is an http(s) URL with a host, and a port that can be one."""
    if not is_text(value) or not str(value).isascii() or re.search(r"[\s\x00-\x1f\\]", value):
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
        (parts.hostname or "").encode("idna").decode("idna")  # as DNS wants it: at most 63 a label
    except ValueError:
        return False
    if not _AUTHORITY.fullmatch(parts.netloc):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0


def _variable(value: Any) -> str:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise wrong_private(
            "the name of an environment variable, like OPENAI_API_KEY; the key itself never "
            "stands in a file"
        )
    return value


def is_header_name(name: Any) -> bool:
    """Whether HTTP takes ``name`` as a header's name."""
    return isinstance(name, str) and bool(_TOKEN.fullmatch(name))


def is_header_value(value: Any) -> bool:
    """Whether ``value`` travels in a header as it is: ASCII, one line, no blanks around it."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value == value.strip()
        and not _CONTROL.search(value)
    )


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not (
        all(map(is_header_name, value)) and all(map(is_header_value, value.values()))
    ):
        raise wrong('a table of headers, like { "x-version" = "2024-01-01" }; never a key')
    return dict(value)


def _header(value: Any) -> str:
    if not is_header_name(value):
        raise wrong('the name of a header, like "Authorization"')
    return str(value)


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not is_header_value(value.strip(" ")):
        raise wrong('what stands before the key, like "Bearer "; "" for nothing')
    return value


def _url_path(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[\w./~-]+", value, re.ASCII):
        raise wrong('what follows the base URL, like "/chat/completions"')
    return value


Flag = Annotated[bool, PlainValidator(_flag)]
Text = Annotated[str, PlainValidator(_text)]
Word = Annotated[str, PlainValidator(_word)]
Money = Annotated[Decimal, BeforeValidator(_money)]
Dollars = Annotated[Decimal, BeforeValidator(_dollars)]
Size = Annotated[int, PlainValidator(_size)]
Count = Annotated[int, PlainValidator(whole(1))]
Rate = Annotated[float, PlainValidator(number(0, above=True))]
Seconds = Annotated[float, PlainValidator(duration())]
SomeSeconds = Annotated[float, PlainValidator(duration(above=True))]
HttpUrl = Annotated[str, PlainValidator(_url)]
Variable = Annotated[str, PlainValidator(_variable)]
HeaderName = Annotated[str, PlainValidator(_header)]
Headers = Annotated[dict[str, str], PlainValidator(_headers)]
KeyPrefix = Annotated[str, PlainValidator(_prefix)]
UrlPath = Annotated[str, PlainValidator(_url_path)]
