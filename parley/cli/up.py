"""``parley up``: the whole service on one machine, started and stopped in order.

The fork server, which loads most, starts first; Redis, unless the user has set the address of another, starts
meanwhile; then the four agents and the web start at the same time. They stop in reverse: the web accepts no
more messages, the agents finish their work, and Redis writes its file.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from functools import partial

from parley.local.forks import ForkServer
from parley.local.lifetimes import die_with_our_parent, die_with_parent
from parley.local.ports import bind_error
from pipeline.errors import SettingsError
from pipeline.settings import Settings

# Time to stop Redis; together with the other parts below the 10 s after which ``up`` has ended.
_REDIS_STOP_SECONDS = 2.0
# The parts of an ``up`` that was killed end a moment later.
_PORT_PATIENCE_SECONDS = 1.0
_PORT_INTERVAL_SECONDS = 0.1


def run(*, with_parent: bool) -> int:
    """Run everything until a signal comes; return the exit status.

    Args:
        with_parent: stop when the parent process ends, because ``make up`` may be killed with -9.

    Raises:
        SettingsError: a setting is wrong, or PORT is taken.
        EmbeddedRedisError: no Redis can run on this machine, or another copy uses the folder.
    """
    if with_parent and not die_with_our_parent(signal.SIGTERM):
        return 0
    settings = _development_settings()
    forks = ForkServer(settings.hang_timeout)
    forks.start()
    try:
        if reason := _bind_error(settings):
            raise SettingsError(
                "PORT", str(settings.port), f"a port that is free on {settings.host}; this one: {reason}"
            )
        return _run(settings, forks)
    finally:
        forks.close()


def _run(settings: Settings, forks: ForkServer) -> int:
    # Imported here, while the fork server loads. Collections find nothing meanwhile.
    gc.disable()
    from parley.cli.supervisor import Supervisor
    from parley.local.embedded import EmbeddedRedis, folder_of

    gc.enable()
    if settings.redis_configured:
        return asyncio.run(Supervisor(settings, None, forks).run())
    redis = EmbeddedRedis(
        folder_of(settings.data_dir, settings.port),
        preexec=die_with_parent(signal.SIGTERM),
        maxmemory=settings.redis_maxmemory,
    )
    try:
        redis.start(partial(print, flush=True))
        return asyncio.run(Supervisor(settings, redis, forks).run())
    finally:
        redis.stop(_REDIS_STOP_SECONDS)


def _bind_error(settings: Settings) -> str | None:
    """Return why the web's port can't be used; one that a killed ``up`` leaves is waited for."""
    until = time.monotonic() + _PORT_PATIENCE_SECONDS
    while (reason := bind_error(settings.host, settings.port)) and time.monotonic() < until:
        time.sleep(_PORT_INTERVAL_SECONDS)
    return reason


def _development_settings() -> Settings:
    settings = Settings.load()
    if "app_env" in settings.model_fields_set:
        return settings
    # In the environment, so that the children read it, too.
    os.environ["APP_ENV"] = "development"
    return Settings.load()
