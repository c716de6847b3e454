"""`parley up` never stops supervising: it logs what it can't do, and tries again."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import time
import urllib.request
from collections.abc import Mapping

import pytest

from faust_redis.testing import wait_until
from parley.cli.supervisor import Supervisor
from parley.local.embedded import folder_of
from parley.local.forks import ForkServer
from parley.local.ports import free_port
from pipeline.settings import Settings
from tests.support.service import Up


def port_of_infer(up: Up) -> int:
    return int(up.environment["INFER_PORT"])


def is_ready(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as response:
        return bool(response.status == 200)
    return False


def killed_again(up: Up) -> bool:
    """Kill infer; return whether another takes its place."""
    wait_until(lambda: is_ready(port_of_infer(up)), "infer is ready", 60)
    (dead,) = up.agents("infer")
    os.kill(dead, signal.SIGKILL)
    wait_until(lambda: is_ready(port_of_infer(up)) and up.agents("infer") != [dead], "infer is back", 60)
    return True


def wait_for_new(up: Up, text: str, since: int) -> None:
    """Wait for a line that was printed after the first ``since``."""
    wait_until(lambda: any(text in line for line in up.lines[since:]), f"a line with {text!r}", 30)


def test_a_folder_of_redis_that_was_deleted_is_made_again(up: Up) -> None:
    shutil.rmtree(folder_of(up.data_dir, up.port))

    up.wait_for("redis   │ its socket was deleted")
    up.wait_for("was deleted: it starts without data")

    wait_until(lambda: is_ready(up.port), "the web is ready", 60)
    assert killed_again(up)


def test_it_outlives_a_time_without_descriptors(up: Up) -> None:
    wait_until(lambda: is_ready(port_of_infer(up)), "infer is ready", 60)
    pid, since = up.process.pid, len(up.lines)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    os.kill(up.agents("infer")[0], signal.SIGKILL)
    os.kill(up.child("redis-server"), signal.SIGKILL)
    wait_for_new(up, "Too many open files", since)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    wait_until(lambda: is_ready(up.port), "the web is ready", 60)
    assert killed_again(up)


def test_a_web_without_descriptors_logs_this_once_and_answers_health_checks(up: Up) -> None:
    wait_until(lambda: is_ready(up.port), "the web is ready", 60)
    (pid,), since = up.webs(), len(up.lines)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    open_ones = [int(number) for number in os.listdir(f"/proc/{pid}/fd")]
    highest = max(open_ones)

    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    with contextlib.ExitStack() as stack:
        for _ in range(highest - len(open_ones) + 20):  # lower numbers are free, or become so
            stack.enter_context(socket.create_connection(("127.0.0.1", up.port)))
        wait_for_new(up, "no descriptor is left", since)
        wait_until(lambda: all(is_ready(up.port) for _ in range(5)), "health checks are answered", 10)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    wait_for_new(up, "descriptors are free again", since)
    assert sum("no descriptor is left" in line for line in up.lines[since:]) == 1


def test_a_chosen_port_that_is_taken_is_waited_for(up: Up) -> None:
    wait_until(lambda: is_ready(port_of_infer(up)), "infer is ready", 60)
    since = len(up.lines)
    os.kill(up.agents("infer")[0], signal.SIGSTOP)  # it holds the port until the very end
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(up.agents("infer")[0], signal.SIGKILL)
        _bind(taken, port_of_infer(up))
        wait_for_new(up, "ended with status 3", since)

    assert killed_again(up)


def _bind(taken: socket.socket, port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", port))
            taken.listen()
            return
    raise AssertionError(f"port {port} stays taken")


def test_parts_that_hang_are_ended_and_started_again(up: Up) -> None:
    wait_until(lambda: is_ready(up.port), "the web is ready", 60)
    since = len(up.lines)
    stopped = [up.webs()[0], up.agents("infer")[0], up.child("redis-server")]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)

    for name in ("web  ", "infer"):
        wait_for_new(
            up, f"{name}   │ hangs: no sign of life for 3 s, stopped by a signal; it is ended", since
        )
    wait_for_new(up, "redis   │ no answer for 3 s, stopped by a signal; it is killed", since)

    wait_until(lambda: is_ready(up.port), "the web is ready", 60)
    assert not set(stopped) & up.children().keys()
    assert killed_again(up)


@pytest.mark.parametrize("part", ["_environment", "_not_ready"])
async def test_a_failure_before_it_is_ready_ends_it_with_the_error(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*_args: object) -> Mapping[str, str]:
        raise LookupError(f"no {part}")

    monkeypatch.setattr(Supervisor, part, fail)
    settings = Settings(redis_url="redis://127.0.0.1:1", port=free_port())

    with pytest.raises(LookupError, match=part):
        await Supervisor(settings, None, ForkServer()).run()
