"""Run several Faust apps in one process: the agents of all stages on a small machine.

Each app keeps its own consumer group, its member of that group and its health page, so other processes and
the pages of the stages see as many workers as there are apps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from faust.types import AppT
from mode import Service, Worker
from mode.utils.loops import get_event_loop


class Together(Service):
    """Start apps at the same time, and stop them at the same time; a crash of one ends all."""

    def __init__(self, apps: Sequence[AppT]) -> None:
        """Take the apps, which ``faust.cli.base.prepare_app`` has prepared."""
        super().__init__()
        self._apps = apps
        for app in apps:
            app.beacon.reattach(self.beacon)

    async def on_start(self) -> None:
        """Start all apps; return when each has started."""
        await asyncio.gather(*(app.maybe_start() for app in self._apps))

    async def on_stop(self) -> None:
        """Stop all apps; each finishes its events first."""
        await asyncio.gather(*(app.stop() for app in self._apps))


def run(apps: Sequence[AppT]) -> NoReturn:
    """Run apps until a signal comes or one crashes, like ``faust worker`` with one app.

    Raises:
        SystemExit: always, with the status of ``faust worker``.
    """
    conf = apps[0].conf
    worker = Worker(
        Together(apps),
        quiet=True,
        loglevel="info",
        logging_config=dict(conf.logging_config or {}),
        redirect_stdouts=conf.worker_redirect_stdouts,
        redirect_stdouts_level=conf.worker_redirect_stdouts_level,
        loop=get_event_loop(),
    )
    worker.execute_from_commandline()
