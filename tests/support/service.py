"""The whole service, as `parley up` runs it: started on a free port, with a data folder of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from parley.loadtest.lifting import LIFTED
from parley.loadtest.usage import by_kind, process_tree
from parley.local.embedded import folder_of, running
from parley.local.ports import free_port

CLONE = str(Path(__file__).parents[2])


class Up:
    """A `parley up` of a test.

    Attributes:
        port: of the web.
        data_dir: where its data lives.
        lines: what it printed so far.
    """

    def __init__(
        self, folder: Path, *, module: str = "parley.cli", prefix: Sequence[str] = (), **variables: str
    ) -> None:
        """Start it, with its data below `folder` and these variables in its environment.

        Args:
            module: what runs `up`; another one may disturb it.
            prefix: a command that becomes the one that follows it, as `ip netns exec`.
        """
        self.port = free_port()
        self.data_dir = str(folder / "data")
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": CLONE,
            "PORT": str(self.port),
            "PARLEY_DATA_DIR": self.data_dir,
            **variables,
        }
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", module, "up"],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._folder = folder
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """The address of the web."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def redis_url(self) -> str:
        """The address of its Redis, be it the embedded one or that of REDIS_URL."""
        if "REDIS_URL" in self.environment:
            return self.environment["REDIS_URL"]
        found = running(folder_of(self.data_dir, self.port))
        assert found is not None, "no embedded Redis runs"
        return found.url

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until a line holds `text`; fail with all lines if none does."""
        with self._news:
            found = self._news.wait_for(lambda: any(text in line for line in self.lines), seconds)
        assert found, f"no line with {text!r} in:\n" + "\n".join(self.lines)

    def children(self) -> dict[int, str]:
        """Return the command lines of all processes it has started, by process id."""
        return {pid: _command(pid) for pid in process_tree(self.process.pid)[1:]}

    def child(self, words: str) -> int:
        """Return the process id of the child whose command line holds `words`."""
        return next(pid for pid, command in self.children().items() if words in command)

    def webs(self) -> list[int]:
        """Return the process ids of the web processes, the one that started first at the front."""
        return self._parts("web")

    def agents(self, stage: str) -> list[int]:
        """Return the process ids of the agents of a stage, the one that started first at the front."""
        return self._parts(stage)

    def _parts(self, kind: str) -> list[int]:
        return sorted(by_kind([self.process.pid]).get(kind, []))

    def start_agent(self, stage: str, log: Path) -> subprocess.Popen[bytes]:
        """Start one more process of a stage, as an operator does; what it prints goes to `log`."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "parley.cli", "agent", stage],
                cwd=self._folder,
                env={**self.environment, "REDIS_URL": self.redis_url},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def close(self) -> None:
        """End it, whatever state it is in."""
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()


@contextlib.contextmanager
def limited(folder: Path, **variables: str) -> Iterator[Up]:
    """Run the service until the end of the block; its data stays below `folder`."""
    up = Up(folder, **variables)
    try:
        up.wait_for("Parley is ready")
        yield up
    finally:
        up.close()


@contextlib.contextmanager
def started(folder: Path, **variables: str) -> Iterator[Up]:
    """Run the service as `limited` does, without the limits that stand in the way of most tests."""
    with limited(folder, **{**LIFTED, **variables}) as up:
        yield up


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().rstrip()
    except FileNotFoundError:
        return ""
