"""The built-in endpoint: speaks the gateways' dialects, measures pixels, is no model.

It stands apart on purpose: written from the gateways' documentation, it shares records and errors
with the rest of the house and nothing else, so that a wrong idea of a dialect shows as a refusal.
``desk`` is the way of one request; ``app`` puts it on a port.
"""

from vbatch.server.app import RunningServer, start, welcome
from vbatch.server.dialects import DIALECTS
from vbatch.server.faults import Faults, parse_faults
from vbatch.server.ledger import Ledger
from vbatch.server.settings import ServerSettings, Shape

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
