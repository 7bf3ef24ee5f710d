"""The yardstick: an aiohttp loop that only sends, 64 at a time: ``bare.py URL BODIES ROWS``.

BODIES holds a chat request per line. What every careful program does besides is left out.
"""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp

WORKERS = 64


async def main(url: str, bodies: list[object], rows: int) -> None:
    """Send ``rows`` requests."""
    todo = iter(range(rows))
    answers = 0

    async def worker(session: aiohttp.ClientSession) -> None:
        nonlocal answers
        for row in todo:
            async with session.post(url, json=bodies[row % len(bodies)]) as reply:
                answer = await reply.json()
            answers += bool(answer["choices"][0]["message"]["content"])

    async with aiohttp.ClientSession(headers={"Authorization": "Bearer none"}) as session:
        await asyncio.gather(*(worker(session) for _ in range(WORKERS)))
    if answers != rows:
        sys.exit(f"{answers} answers to {rows} rows")


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_text().splitlines()
    asyncio.run(main(sys.argv[1], [json.loads(line) for line in lines], int(sys.argv[3])))
