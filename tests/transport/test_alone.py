"""The transport lifted out: its folder, under another name, in a project that has Faust and redis-py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pipeline.transport

PROGRAM = """
import os
import signal
import sys
import faust
from faust.transport.drivers import TRANSPORTS

TRANSPORTS.by_name("redis")  # finds what is installed, which would come first
TRANSPORTS.aliases["redis"] = "redis_streams.driver:Transport"
broker, folder = sys.argv.pop(1), sys.argv.pop(1)
app = faust.App("alone", broker=broker, topic_partitions=2, web_enabled=False, datadir=folder)
words = app.topic("words", value_type=str)


@app.agent(words)
async def shout(stream):
    async for word in stream:
        print(word.upper(), flush=True)
        print("driver:", type(app.transport).__module__, type(app.consumer).__module__, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)


@app.task
async def say():
    await words.send(value="hello")


app.main()
"""


def test_the_folder_alone_is_a_transport(tmp_path: Path, redis_url: str) -> None:
    folder = Path(pipeline.transport.__file__).parent
    shutil.copytree(folder, tmp_path / "redis_streams", ignore=shutil.ignore_patterns("__pycache__"))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), redis_url, str(tmp_path / "data"), "worker"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "HELLO" in done.stderr, done.stdout
    assert "redis_streams.driver" in done.stderr
    assert "redis_streams.consumer" in done.stderr
    ours = subprocess.run(
        ["grep", "-rnE", r"(from|import) (pipeline|agents|web)\b", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ours.stdout == ""
