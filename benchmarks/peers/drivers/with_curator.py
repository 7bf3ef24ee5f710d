"""Curator: an ``LLM`` over a list of rows, without its cache."""

import os
from importlib.util import find_spec
from pathlib import Path

os.environ["TIKTOKEN_CACHE_DIR"] = str(  # LiteLLM brings what is otherwise downloaded
    Path(find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers"
)

from bespokelabs import curator
from given import AT_ONCE, KEY, MAX_TOKENS, MODEL, RETRIES, base_url, check, questions

UNLIMITED = 10**9


class Captioner(curator.LLM):
    """Asks one question of one image."""

    def prompt(self, row: dict) -> tuple:
        """Text and image."""
        return row["prompt"], curator.types.Image(url=row["image"])

    def parse(self, row: dict, response: str) -> dict:
        """The answer beside the row."""
        return {**row, "answer": response}


def main() -> list[str]:
    """Ask every row."""
    caption = Captioner(
        model_name=MODEL,
        backend="openai",
        generation_params={"max_tokens": MAX_TOKENS},
        backend_params={
            "base_url": base_url,
            "api_key": KEY,
            "max_concurrent_requests": AT_ONCE,
            "max_requests_per_minute": UNLIMITED,
            "max_tokens_per_minute": UNLIMITED,
            "max_retries": RETRIES,
        },
    )
    dataset = caption([{"prompt": prompt, "image": image} for prompt, image in questions()]).dataset
    return list(dataset["answer"])


if __name__ == "__main__":
    check(main())
