"""Prices: the job's own over the built-in table of model makers and gateways (genai-prices)."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vbatch.costs.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from vbatch.records import Usage

_SELLERS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "fireworks": "fireworks",
    "gemini": "google",
    "google": "google",
    "groq": "groq",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
    "zai": "zai",
}
"""Profiles whose gateway the table knows, by the table's name for it."""
_MAKERS = {
    "anthropic": "anthropic",
    "google": "google",
    "mistral": "mistral",
    "mistralai": "mistral",
    "openai": "openai",
    "x-ai": "x-ai",
    "xai": "x-ai",
}
"""What stands before the slash in a model's name, likewise."""
_OUR_OWN = frozenset({"local", "ollama", "vllm", "sglang", "llamacpp", "lmstudio", "tgi"})
"""Profiles of servers that people run themselves, where no list price means anything."""
_SAMPLE_TOKENS = 1000
"""Priced to learn a rate: few enough for the lowest tier of every price."""


class PriceBook:
    """What each model costs at one gateway.

    ``input`` and ``output`` are the job's prices in USD per million tokens and stand over the
    table's, each for itself. The table knows the list prices of makers and large gateways; what
    other gateways sell is taken at its maker's list price. ``base_url`` tells the gateway where
    the profile does not.
    """

    def __init__(
        self,
        *,
        input: Decimal | None = None,  # noqa: A002 - as the job's key is called
        output: Decimal | None = None,
        profile: str = "",
        base_url: str | None = None,
    ) -> None:
        self._input = input
        self._output = output
        self._profile = profile
        self._base_url = base_url or ""
        self._rates: dict[str, Rate | None] = {}

    def rate(self, model: str) -> Rate | None:
        """What ``model`` costs, None where nobody knows. The first call loads the table."""
        if model not in self._rates:
            self._rates[model] = self._found(model)
        return self._rates[model]

    def cost(self, usage: Usage, model: str) -> Decimal | None:
        """USD for an answer of ``model``: as the endpoint says, else by ``rate``, else None."""
        if usage.cost is not None:
            return usage.cost
        rate = self.rate(model)
        return None if rate is None else rate.cost(usage)

    def _found(self, model: str) -> Rate | None:
        if self._input is not None and self._output is not None:
            return Rate(input=self._input, output=self._output, source="the job's [price]")
        listed = (
            None if self._profile in _OUR_OWN else _listed(model, self._profile, self._base_url)
        )
        if listed is None or (self._input is None and self._output is None):
            return listed
        return Rate(
            input=listed.input if self._input is None else self._input,
            output=listed.output if self._output is None else self._output,
            cached=listed.cached if self._input is None else None,
            source=f"the job's [price] over {listed.source}",
        )


def _listed(model: str, profile: str, base_url: str) -> Rate | None:
    """The table's price, from whoever may sell the model: the gateway, else its maker.

    The table takes some 50 ms and 5 MB, so it is imported where it is asked.
    """
    from genai_prices import Usage, __version__, calc_price  # noqa: PLC0415 - heavy

    sample = Usage(input_tokens=_SAMPLE_TOKENS, output_tokens=_SAMPLE_TOKENS)
    cached = Usage(input_tokens=_SAMPLE_TOKENS, cache_read_tokens=_SAMPLE_TOKENS)
    for name, seller in _places(model, profile, base_url):
        try:
            found = calc_price(sample, name, **seller)
            if found.model_price.__dict__.get("input_mtok") is None:  # priced by something else
                continue
            reread = calc_price(cached, name, **seller)
        except (LookupError, ValueError):
            continue
        return Rate(
            input=_per_million(found.input_price),
            output=_per_million(found.output_price),
            cached=_per_million(reread.input_price),
            source=f"{found.provider.name}'s list price, genai-prices {__version__}",
        )
    return None


def _places(model: str, profile: str, base_url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The model's name with each who may sell it, in the table's words, best known first."""
    if base_url:
        yield model, {"provider_api_url": base_url}
    if profile in _SELLERS:
        yield model, {"provider_id": _SELLERS[profile]}
    maker, slash, name = model.partition("/")
    if slash and maker.lower() in _MAKERS:
        yield name, {"provider_id": _MAKERS[maker.lower()]}
    if profile not in _SELLERS and not _is_near(base_url):
        yield model, {}


def _is_near(base_url: str) -> bool:
    """Whether the address is this machine's or this network's: most likely one's own server."""
    host = urlsplit(base_url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_private
    return host == "localhost" or host.endswith((".local", ".internal", ".localhost"))


def _per_million(sample: Decimal) -> Decimal:
    return sample * 1_000_000 / _SAMPLE_TOKENS
