"""One attempt on its way, and what the journal is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vbatch.engine.outcomes import attempt_of
from vbatch.records import Asked, Tried

if TYPE_CHECKING:
    from vbatch.endpoint.permit import Permit
    from vbatch.endpoint.wire import Body, Question
    from vbatch.engine.budgets import Hold
    from vbatch.engine.outcomes import Origin
    from vbatch.engine.tries import Tries
    from vbatch.errors import EndpointError
    from vbatch.records import Item, SentImage


class Ready(NamedTuple):
    """A row whose request could leave."""

    item: Item
    tries: Tries
    images: tuple[SentImage, ...]
    question: Question
    body: Body


@dataclass(frozen=True, slots=True)
class Asking:
    """One attempt on its way."""

    item: Item
    tries: Tries
    images: tuple[SentImage, ...]
    body: Body
    permit: Permit
    hold: Hold


def asked(asking: Asking, origin: Origin, at: float) -> Asked:
    """A request leaves."""
    return Asked(
        id=asking.item.id,
        row_digest=asking.item.row_digest,
        invocation=origin.invocation,
        at=at,
        attempt=asking.tries.sent,
        model=asking.body.model,
        endpoint=origin.endpoint,
        images=len(asking.images),
        image_bytes=asking.body.image_bytes,
    )


def tried(asking: Asking, error: EndpointError, origin: Origin, at: float) -> Tried:
    """A request was in vain, and its row goes on or stays to do."""
    return Tried(
        id=asking.item.id,
        invocation=origin.invocation,
        at=at,
        model=asking.body.model,
        endpoint=origin.endpoint,
        attempt=attempt_of(error),
    )


def has(images: tuple[SentImage, ...], kind: type) -> bool:
    """Whether one of ``images`` goes like that."""
    return any(isinstance(image, kind) for image in images)


def told(error: EndpointError, body: Body) -> str:
    """What the failures table says of ``error``."""
    if error.code != "request_too_large":
        return error.message
    return f"{error.message} ({body.length:,} bytes were sent)"
