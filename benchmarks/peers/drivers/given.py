"""What every driver is given, and what it owes: ``with_PEER.py BASE_URL BODIES ROWS``.

BODIES holds a chat request per line; a row takes the next, over and over.
"""

import base64
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MODEL = "bench"
KEY = "none"
AT_ONCE = 64
RETRIES = 5
MAX_TOKENS = 120
_, base_url, _bodies, _rows = sys.argv
rows = int(_rows)
bodies: list[dict[str, Any]] = [json.loads(line) for line in Path(_bodies).read_text().splitlines()]


def messages() -> list[list[dict[str, Any]]]:
    """The messages of every row."""
    return [bodies[row % len(bodies)]["messages"] for row in range(rows)]


def questions() -> list[tuple[str, str]]:
    """Prompt and image of every row; photographs are laid down as files and named by path."""
    told = [_question(number, body) for number, body in enumerate(bodies)]
    return [told[row % len(told)] for row in range(rows)]


def _question(number: int, body: dict[str, Any]) -> tuple[str, str]:
    image, text = body["messages"][0]["content"]
    url = image["image_url"]["url"]
    if url.startswith("data:"):
        path = Path(f"image-{number}.jpg").resolve()
        path.write_bytes(base64.b64decode(url.partition(",")[2]))
        url = str(path)
    return text["text"], url


def check(answers: Iterable[object]) -> None:
    """End with a word unless every row has a text."""
    answered = sum(isinstance(answer, str) and bool(answer) for answer in answers)
    if answered != rows:
        sys.exit(f"{answered} answers to {rows} rows")
