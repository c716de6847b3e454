"""Whose request it is."""

from __future__ import annotations

import pytest

from pipeline.edge.addresses import UNKNOWN, WIDE_FACTOR, Addresses, shares


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.7", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.7", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.7", ["6.6.6.6", "198.51.100.1, 10.0.0.8"], "198.51.100.1"),
        ("10.0.0.7", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.7", ["[2001:db8::5]:4711"], "2001:db8::/64"),
        ("10.0.0.7", ["garbage"], "10.0.0.7"),
        ("10.0.0.7", [], "10.0.0.7"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("2001:db8:0:1::5", [], "2001:db8:0:1::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, [], UNKNOWN),
    ],
)
def test_only_trusted_proxies_may_say_who_is_behind_them(
    peer: str | None, forwarded_for: list[str], client: str
) -> None:
    assert Addresses(["10.0.0.0/8"]).client(peer, forwarded_for) == client


def test_a_client_with_ipv6_counts_by_its_wide_network_too() -> None:
    assert shares("203.0.113.9") == {"203.0.113.9": 1}
    assert shares(UNKNOWN) == {UNKNOWN: 1}
    of_two = [shares(f"2001:db8:0:{net}::/64") for net in ("1", "ffff")]
    assert of_two == [
        {f"2001:db8:0:{net}::/64": 1, "wide 2001:db8::/48": WIDE_FACTOR} for net in ("1", "ffff")
    ]
