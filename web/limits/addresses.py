"""Whose request it is: the address of a client, seen through the proxies that we trust."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

UNKNOWN = "unknown"
"""The address of a client that has none, as on a Unix socket."""

_Network = IPv4Network | IPv6Network
# Bits of an IPv6 address that one customer of a provider usually has for himself: counting each of his
# addresses alone would count nothing.
_IPV6_PREFIX = 64


class Addresses:
    """Tells clients apart."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Take the networks whose X-Forwarded-For is believed."""
        self._trusted: list[_Network] = [ip_network(network) for network in trusted_proxies]

    def client(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """Return the address that counts for a request's limits.

        That is the peer; or, when it is a trusted proxy, the last address in front of it that is none. What
        stands before that one anybody could have written.

        Args:
            peer: the address at the other end of the connection.
            forwarded_for: the values of all headers X-Forwarded-For, in their order.
        """
        hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
        current = _address(peer or "")
        while current is not None and hops and any(current in network for network in self._trusted):
            before = _address(hops.pop())
            if before is None:
                break
            current = before
        return UNKNOWN if current is None else _counted(current)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    host = text.partition("%")[0].strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        # Some proxies add the port.
        try:
            address = ip_address(host.rpartition(":")[0].strip("[]"))
        except ValueError:
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _counted(address: IPv4Address | IPv6Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ip_network((address, _IPV6_PREFIX), strict=False))
