"""Which names this service answers to, and which addresses are near.

DNS rebinding: the page of `evil.example` has that name point to 127.0.0.1, and its requests are of the same
origin then. They still carry the name in `Host`. An address there is none that could be pointed elsewhere.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from pipeline.settings import Settings

#: Asked by machines, under names that nobody lists; nothing that they answer is worth a name.
PROBES: Final = ("/healthz", "/readyz")

_OURS: Final = ("localhost", ".localhost")


class Hosts:
    """The names of this service, as ALLOWED_HOSTS, PUBLIC_URL and HOST give them."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings."""
        names = {*_OURS, settings.host.lower(), *settings.allowed_hosts}
        if settings.public_url is not None:
            names.add((urlsplit(settings.public_url).hostname or "").lower())
        self._any = "*" in names
        self._names = {name for name in names if not name.startswith(".")}
        self._suffixes = tuple(name for name in names if name.startswith("."))

    def allows(self, host: str) -> bool:
        """Return whether a Host header names this service: by one of its names, or by an address."""
        name = host_name(host)
        if name is None:
            return self._any
        return self._any or name in self._names or name.endswith(self._suffixes) or _is_address(name)


def host_name(host: str) -> str | None:
    """Return the name in a Host header, in lower case and without its port; None when there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") or None
    except ValueError:
        return None


def is_loopback(address: str | None) -> bool:
    """Return whether an address is one of this machine alone."""
    try:
        return ip_address((address or "").partition("%")[0]).is_loopback
    except ValueError:
        return False


def listens_beyond_loopback(host: str) -> bool:
    """Return whether other machines can reach a server that is bound to `host`."""
    try:
        return not ip_address(host.strip("[]")).is_loopback
    except ValueError:
        try:
            found = socket.getaddrinfo(host, None)
        except OSError:
            return True
        return not all(is_loopback(str(address[0])) for *_, address in found)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
