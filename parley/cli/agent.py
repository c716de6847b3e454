"""``parley agent <stage>``: the Faust worker of one stage, or of all stages in one process."""

from __future__ import annotations

import importlib
import os
import sys

from parley.local.ports import free_port, is_free
from pipeline.errors import PortTakenError
from pipeline.settings import STAGES, Settings

#: The argument for the agents of all stages in one process.
ALL = "all"


def run(stage: str, settings: Settings) -> None:
    """Run the Faust worker of a stage in this process, or of ``ALL``; return when it ends.

    Signals and the exit status are Faust's own. Faust chooses its event loop when it is imported, by its
    command line or by FAUST_LOOP, so nothing that runs before may import it without that.
    """
    if stage == ALL:
        _run_all(settings)
        return
    port = health_port(stage, settings)
    # For agents that build their app from the settings, as all of ours do.
    os.environ[f"{stage.upper()}_PORT"] = str(port)
    # Quiet suppresses Faust's banner, which is not a log line; the stage sets up the log.
    app = ["--quiet", "--loop", "uvloop", "-A", f"agents.{stage}"]
    worker = ["worker", "-l", "info", "--web-bind", settings.host, "--web-port", str(port)]
    sys.argv[1:] = [*app, *worker]
    importlib.import_module("faust.cli.faust").cli()


def _run_all(settings: Settings) -> None:
    for stage in STAGES:
        os.environ[f"{stage.upper()}_PORT"] = str(health_port(stage, settings))
    os.environ["FAUST_LOOP"] = "uvloop"
    from faust.cli.base import find_app

    from pipeline.telemetry import tracing
    from pipeline.worker import together
    from pipeline.worker.stage import leave_process_figures_to_first

    tracing.setup("agents")
    stages = [importlib.import_module(f"agents.{stage}").stage for stage in STAGES]
    leave_process_figures_to_first(stages)
    together.run([find_app(f"agents.{stage}") for stage in STAGES])


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
