"""The parts of the service as a deployment runs them: processes, each with its own user of Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from faust_redis.testing import wait_until
from parley.local.embedded import find_server
from parley.local.ports import free_port
from pipeline.settings import STAGES
from scripts.redis_users import acl, new_passwords

CLONE = str(Path(__file__).parents[2])
PARTS = ("web", *STAGES)
#: The transport looks at the settings of Redis, if it may, to warn of unsafe ones.
OPTIONAL = ("config|get", "acl|dryrun")


class RedisWithUsers:
    """A Redis on a port of the loopback with the users of ``deploy/redis`` and one for the test.

    Attributes:
        port: where it listens.
        passwords: of each user.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder of its data."""
        self.port = free_port()
        self.passwords = new_passwords({})
        self._folder = folder

    def __enter__(self) -> Self:
        users = acl(self.passwords) + "user test on nopass ~* &* +@all\n"
        (self._folder / "users.acl").write_text(users, "utf-8")
        self._start()
        return self

    def restart(self) -> None:
        """Kill Redis and start it again with the same data."""
        self._process.kill()
        self._process.wait()
        self._start()

    def _start(self) -> None:
        server = find_server()
        users = self._folder / "users.acl"
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        options = (*place, "--appendonly", "yes", "--save", "")
        with (self._folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(server.binary), *options, "--aclfile", str(users), "--loadmodule", str(server.module)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, "Redis answers", 30)

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()

    def url(self, user: str) -> str:
        """Return the address for a user."""
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/0"

    def client(self, user: str = "test") -> Any:
        """Return a client of a user."""
        return redis.Redis(port=self.port, username=user, password=self.passwords.get(user, "any"))

    def refused(self) -> list[str]:
        """Return what Redis refused to whom, one line each."""
        with self.client() as client:
            return sorted(
                f"{entry['username']}: {entry['reason']} {entry['object']} ({entry['context']})"
                for entry in client.acl_log()
                if entry["object"] not in OPTIONAL
            )

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "redis.log").read_text("utf-8", "replace"))
        try:
            with self.client("health") as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


class SeparateParts:
    """Web and agents, each started by its own command with its own address of Redis; a context manager.

    Attributes:
        ports: where each part listens.
    """

    def __init__(self, folder: Path, server: RedisWithUsers, **variables: str) -> None:
        """Take the folder for logs and data, the Redis, and the settings."""
        self.ports = {part: free_port() for part in PARTS}
        self._folder = folder
        self._redis = server
        self._variables = variables
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for part in PARTS:
            self.start(part, self.ports[part])
        try:
            for part in PARTS:
                self._wait_ready(part, self.ports[part])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(45)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def url(self) -> str:
        """The address of the web."""
        return f"http://127.0.0.1:{self.ports['web']}"

    def start(self, part: str, port: int) -> None:
        """Start one process of a part."""
        setting = "PORT" if part == "web" else f"{part.upper()}_PORT"
        command = ["web"] if part == "web" else ["agent", part]
        name = f"{part}-{port}"
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "parley.cli", *command],
                cwd=self._folder,
                env=self._environment(part, **self._variables, **{setting: str(port)}),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill_the_first(self, part: str) -> None:
        """Kill the process that was started first of a part."""
        process = self._processes[f"{part}-{self.ports[part]}"]
        process.kill()
        process.wait()

    def stop(self, part: str) -> None:
        """Stop all processes of a part in order."""
        mine = [process for name, process in self._processes.items() if name.startswith(f"{part}-")]
        for process in mine:
            process.terminate()
        for process in mine:
            process.wait(30)

    def start_another(self, part: str) -> None:
        """Start a second process of a part, and wait until it is ready."""
        port = free_port()
        self.start(part, port)
        self._wait_ready(part, port)

    def command(self, *arguments: str) -> str:
        """Run a command as the user `operator`; return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "parley.cli", *arguments],
            cwd=self._folder,
            env=self._environment("operator"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def logs(self) -> str:
        """Return all that the parts logged."""
        return "".join(path.read_text("utf-8", "replace") for path in self._folder.glob("*.log"))

    def _environment(self, user: str, **variables: str) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": CLONE,
            "PARLEY_DATA_DIR": str(self._folder / "data"),
            "REDIS_URL": self._redis.url(user),
            **variables,
        }

    def _wait_ready(self, part: str, port: int) -> None:
        try:
            wait_until(lambda: self._is_ready(port), f"{part} is ready", 90)
        except AssertionError as exc:
            refused = "\n".join(self._redis.refused()) or "nothing"
            raise AssertionError(f"{exc}; Redis refused:\n{refused}\n{self.logs()[-3000:]}") from None

    @staticmethod
    def _is_ready(port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False
