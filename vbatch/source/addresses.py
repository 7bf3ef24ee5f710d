"""Which network addresses a stranger's manifest may make us connect to: public ones."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_REFUSED = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "100.64.0.0/10",  # carriers' NAT; a cloud's metadata at 100.100.100.200
        "168.63.129.16/32",  # a cloud's host agent, although the address is public
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
    )
)
"""What ``is_global`` lets through in one Python version or another."""
_UNICAST = ip_network("2000::/3")
_DOCUMENTATION = ip_network("3fff::/20")
_NAT64 = ip_network("64:ff9b::/96")
_LOCAL_NAMES = (".local", ".internal", ".localdomain", ".home.arpa")
_LOOPBACK = "127.0.0.1"


def is_public(address: str) -> bool:
    """Whether ``address`` (as getaddrinfo writes it) is one of the public internet.

    An IPv4 address within an IPv6 one (mapped, NAT64, 6to4) is judged as itself. Source: IANA's
    special-purpose registries, and the clouds' metadata addresses.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return _is_public_v4(ip) if isinstance(ip, IPv4Address) else _is_public_v6(ip)


def literal_address(host: str) -> str | None:
    """The address that ``host`` itself spells, without being resolved; None for a name.

    Every spelling counts that resolvers take for an IPv4 address: ``127.1``, ``0x7f000001``, ….
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return _LOOPBACK
    if ":" in name:
        return name
    if not name.rpartition(".")[2][:1].isdigit():
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except (OSError, UnicodeError):
        return None


def is_literally_private(host: str) -> bool:
    """Whether ``host`` itself says that it is not public: an address, or a name of local use."""
    address = literal_address(host)
    if address is not None:
        return not is_public(address)
    return not host or host.lower().rstrip(".").endswith(_LOCAL_NAMES)


def _is_public_v4(ip: IPv4Address) -> bool:
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return not any(ip in network for network in _REFUSED)


def _is_public_v6(ip: IPv6Address) -> bool:
    embedded = ip.ipv4_mapped or ip.sixtofour
    if embedded is None and ip in _NAT64:
        embedded = IPv4Address(int(ip) & 0xFFFF_FFFF)
    if embedded is not None:
        return _is_public_v4(embedded)
    return ip in _UNICAST and ip.is_global and ip not in _DOCUMENTATION
