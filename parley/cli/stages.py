"""``parley stages``: serve the page of all Faust apps on a Redis, Parley's own or any others."""

from __future__ import annotations

import logging

import click
from aiohttp import web

from faust_redis import BrokerAddressError, OptionError
from faust_redis.watching import watch_app
from parley.cli.store import url_of
from pipeline.errors import ParleyError
from pipeline.hosts import listens_beyond_loopback
from pipeline.settings import Settings


def run(settings: Settings, *, redis: str | None, namespace: str | None, host: str, port: int) -> None:
    """Serve until a signal.

    Args:
        redis: the broker of the apps; None for the Redis of this service.
        namespace: that of the apps; None for the one in the URL.

    Raises:
        ParleyError: the address or the namespace is invalid.
    """
    token = None if settings.admin_token is None else settings.admin_token.get_secret_value()
    try:
        app = watch_app(
            redis or url_of(settings), namespace=namespace, admin_token=token, hosts=settings.allowed_hosts
        )
    except (BrokerAddressError, OptionError, ValueError) as exc:
        raise ParleyError(str(exc)) from exc
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("faust_redis.watching.actions").setLevel(logging.INFO)
    note = "; other machines need ADMIN_TOKEN" if listens_beyond_loopback(host) else ""
    shown = f"[{host}]" if ":" in host else host
    try:
        web.run_app(
            app,
            host=host,
            port=port,
            print=lambda _: click.echo(f"The page is at http://{shown}:{port}/ (Ctrl-C stops){note}"),
        )
    except OSError as exc:
        raise ParleyError(f"port {port} of {host} can't be used: {exc}") from exc
