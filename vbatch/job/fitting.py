"""Whether job, profile and this version of vbatch fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbatch.costs.book import PriceBook
from vbatch.job.layers import without
from vbatch.job.paths import scheme
from vbatch.profile.problems import Place, Problems, refusal
from vbatch.profile.rules import is_header_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbatch.job.tables import JobFile, Price
    from vbatch.profile import Profile

_NOT_BUILT: tuple[Place, ...] = (
    ("endpoint", "transport"),
    ("engine",),
    ("report",),
)
"""Keys that are known but do nothing yet."""

_OURS = {
    "messages": "vbatch writes the messages; set request.prompt and request.system",
    "model": "set endpoint.model",
}
_TWINS = {
    "tools": "tools",
    "tool_choice": "tool_choice",
    "response_format": "response_schema",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "temperature": "temperature",
    "detail": "detail",
}
_HOP_HEADERS = ("connection", "content-length", "content-type", "host", "transfer-encoding")


def without_unbuilt(tree: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Return ``tree`` without the keys that are not built yet, which are noted as problems."""
    for place in _NOT_BUILT:
        table = tree.get(place[0]) if place[1:] else tree
        if isinstance(table, dict) and place[-1] in table:
            problems.add(place, "not built yet in this version of vbatch; take this key out")
            tree = without(tree, place)
    return tree


def check_local(asked: JobFile, problems: Problems) -> None:
    """Note what does not stand on a local disk."""
    for place, values in ((("manifest",), asked.manifest), (("output",), (asked.output,))):
        for value in filter(None, values):
            if (found := scheme(value)) is not None:
                told = "a local path; {}:// is not built yet in this version of vbatch"
                problems.add(place, refusal(value, told.format(found)))
    for root in asked.images.root:
        if scheme(root) is not None:
            problems.add(("images", "root"), refusal(root, "a local folder"))


def check(asked: JobFile, profile: Profile, problems: Problems) -> None:
    """Note where a job asks for what its gateway cannot do, or leaves open what it must say."""
    for place, sentence in (
        *_endpoint(asked, profile),
        *_headers(asked, profile),
        *_extra(asked, profile),
        *_request(asked, profile),
        *_budgets(asked, profile),
    ):
        problems.add(place, sentence)


def _endpoint(asked: JobFile, profile: Profile) -> Iterator[tuple[Place, str]]:
    if asked.endpoint.base_url is None and not profile.starts_here:
        yield (
            ("endpoint", "base_url"),
            f'required, as profile {profile.name} has none; allowed: an address like "https://host/v1"',
        )
    if asked.endpoint.model is None:
        known = f", like {', '.join(profile.models)}" if profile.models else ""
        yield (
            ("endpoint", "model"),
            f"required, as profile {profile.name} has none; allowed: a vision model{known}",
        )
    wanted = asked.images.format
    if wanted != "auto" and wanted not in profile.images.formats:
        formats = ", ".join(["auto", *profile.images.formats])
        yield ("images", "format"), refusal(wanted, f"what {profile.name} takes: {formats}")


def _headers(asked: JobFile, profile: Profile) -> Iterator[tuple[Place, str]]:
    """The key's header is taken where there is a key; the others are the client's own."""
    keys = [profile.auth_header.lower()] if asked.endpoint.api_key_env else []
    for name in asked.endpoint.headers:
        place = ("endpoint", "headers", name)
        if name.lower() in keys:
            yield place, f"the key of {asked.endpoint.api_key_env} goes there; take this header out"
        if name.lower() in _HOP_HEADERS:
            yield place, "vbatch writes this header itself; take it out"


def _extra(asked: JobFile, profile: Profile) -> Iterator[tuple[Place, str]]:
    for name, value in asked.request.extra.items():
        place = ("request", "extra", name)
        if name in _OURS:
            yield place, f"not allowed here; {_OURS[name]}"
        elif name == "stream" and value is not False:
            yield place, "not allowed here; set request.stream"
        elif name == "n" and not _few(value, profile.request.max_choices):
            most = profile.request.max_choices
            yield place, refusal(value, f"at most {most} answer to a request of {profile.name}")
        elif (twin := _TWINS.get(name)) and getattr(asked.request, twin) is not None:
            yield place, f"said twice; request.{twin} is set too, take one of them out"


def _request(asked: JobFile, profile: Profile) -> Iterator[tuple[Place, str]]:
    if asked.request.stream and not profile.request.stream:
        allowed = f"false; the gateway of profile {profile.name} does not stream"
        yield ("request", "stream"), refusal(asked.request.stream, allowed)
    if asked.request.tool_choice is not None and asked.request.tools is None:
        yield ("request", "tool_choice"), "there is nothing to choose from; set request.tools"


def _budgets(asked: JobFile, profile: Profile) -> Iterator[tuple[Place, str]]:
    """A budget that nobody can count is none."""
    model = asked.endpoint.model
    budgets = [k for k in ("max_cost", "max_cost_total") if getattr(asked.limits, k) is not None]
    if not budgets or model is None:
        return
    if price_book(asked.price, profile, asked.endpoint.base_url).rate(model) is None:
        told = f"cannot be kept, as the price of {model} at {profile.name} is not known; set "
        told += "price.input and price.output, in USD per million tokens"
        for key in budgets:
            yield ("limits", key), told


def price_book(price: Price, profile: Profile, base_url: str | None) -> PriceBook:
    """What models cost a job."""
    return PriceBook(
        input=price.input, output=price.output, profile=profile.name, base_url=base_url
    )


def _few(value: Any, most: int | None) -> bool:
    return most is None or (isinstance(value, int) and value <= most)


def key(variable: str | None, variables: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the API key that ``variable`` holds, or what is wrong with it; never both.

    Such a key would be sent as it is, and refused with a puzzle, or tear the request's headers.
    """
    if variable is None:
        return None, None
    value = variables.get(variable, "")
    if not value:
        state = "empty" if variable in variables else "not set"
        return None, f"the environment variable {variable}, which holds the API key, is {state}"
    if " " in value or not is_header_value(value):
        return None, (
            f"the environment variable {variable} holds no API key that can be sent: a line break, "
            "blank, control character or non-ASCII letter is in it"
        )
    return value, None
