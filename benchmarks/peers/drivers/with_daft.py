"""Daft: a data frame with a column that ``prompt`` makes; photographs are read by ``download``."""

import daft
from daft.ai.openai.provider import OpenAIProvider
from daft.functions import download, prompt
from given import KEY, MAX_TOKENS, MODEL, RETRIES, base_url, check, questions


def main() -> list[str]:
    """Ask every row. How many are on their way at once is Daft's own choice."""
    prompts, images = zip(*questions(), strict=True)
    frame = daft.from_pydict({"prompt": list(prompts), "image": list(images)})
    image = daft.col("image")
    answer = prompt(
        [image if images[0].startswith("http") else download(image), daft.col("prompt")],
        provider=OpenAIProvider(base_url=base_url, api_key=KEY),
        model=MODEL,
        use_chat_completions=True,
        max_retries=RETRIES,
        max_tokens=MAX_TOKENS,
    )
    return frame.select(answer.alias("answer")).to_pydict()["answer"]


if __name__ == "__main__":
    check(main())
