"""`parley up`, whole: everything starts, heals and stops together."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.embedded import folder_of, running
from pipeline.ports import free_port

CLONE = str(Path(__file__).parents[2])
# What `up` promises.
STOPS_WITHIN_SECONDS = 10.0


class Up:
    """A `parley up` of a test."""

    def __init__(self, folder: Path, **variables: str) -> None:
        """Start it, with its data below `folder`."""
        self.port = free_port()
        self.data_dir = str(folder / "data")
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "up"],
            cwd=folder,
            env={
                **kept,
                "PYTHONPATH": CLONE,
                "PORT": str(self.port),
                "PARLEY_DATA_DIR": self.data_dir,
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until a line holds `text`; fail with all lines if none does."""
        with self._news:
            found = self._news.wait_for(lambda: any(text in line for line in self.lines), seconds)
        assert found, f"no line with {text!r} in:\n" + "\n".join(self.lines)

    def children(self) -> dict[int, str]:
        """Return the command lines of the children, by process id."""
        pid = self.process.pid
        ids = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        return {int(each): _command(int(each)) for each in ids}

    def child(self, words: str) -> int:
        """Return the process id of the child whose command line holds `words`."""
        return next(pid for pid, command in self.children().items() if words in command)

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a space in its name."""
    made = tmp_path / "my chat"
    made.mkdir()
    return made


@contextlib.contextmanager
def started(folder: Path, **variables: str) -> Iterator[Up]:
    up = Up(folder, **variables)
    try:
        up.wait_for("Parley is ready")
        yield up
    finally:
        up.close()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


def _all_end(descriptors: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    # The descriptor of a process becomes readable when the process ends.
    return all(
        bool(select.select([each], [], [], max(0.0, deadline - time.monotonic()))[0]) for each in descriptors
    )


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_everything_says_where_and_stops_without_a_trace(folder: Path, sig: signal.Signals) -> None:
    with started(folder) as up:
        assert f"Parley is ready: http://127.0.0.1:{up.port}" in up.lines
        assert any(line.startswith("Model: ELIZA") for line in up.lines)
        with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/readyz", timeout=10) as response:
            assert response.status == 200
        descriptors = [os.pidfd_open(pid) for pid in up.children()]
        assert len(descriptors) == 6

        up.process.send_signal(sig)

        assert up.process.wait(STOPS_WITHIN_SECONDS) == 0
        assert _all_end(descriptors, 0.0)
        assert running(folder_of(up.data_dir, up.port)) is None
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_part_that_is_killed_comes_back(folder: Path) -> None:
    with started(folder) as up:
        os.kill(up.child("agents.infer"), signal.SIGKILL)
        up.wait_for("infer   │ killed by SIGKILL; starting again")
        os.kill(up.child("redis-server"), signal.SIGKILL)
        up.wait_for("redis   │ killed by SIGKILL; starting again")

        up.process.terminate()
        assert up.process.wait(STOPS_WITHIN_SECONDS) == 0


def test_when_it_is_killed_itself_nothing_stays_behind(folder: Path) -> None:
    with started(folder) as up:
        descriptors = [os.pidfd_open(pid) for pid in up.children()]

        up.process.kill()

        assert _all_end(descriptors, STOPS_WITHIN_SECONDS)
        for descriptor in descriptors:
            os.close(descriptor)


def test_two_copies_do_not_disturb_each_other(folder: Path, tmp_path: Path) -> None:
    with started(folder) as one, started(tmp_path) as two:
        one_redis = running(folder_of(one.data_dir, one.port))
        two_redis = running(folder_of(two.data_dir, two.port))

        assert one_redis is not None
        assert two_redis is not None
        assert one_redis.url != two_redis.url


def test_several_web_processes_share_the_port(folder: Path) -> None:
    with started(folder, WEB_PROCESSES="2") as up:
        webs = [
            pid for pid, command in up.children().items() if command.rstrip().endswith("pipeline.cli web")
        ]
        assert len(webs) == 2

        os.kill(webs[0], signal.SIGKILL)
        up.wait_for("killed by SIGKILL; starting again")
        with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/test", timeout=10) as response:
            assert response.status == 200
