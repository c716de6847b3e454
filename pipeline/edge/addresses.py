"""Determine the address of a client, also behind trusted proxies."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

UNKNOWN = "unknown"
"""The address of a client without one, as on a Unix socket."""

WIDE_FACTOR = 16
"""The limits of a wide network as a multiple of those of an address."""

_WIDE = "wide "

_Network = IPv4Network | IPv6Network
# Bits of the IPv6 network that one customer of a provider usually owns; limits per address would be useless.
_IPV6_PREFIX = 64
# Bits of the largest allotments to one customer: 65,536 of the networks above, which have a common limit.
_IPV6_WIDE_PREFIX = 48


class Addresses:
    """Determine the addresses by which limits count clients."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Store the networks whose X-Forwarded-For is trusted."""
        self._trusted: list[_Network] = [ip_network(network) for network in trusted_proxies]

    def client(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """Return the address by which a request's limits count.

        That is the peer or, behind trusted proxies, the last address that is not a trusted proxy. Clients can
        forge the addresses before that one.

        Args:
            peer: the address at the other end of the connection.
            forwarded_for: the values of all X-Forwarded-For headers, in order.
        """
        hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
        current = _address(peer or "")
        while current is not None and hops and self.is_trusted(current):
            before = _address(hops.pop())
            if before is None:
                break
            current = before
        return UNKNOWN if current is None else _counted(current)

    def counted(self, peer: str | None) -> tuple[str, tuple[str, ...]]:
        """Return the address by which a connection counts, and the groups that limit it.

        Trusted proxies and Unix sockets have no limit, because they carry the connections of all clients.
        """
        address = _address(peer or "")
        if address is None:
            return UNKNOWN, ()
        client = _counted(address)
        if self.is_trusted(address):
            return client, ()
        wide = wide_network(client)
        return client, (client,) if wide is None else (client, wide)

    def trusts(self, peer: str | None) -> bool:
        """Return whether a peer is a trusted proxy or in a trusted network."""
        address = _address(peer or "")
        return address is not None and self.is_trusted(address)

    def is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        """Return whether an address is that of a trusted proxy."""
        return any(address in network for network in self._trusted)


def wide_network(client: str) -> str | None:
    """Return the larger network that an IPv6 client may own, as "wide 2001:db8::/48"; None for IPv4."""
    if ":" not in client:
        return None
    return f"{_WIDE}{ip_network(client.partition('/')[0] + f'/{_IPV6_WIDE_PREFIX}', strict=False)}"


def is_wide(group: str) -> bool:
    """Return whether a group that limits count is a wide network."""
    return group.startswith(_WIDE)


def shares(client: str) -> dict[str, int]:
    """Return the groups by which a client's limits count, each with the factor on the limit."""
    wide = wide_network(client)
    return {client: 1} if wide is None else {client: 1, wide: WIDE_FACTOR}


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
