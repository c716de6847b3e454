"""``parley agent <stage>``: the Faust worker of one stage."""

from __future__ import annotations

import os
import sys

from parley.local.ports import free_port, is_free
from pipeline.errors import SettingsError
from pipeline.settings import Settings


def run(stage: str, settings: Settings) -> None:
    """Become the Faust worker of a stage; does not return.

    The worker takes over this process, so signals and the exit status are Faust's own.
    """
    port = health_port(stage, settings)
    # Quiet keeps Faust's banner away, which is no line of a log; the log itself is ours to set up.
    faust = [sys.executable, "-m", "faust", "--quiet", "--loop", "uvloop", "-A", f"agents.{stage}"]
    worker = [*faust, "worker", "-l", "info"]
    # For agents that build their app from the settings, as all of ours do.
    os.environ[f"{stage.upper()}_PORT"] = str(port)
    web = ["--web-bind", settings.host, "--web-port", str(port)]
    os.execv(sys.executable, [*worker, *web])  # noqa: S606


def health_port(stage: str, settings: Settings) -> int:
    """Return the port for the health page: the stage's own, or any free one when a twin has that.

    Raises:
        SettingsError: the user chose the port and it is taken.
    """
    port = settings.agent_port(stage)
    if is_free(settings.host, port):
        return port
    if f"{stage}_port" in settings.model_fields_set:
        raise SettingsError(f"{stage.upper()}_PORT", str(port), "a free port; another process listens there")
    return free_port(settings.host)
