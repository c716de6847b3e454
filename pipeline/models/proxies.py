"""Which proxy a request to the model server goes through: the usual environment variables, no I/O.

`HTTPS_PROXY` and `HTTP_PROXY` by the scheme of MODEL_URL, else `ALL_PROXY`; `NO_PROXY` names the hosts that
are reached directly. Each may be written in lower case, which comes first. A loopback address never goes
through a proxy: it would be another machine's loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from yarl import URL


def proxy_for(url: URL, environment: Mapping[str, str]) -> URL | None:
    """Return the proxy for requests to `url`, None for none.

    Raises:
        ValueError: the variable that applies holds no URL of an HTTP proxy; its text names the variable.
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
    """Return whether a host is meant by an entry of NO_PROXY: `*`, a domain, an address or a network."""
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
