"""What the built-in endpoint is told when it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003
from typing import Literal

from vbatch.errors import JobError
from vbatch.server.faults import Faults

Shape = Literal["rotate", "text", "chat", "responses", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How ``start`` sets up one endpoint. None: no limit, or the dialect's own.

    ``shape`` is what IndoxHub's answers are wrapped in. ``latency_s`` is the mean of an answer's
    seconds, ``slow_s`` what the fault ``slow`` adds. ``retry_after`` stands as it is in the header
    of scripted 429 and 503. ``ledger`` gets a line of JSON per request. ``url_images`` maps URLs to
    the bytes they stand for; files under ``url_root`` are known as ``https://pictures.test/NAME``.
    ``max_side`` in pixels, ``max_request_bytes`` of text and decoded images together. What a batch
    did not get to within ``batch_window_s`` has expired.

    Raises JobError for a latency that cannot be, and a ``url_root`` that is no folder.
    """

    dialect: str = "local"
    api_key: str | None = field(default=None, repr=False)
    shape: Shape = "rotate"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None
    token_budget: int | None = None
    latency_s: float = 0.0
    slow_s: float = 2.0
    faults: Faults = field(default_factory=Faults)
    fault_seed: int = 0
    retry_after: str | None = "1"
    ledger: Path | None = None
    url_images: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    url_root: Path | None = None
    max_images: int | None = None
    max_side: int | None = None
    max_request_bytes: int | None = None
    batch_window_s: float = 86_400.0

    def __post_init__(self) -> None:
        if not 0 <= self.latency_s < math.inf:
            raise JobError(f"latency: an answer cannot take {self.latency_s} seconds")
        if self.url_root is not None and not self.url_root.is_dir():
            raise JobError(f"url root: {self.url_root} is no folder")
