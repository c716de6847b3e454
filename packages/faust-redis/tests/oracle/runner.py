"""Runs a program on a broker: each of its workers is a process, and the broker is set by the environment.

The processes are forked from a server that has imported Faust already: most of the time of a short program
would go into the import.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from faust_redis.testing import free_port, wait_until

__all__ = ["Actor", "Stage"]

PROGRAMS = "tests.oracle.programs"
#: Seconds until a worker that gives no result has failed; on a quiet machine most take two.
PATIENCE = 120.0

_LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\d ")

_forks = multiprocessing.get_context("forkserver")
# Nothing of the programs, which read the environment when they are imported.
_forks.set_forkserver_preload(["faust.cli.faust", "faust.web.drivers.aiohttp", "faust_redis.driver"])


class Actor:
    """One worker of a program.

    Attributes:
        port: Of its pages.
    """

    def __init__(self, process: BaseProcess, log: Path, outcome: Path, port: int) -> None:
        self.process = process
        self.port = port
        self._log = log
        self._outcome = outcome

    def printed(self) -> str:
        """Return what it printed so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def result(self, timeout: float) -> Any:
        """Wait for the result of its step.

        Raises:
            AssertionError: The step raised, or the worker ended before, or the time is up.
        """
        try:
            wait_until(lambda: self._outcome.exists() or not self.process.is_alive(), "a result", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.printed()}") from None
        assert self._outcome.exists(), f"the worker ended with {self.process.exitcode}\n{self.printed()}"
        outcome = json.loads(self._outcome.read_text(encoding="utf-8"))
        assert "error" not in outcome, f"{self.printed()}\n{outcome['notes']}\n{outcome['error']}"
        return outcome["result"]

    def wait_flag(self, name: str, timeout: float) -> None:
        """Wait until its step has called ``flag``."""
        raised = Path(f"{self._outcome}.{name}")
        wait_until(lambda: raised.exists() or self._outcome.exists(), f"flag {name}", timeout)

    def stop(self, timeout: float) -> None:
        """Have it stop in order; end it if it has not within so many seconds."""
        if self.process.is_alive():
            os.kill(self.process.pid or 0, signal.SIGTERM)
            self.process.join(timeout)
        self.kill()

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


class Stage:
    """Where one program runs: on one broker, in one folder.

    Attributes:
        on_kafka: Whether the broker is one of Kafka's protocol.
    """

    def __init__(self, program: str, broker: str, folder: Path) -> None:
        self.program = program
        self.on_kafka = broker.startswith("kafka:")
        self._folder = folder
        self._actors: list[Actor] = []
        self._files = 0
        self._environment = {
            "ORACLE_BROKER": broker,
            "ORACLE_DATADIR": str(folder / "data"),
            # A multiple of 1,000 s, so that windows lie the same way in each run.
            "ORACLE_BASE": str(time.time() // 1000 * 1000 - 1000),
        }
        folder.mkdir(parents=True, exist_ok=True)
        if self.on_kafka:
            self._fork(_make_topics, f"{PROGRAMS}.{program}", {}).join()

    def start(
        self, step: str, *, app: str = "app", web: bool = False, datadir: str | None = None, **variables: str
    ) -> Actor:
        """Start a worker for a step.

        Args:
            app: Name of the app in the program's module.
            web: Whether it serves its pages.
            datadir: Name of a folder that outlives the worker.
            variables: Of the environment.
        """
        port = free_port()
        number = len(self._actors)
        outcome = self._folder / f"outcome-{number}.json"
        pages = ["--web-port", str(port), "--web-host", "127.0.0.1", "--web-bind", "127.0.0.1"]
        arguments = [
            "-A", f"{PROGRAMS}.{self.program}:{app}", "worker", "-l", "info",
            *(pages if web else ["--without-web"]),
        ]  # fmt: skip
        environment = {
            "ORACLE_STEP": step,
            "ORACLE_RESULT": str(outcome),
            "ORACLE_PORT": str(port),
            "ORACLE_DATADIR": str(self._folder / (datadir or f"data-{number}")),
            **variables,
        }
        actor = Actor(self._fork(_command, arguments, environment), self._log, outcome, port)
        self._actors.append(actor)
        return actor

    def result(self, actor: Actor) -> Any:
        """Wait for what the step of a worker returns."""
        return actor.result(PATIENCE)

    def wait_flag(self, actor: Actor, name: str) -> None:
        """Wait until the step of a worker has called ``flag``."""
        actor.wait_flag(name, PATIENCE)

    def run(self, step: str, **options: Any) -> Any:
        """Run a worker for a step, stop it in order, and return the result."""
        actor = self.start(step, **options)
        result = self.result(actor)
        self.stop(actor)
        return result

    def stop(self, actor: Actor) -> None:
        """Stop a worker in order."""
        actor.stop(10 if self.on_kafka else 20)

    def command(self, *arguments: str) -> str:
        """Run a command of ``faust -A program`` to its end; return what it printed, without log lines."""
        process = self._fork(_command, ["-A", f"{PROGRAMS}.{self.program}", *arguments], {})
        process.join(PATIENCE)
        ended = process.exitcode
        process.kill()
        process.join()
        printed = self._log.read_text(errors="replace")
        assert ended == 0, printed
        return "\n".join(line for line in printed.splitlines() if not _LOG_LINE.match(line))

    def close(self) -> None:
        """End the workers."""
        for actor in self._actors:
            actor.kill()

    @property
    def _log(self) -> Path:
        return self._folder / f"log-{self._files}"

    def _fork(self, target: Any, what: Any, environment: Mapping[str, str]) -> BaseProcess:
        self._files += 1
        process = _forks.Process(
            target=_begin,
            args=(target, what, {**self._environment, **environment}, str(self._log)),
            daemon=True,
        )
        process.start()
        return process


# -- in the forked process --------------------------------------------------------------------------------


def _begin(target: Any, what: Any, environment: Mapping[str, str], log: str) -> None:
    os.environ.update(environment)
    with open(log, "wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    target(what)


def _command(arguments: list[str]) -> None:
    from faust.cli.faust import cli

    # Faust imports a program for its commands by the arguments of the process that this one was forked from.
    importlib.import_module(arguments[arguments.index("-A") + 1].partition(":")[0])
    sys.argv[:] = ["faust", *arguments]
    cli(arguments)


def _make_topics(program: str) -> None:
    """Make the source topics of a program, as the operator of a Kafka does."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

    from tests.oracle.stage import topics_of

    topics = topics_of(importlib.import_module(program).app)

    async def make() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=os.environ["ORACLE_BROKER"].removeprefix("kafka://"))
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()])
        finally:
            await admin.close()

    asyncio.run(make())
