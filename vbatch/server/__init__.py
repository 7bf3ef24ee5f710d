"""The built-in endpoint: speaks the gateways' dialects, measures pixels, is no model.

It stands apart on purpose: written from the gateways' documentation, it shares records and errors
with the rest of the house and nothing else, so that a wrong idea of a dialect shows as a refusal.
``desk`` is the way of one request; ``app`` puts it on a port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbatch.server.dialects import DIALECTS
from vbatch.server.faults import Faults, parse_faults
from vbatch.server.ledger import Ledger
from vbatch.server.settings import ServerSettings, Shape

if TYPE_CHECKING:
    from vbatch.server.app import RunningServer, start, welcome

__all__ = [
    "DIALECTS",
    "Faults",
    "Ledger",
    "RunningServer",
    "ServerSettings",
    "Shape",
    "parse_faults",
    "start",
    "welcome",
]


def __getattr__(name: str) -> Any:
    """Import what serves when it is first used: a run on a gateway is 2 MB smaller without."""
    if name in __all__:
        from vbatch.server import app  # noqa: PLC0415 - that is the point

        return getattr(app, name)
    raise AttributeError(f"module 'vbatch.server' has no attribute {name!r}")
