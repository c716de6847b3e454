"""``parley agent <stage>``: the Faust worker of one stage."""

from __future__ import annotations

import importlib
import os
import sys

from parley.local.ports import free_port, is_free
from pipeline.errors import PortTakenError
from pipeline.settings import Settings


def run(stage: str, settings: Settings) -> None:
    """Run the Faust worker of a stage in this process; return when it ends.

    Signals and the exit status are Faust's own. Faust chooses its event loop when it is imported, by its
    command line or by FAUST_LOOP, so nothing that runs before may import it without that.
    """
    port = health_port(stage, settings)
    # For agents that build their app from the settings, as all of ours do.
    os.environ[f"{stage.upper()}_PORT"] = str(port)
    # Quiet suppresses Faust's banner, which is not a log line; the stage sets up the log.
    app = ["--quiet", "--loop", "uvloop", "-A", f"agents.{stage}"]
    worker = ["worker", "-l", "info", "--web-bind", settings.host, "--web-port", str(port)]
    sys.argv[1:] = [*app, *worker]
    importlib.import_module("faust.cli.faust").cli()


def health_port(stage: str, settings: Settings) -> int:
    """Return the port for the health page: the stage's own, or a free one if another worker uses it.

    Raises:
        PortTakenError: the port was chosen by the user, or by ``parley up``, and it is taken.
    """
    port = settings.agent_port(stage)
    if is_free(settings.host, port):
        return port
    if settings.has_chosen_port(stage):
        raise PortTakenError(f"{stage.upper()}_PORT", str(port), "a free port; another process listens there")
    return free_port(settings.host)
