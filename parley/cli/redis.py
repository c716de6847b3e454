"""``parley redis``: which Redis is used, and how to reach it."""

from __future__ import annotations

import shlex
import shutil
from urllib.parse import unquote, urlsplit

import click

from parley.local.embedded import find_server, folder_of, running_of
from pipeline.errors import EmbeddedRedisError
from pipeline.settings import Settings


def run(settings: Settings, *, url_only: bool) -> None:
    """Print what is known of Redis.

    Args:
        settings: whose REDIS_URL, PORT and data folder count.
        url_only: print the URL of the embedded server that runs, and nothing else.

    Raises:
        EmbeddedRedisError: asked for the URL, and no embedded server runs.
    """
    if url_only:
        click.echo(running_of(settings.data_dir, settings.port).url)
    elif settings.redis_configured:
        click.echo(f"server   configured by REDIS_URL or REDIS_HOST: {settings.masked_redis_url()}")
        click.echo("module   RedisJSON must be part of it, as in Redis 8")
        click.echo(f"reach    redis-cli -u {shlex.quote(settings.masked_redis_url())}")
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


def _how_to_reach(url: str) -> str:
    """Return the options of redis-cli, which takes no unix:// after -u."""
    parts = urlsplit(url)
    return f"-s {shlex.quote(unquote(parts.path))}" if parts.scheme == "unix" else f"-u {shlex.quote(url)}"
