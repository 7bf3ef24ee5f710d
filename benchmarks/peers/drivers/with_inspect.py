"""Inspect: a task of samples that ``generate`` answers, without a scorer.

It downloads every image it is given by URL: here such a row names it in the text instead.
"""

from given import AT_ONCE, KEY, MAX_TOKENS, MODEL, RETRIES, base_url, check, questions
from inspect_ai import Task, eval  # noqa: A004 - its name for it
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    get_model,
)
from inspect_ai.solver import generate


def _content(prompt: str, image: str) -> list[ContentImage | ContentText]:
    if image.startswith("http"):
        return [ContentText(text=f"{image} {prompt}")]
    return [ContentImage(image=image), ContentText(text=prompt)]


def main() -> list[str]:
    """Ask every row."""
    samples = [
        Sample(input=[ChatMessageUser(content=_content(prompt, image))])
        for prompt, image in questions()
    ]
    config = GenerateConfig(
        max_connections=AT_ONCE, max_tokens=MAX_TOKENS, max_retries=RETRIES, cache=False
    )
    (log,) = eval(
        Task(dataset=MemoryDataset(samples), solver=generate()),
        model=get_model(
            f"openai/{MODEL}",
            base_url=base_url,
            api_key=KEY,
            config=config,
            responses_api=False,
        ),
        max_samples=AT_ONCE,
        log_dir="logs",
        log_images=False,
        display="none",
    )
    return [sample.output.completion for sample in log.samples or []]


if __name__ == "__main__":
    check(main())
