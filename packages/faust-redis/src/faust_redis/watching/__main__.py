"""``python -m faust_redis.watching redis://localhost``: serve the page of all Faust apps on a Redis."""

from __future__ import annotations

import argparse
import logging
import os

from aiohttp import web

from faust_redis.errors import TransportError
from faust_redis.watching.web import watch_app


def main() -> None:
    """Serve until a signal; the admin token comes from ``ADMIN_TOKEN``.

    Wrong arguments, and a port that can't be used, end the program with status 2 and one line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m faust_redis.watching",
        description="Serve the page of all Faust apps on a Redis.",
        epilog="Whoever presents the ADMIN_TOKEN (a variable; 16 characters or more) reads entries and acts.",
    )
    parser.add_argument("url", help="the broker of the apps, such as redis://localhost:6379")
    parser.add_argument("--namespace", help="the namespace of the apps; by default the one in the URL")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=6067, help="the port to listen on (%(default)s)")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("faust_redis.watching.actions").setLevel(logging.INFO)
    token = os.environ.get("ADMIN_TOKEN") or None
    try:
        app = watch_app(given.url, namespace=given.namespace, admin_token=token)
    except (TransportError, ValueError) as error:
        parser.error(str(error))
    try:
        web.run_app(
            app, host=given.host, port=given.port, print=lambda _: print_address(given.host, given.port)
        )
    except OSError as error:
        parser.error(f"port {given.port} of {given.host} can't be used: {error}")


def print_address(host: str, port: int) -> None:
    """Print where the page is."""
    shown = f"[{host}]" if ":" in host else host
    print(f"The page is at http://{shown}:{port}/ (Ctrl-C stops)", flush=True)


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**16:
        raise argparse.ArgumentTypeError(f"{number} is not a port: 1 to 65535")
    return number


if __name__ == "__main__":
    main()
