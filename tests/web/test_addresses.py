"""Whose request it is."""

from __future__ import annotations

import pytest

from web.limits.addresses import UNKNOWN, Addresses


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
