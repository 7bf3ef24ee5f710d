"""LangChain: ``ChatOpenAI.abatch`` with a bounded concurrency, and its retries."""

import asyncio

from given import AT_ONCE, KEY, MAX_TOKENS, MODEL, RETRIES, base_url, check, messages
from langchain_openai import ChatOpenAI


async def main() -> list[str]:
    """Ask every row."""
    chat = ChatOpenAI(
        model=MODEL, base_url=base_url, api_key=KEY, max_tokens=MAX_TOKENS, max_retries=RETRIES
    )
    replies = await chat.abatch(messages(), config={"max_concurrency": AT_ONCE})
    return [reply.content for reply in replies]


if __name__ == "__main__":
    check(asyncio.run(main()))
