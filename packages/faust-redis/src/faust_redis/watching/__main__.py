"""``python -m faust_redis.watching redis://localhost``: serve the page of all Faust apps on a Redis."""

from __future__ import annotations

import argparse
import logging
import os

from aiohttp import web

from faust_redis.watching.web import watch_app


def main() -> None:
    """Serve until a signal; the admin token comes from ``ADMIN_TOKEN``."""
    parser = argparse.ArgumentParser(prog="python -m faust_redis.watching", description=__doc__)
    parser.add_argument("url", help="the broker of the apps, such as redis://localhost:6379")
    parser.add_argument("--namespace", help="that of the apps; by default the one in the URL")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=6067, help="the port to listen on (%(default)s)")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("faust_redis.watching.actions").setLevel(logging.INFO)
    app = watch_app(given.url, namespace=given.namespace, admin_token=os.environ.get("ADMIN_TOKEN") or None)
    web.run_app(app, host=given.host, port=given.port, print=lambda _: print_address(given.host, given.port))


def print_address(host: str, port: int) -> None:
    """Print where the page is."""
    shown = f"[{host}]" if ":" in host else host
    print(f"The page is at http://{shown}:{port}/ (Ctrl-C stops)", flush=True)


if __name__ == "__main__":
    main()
