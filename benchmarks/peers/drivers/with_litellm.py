"""LiteLLM: ``acompletion`` behind a semaphore, with its retries."""

import asyncio

import litellm
from given import AT_ONCE, KEY, MAX_TOKENS, MODEL, RETRIES, base_url, check, messages


async def main() -> list[str | None]:
    """Ask every row."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask(said: list[dict]) -> str | None:
        async with turn:
            reply = await litellm.acompletion(
                model=f"openai/{MODEL}",
                messages=said,
                max_tokens=MAX_TOKENS,
                api_base=base_url,
                api_key=KEY,
                num_retries=RETRIES,
            )
        return reply.choices[0].message.content

    return await asyncio.gather(*(ask(said) for said in messages()))


if __name__ == "__main__":
    check(asyncio.run(main()))
