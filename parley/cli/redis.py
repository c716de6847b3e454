"""``parley redis``: which Redis is used, and how to reach it."""

from __future__ import annotations

import shlex
import shutil
from urllib.parse import unquote, urlsplit

import click

from faust_redis.redis import addresses_of
from parley.local.embedded import find_server, folder_of, running_of
from pipeline.errors import EmbeddedRedisError
from pipeline.settings import Settings

#: The port of a Sentinel whose address names none.
SENTINEL_PORT = 26379


def run(settings: Settings, *, url_only: bool) -> None:
    """Print the server, its module, its data folder and the command that reaches it.

    Args:
        settings: REDIS_URL, PORT and the data folder are used.
        url_only: print the URL of the embedded server that runs, and nothing else.

    Raises:
        EmbeddedRedisError: the URL was requested, and no embedded server runs.
    """
    if url_only:
        click.echo(running_of(settings.data_dir, settings.port).url)
    elif settings.redis_configured:
        click.echo(f"server   configured by REDIS_URL or REDIS_HOST: {settings.masked_redis_url()}")
        click.echo("module   RedisJSON must be part of it, as in Redis 8")
        for command in commands_to_reach(settings.masked_redis_url()):
            click.echo(f"reach    {command}")
    else:
        _tell_embedded(settings)


def _tell_embedded(settings: Settings) -> None:
    server = find_server()
    click.echo(f"server   Redis {server.version} ({server.origin}): {server.binary}")
    if server.advice is not None:
        click.echo(f"note     {server.advice}")
    try:
        running = running_of(settings.data_dir, settings.port)
    except EmbeddedRedisError as exc:
        click.echo(f"module   RedisJSON: {server.module}")
        click.echo(f"data     {folder_of(settings.data_dir, settings.port)}")
        click.echo(f"reach    not now: {exc}")
        return
    click.echo(f"module   RedisJSON {running.module_version}: {server.module}")
    click.echo(f"data     {running.folder}")
    beside = server.binary.with_name("redis-cli")
    redis_cli = str(beside) if beside.is_file() else shutil.which("redis-cli") or "redis-cli"
    click.echo(f"reach    {shlex.quote(redis_cli)} {_how_to_reach(running.url)}")


def commands_to_reach(url: str) -> list[str]:
    """Return the commands by which an operator reaches a Redis from a shell.

    Args:
        url: REDIS_URL, its password masked.
    """
    address = addresses_of(url)[0]
    parts = urlsplit(address)
    scheme, _, kind = parts.scheme.partition("+")
    if kind == "cluster":
        return [f"redis-cli -c -u {shlex.quote(parts._replace(scheme=scheme).geturl())}"]
    if kind == "sentinel":
        service = parts.path.strip("/").partition("/")[0]
        sentinel = f"redis-cli -h {parts.hostname} -p {parts.port or SENTINEL_PORT}"
        return [
            f"{sentinel} SENTINEL GET-MASTER-ADDR-BY-NAME {shlex.quote(service)}",
            "redis-cli -h HOST -p PORT, with the host and port of that reply",
        ]
    return [f"redis-cli {_how_to_reach(address)}"]


def _how_to_reach(url: str) -> str:
    """Return the options of redis-cli, which takes no unix:// after -u."""
    parts = urlsplit(url)
    return f"-s {shlex.quote(unquote(parts.path))}" if parts.scheme == "unix" else f"-u {shlex.quote(url)}"
