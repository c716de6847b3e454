"""Check which TCP ports of this machine are free, without reserving them."""

from __future__ import annotations

import os
import socket

_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def bind_error(host: str, port: int) -> str | None:
    """Return why no server can listen on ``port`` of ``host`` now, None if one can."""
    try:
        with socket.create_server((host, port), family=_family(host)):
            return None
    except OSError as exc:
        return os.strerror(exc.errno).lower() if exc.errno else str(exc)


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on ``port`` of ``host`` now."""
    return bind_error(host, port) is None


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of ``host`` that the system has just found free."""
    with socket.create_server((host, 0), family=_family(host)) as server:
        port: int = server.getsockname()[1]
        return port


def local_url(host: str, port: int) -> str:
    """Return the URL by which this machine reaches a web server that is bound to ``host``."""
    host = _THIS_MACHINE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
