"""Choose the proxy for requests to the model server from the usual environment variables; no I/O.

``HTTPS_PROXY`` or ``HTTP_PROXY`` by the scheme of MODEL_URL, else ``ALL_PROXY``; ``NO_PROXY`` lists the hosts
for direct connections. A name in lower case takes precedence. Loopback addresses never use a proxy, because
that would reach the loopback of another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from yarl import URL


def proxy_for(url: URL, environment: Mapping[str, str]) -> URL | None:
    """Return the proxy for requests to ``url``, None for a direct connection.

    Raises:
        ValueError: the variable that applies does not hold the URL of an HTTP proxy; the text names it.
    """
    host = (url.host or "").lower().rstrip(".")
    if _is_loopback(host):
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        value = environment.get(name) or environment.get(name.upper())
        if value:
            break
    else:
        return None
    if _is_excluded(host, url.port, environment.get("no_proxy") or environment.get("NO_PROXY") or ""):
        return None
    try:
        proxy = URL(value if "://" in value else f"http://{value}")
        valid = proxy.scheme in ("http", "https") and bool(proxy.host) and proxy.port is not None
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(name.upper())
    return proxy


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excluded(host: str, port: int | None, excluded: str) -> bool:
    return any(_matches(host, port, entry.strip().lower()) for entry in excluded.split(","))


def _matches(host: str, port: int | None, entry: str) -> bool:
    """Return whether an entry of NO_PROXY (``*``, a domain, an address or a network) covers a host."""
    if entry in ("", "*"):
        return entry == "*"
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, _, wanted = entry.rpartition(":")
    if name and wanted.isdecimal():
        if int(wanted) != port:
            return False
        entry = name
    domain = entry.strip("[]").removeprefix("*").strip(".")
    return host == domain or host.endswith(f".{domain}")
