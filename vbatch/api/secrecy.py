"""Errors leave without the values that came from outside the job file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vbatch.errors import VbatchError, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def keeping_secret(secrets: Sequence[str]) -> Iterator[None]:
    """Take ``secrets`` out of the message of an error on its way out."""
    try:
        yield
    except VbatchError as error:
        error.message = redact(error.message, secrets)
        error.args = (error.message,)
        raise
