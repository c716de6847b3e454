"""Check the host names of requests, and classify addresses as local or remote.

In a DNS rebinding attack the name of a foreign page, ``evil.example``, resolves to 127.0.0.1, which makes its
requests same-origin. They still carry that name in ``Host``. A plain address can't be rebound, so it is
allowed.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from pipeline.settings import Settings

#: Health checks, which use names that no setting lists, and whose answers need no protection.
PROBES: Final = ("/healthz", "/readyz")

_OURS: Final = ("localhost", ".localhost")


class Hosts:
    """The names of this service, from ALLOWED_HOSTS, PUBLIC_URL and HOST."""

    def __init__(self, settings: Settings) -> None:
        """Read the names from the settings."""
        names = {*_OURS, settings.host.lower(), *settings.allowed_hosts}
        if settings.public_url is not None:
            names.add((urlsplit(settings.public_url).hostname or "").lower())
        self._any = "*" in names
        self._names = {name for name in names if not name.startswith(".")}
        self._suffixes = tuple(name for name in names if name.startswith("."))

    def allows(self, host: str) -> bool:
        """Return whether a Host header holds a name of this service or an address."""
        name = host_name(host)
        if name is None:
            return self._any
        return self._any or name in self._names or name.endswith(self._suffixes) or _is_address(name)


def host_name(host: str) -> str | None:
    """Return the name in a Host header, in lower case and without its port; None for an empty name."""
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
    """Return whether other machines can reach a server that is bound to ``host``."""
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
