"""`parley up` on a machine where another process takes the port of infer right after it was found free."""

from __future__ import annotations

import importlib
import socket
import sys

from parley.cli import main
from parley.cli.agent import health_port
from pipeline.settings import Settings

_LISTENING: list[socket.socket] = []


def taken_once(stage: str, settings: Settings) -> int:
    """Return a port as `health_port` does; the first one of infer is taken from then on."""
    port = health_port(stage, settings)
    if stage == "infer" and not _LISTENING:
        _LISTENING.append(socket.create_server((settings.host, port)))
    return port


if __name__ == "__main__":
    importlib.import_module("parley.cli.supervisor").health_port = taken_once  # type: ignore[attr-defined]
    main(sys.argv[1:])
