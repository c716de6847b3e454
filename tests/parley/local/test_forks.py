"""Parts of the service, forked from a process that has loaded their libraries."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faust_redis.testing import eventually
from parley.local.forks import ForkedProcess, ForkServer
from parley.local.ports import free_port

CLONE = str(Path(__file__).parents[3])


async def run(forks: ForkServer, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run a command to its end; return its exit status and its output."""
    read, write = os.pipe()
    with os.fdopen(read, "r", encoding="utf-8") as output:
        process = await forks.fork(arguments, {"PATH": os.environ["PATH"], **variables}, write, write)
        os.close(write)
        text = await asyncio.to_thread(output.read)
    return await process.wait(), text


async def start_web(forks: ForkServer, folder: Path) -> ForkedProcess:
    """Start a part that does not end by itself."""
    variables = {
        "PORT": str(free_port("127.0.0.1")),
        "REDIS_URL": f"redis://127.0.0.1:{free_port('127.0.0.1')}",
        "PARLEY_DATA_DIR": str(folder),
    }
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        return await forks.fork(["web"], {"PATH": os.environ["PATH"], **variables}, output, output)
    finally:
        os.close(output)


async def test_a_part_prints_to_its_output_and_its_status_arrives(forks: ForkServer) -> None:
    status, text = await run(forks, "--help")
    assert (status, text.splitlines()[0]) == (0, "Usage: parley [OPTIONS] COMMAND [ARGS]...")


async def test_parts_have_their_own_environment(forks: ForkServer) -> None:
    wrong, right = await asyncio.gather(run(forks, "redis", SESSION_TTL="soon"), run(forks, "--version"))
    assert wrong == (2, "parley: SESSION_TTL holds 'soon'; allowed: whole seconds, from 1 to 31536000\n")
    assert right[0] == 0


async def test_an_environment_may_be_large(forks: ForkServer) -> None:
    status, text = await run(forks, "redis", SESSION_TTL="soon", LARGE="x" * (1 << 20))
    assert (status, text.startswith("parley: SESSION_TTL")) == (2, True)


async def test_a_part_that_is_killed_is_reported_as_killed(forks: ForkServer, tmp_path: Path) -> None:
    part = await start_web(forks, tmp_path)
    os.kill(part.pid, signal.SIGKILL)
    assert await asyncio.wait_for(part.wait(), 30) == -signal.SIGKILL


async def test_parts_go_with_a_fork_server_that_is_killed_and_the_next_fork_starts_another(
    forks: ForkServer, tmp_path: Path
) -> None:
    part = await start_web(forks, tmp_path)
    descriptor = os.pidfd_open(part.pid)
    os.kill(parent_of(part.pid), signal.SIGKILL)

    assert await asyncio.wait_for(part.wait(), 30) == -signal.SIGKILL
    assert await asyncio.to_thread(ends, descriptor)
    assert (await run(forks, "--version"))[0] == 0
    os.close(descriptor)


async def test_a_part_whose_modules_have_changed_since_runs_those_on_disk(
    forks: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    for package in ("agents", "parley", "pipeline"):
        shutil.copytree(Path(CLONE, package), copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(copy))
    monkeypatch.chdir(copy)
    # Compiled already, it would be found by its size and its time in seconds.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    before = await run(forks, "--help", PYTHONPATH=str(copy))
    cli = copy / "parley" / "cli" / "__init__.py"
    cli.write_text(cli.read_text("utf-8") + "\nprint('another')\n", "utf-8")
    after = await run(forks, "--help", PYTHONPATH=str(copy))

    assert "another" not in before[1]
    assert "another" in after[1]
    assert after[0] == 0


async def test_a_fork_server_that_is_stopped_hangs_and_one_that_runs_does_not(tmp_path: Path) -> None:
    forks = ForkServer(hang_timeout=1)
    part = await start_web(forks, tmp_path)
    hung = asyncio.create_task(forks.until_hung())
    os.kill(server := parent_of(part.pid), signal.SIGSTOP)

    assert await asyncio.wait_for(hung, 30) == server
    os.kill(server, signal.SIGCONT)
    hung = asyncio.create_task(forks.until_hung())
    assert (await run(forks, "--version"))[0] == 0
    assert not hung.done()
    hung.cancel()
    forks.close()


async def test_a_caller_that_is_cancelled_while_it_sends_leaves_no_error_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forks = ForkServer()
    part = await start_web(forks, tmp_path)
    os.kill(parent_of(part.pid), signal.SIGSTOP)  # so that it reads no environment
    output = os.open(os.devnull, os.O_WRONLY)
    starting = asyncio.create_task(forks.fork(["--version"], {"LARGE": "x" * (1 << 23)}, output, output))
    await asyncio.wait({starting}, timeout=0.3)
    starting.cancel()
    await asyncio.wait({starting})
    forks.close()
    os.close(output)
    del starting  # with its traceback, which holds all that it waited for
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_closing_ends_the_parts(tmp_path: Path) -> None:
    forks = ForkServer()
    part = await start_web(forks, tmp_path)
    forks.close()
    await eventually(lambda: not Path(f"/proc/{part.pid}").exists(), "the part to end")


def test_parts_go_when_the_process_that_forks_them_is_killed() -> None:
    parent = """
import asyncio, os
from parley.local.forks import ForkServer

async def main():
    variables = {"PORT": "13999", "REDIS_URL": "redis://127.0.0.1:1"}
    output = os.open(os.devnull, os.O_WRONLY)
    part = await ForkServer().fork(["web"], variables, output, output)
    print(part.pid, flush=True)
    await part.wait()

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=CLONE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        descriptor = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
        assert ends(descriptor)
    os.close(descriptor)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])


def ends(descriptor: int) -> bool:
    """Wait until a process ends; its descriptor becomes readable then."""
    return bool(select.select([descriptor], [], [], 30)[0])
