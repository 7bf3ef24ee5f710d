"""What tokens of one model cost. Pure; money is Decimal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vbatch.records import Usage

_MILLION = Decimal(1_000_000)
_LITTLE = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """USD per million tokens of the prompt, of the answer, and of a prompt's cached part.

    ``cached`` is None where nothing is known to be cheaper. ``source`` says in words where the
    figures come from.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    source: str = ""

    def of(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """USD for so many tokens; ``cached_tokens`` are a part of the prompt's."""
        sum_ = self.input * prompt_tokens + self.output * completion_tokens
        if cached_tokens and self.cached is not None:
            sum_ -= (self.input - self.cached) * min(cached_tokens, prompt_tokens)
        return sum_ / _MILLION

    def cost(self, usage: Usage) -> Decimal | None:
        """USD for what an answer reports; None where it does not say how many tokens."""
        answer = output_of(usage)
        if usage.prompt_tokens is None or answer is None:
            return None
        return self.of(usage.prompt_tokens, answer, usage.cached_tokens or 0)

    def told(self) -> str:
        """The figures in words."""
        figures = f"${self.input.normalize():f} in, ${self.output.normalize():f} out"
        return f"{figures} per million tokens ({self.source})"


def output_of(usage: Usage) -> int | None:
    """Tokens that are paid for as an answer; None where the answer does not say.

    Some gateways count the tokens of thinking in the total alone (Gemini's
    ``thoughts_token_count``), and they are billed like the answer's.
    """
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return usage.completion_tokens
    beyond_prompt = (usage.total_tokens or 0) - usage.prompt_tokens
    return max(usage.completion_tokens, beyond_prompt)


def dollars(amount: Decimal | float) -> str:
    """USD in words: cents, and smaller parts where it is little."""
    if amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= _LITTLE or not amount else f"${amount:.6f}"
