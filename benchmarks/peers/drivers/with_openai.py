"""OpenAI's own client, with a semaphore and its retries: what a careful script is made of."""

import asyncio

from given import AT_ONCE, KEY, RETRIES, base_url, bodies, check, rows
from openai import AsyncOpenAI


async def main() -> list[str | None]:
    """Ask every row."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=RETRIES) as client:

        async def ask(row: int) -> str | None:
            async with turn:
                reply = await client.chat.completions.create(**bodies[row % len(bodies)])
            return reply.choices[0].message.content

        return await asyncio.gather(*(ask(row) for row in range(rows)))


if __name__ == "__main__":
    check(asyncio.run(main()))
