"""`parley load`, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faust_redis.testing import wait_until
from tests.support.command import parley


def test_the_command_reports_and_its_status_tells_of_a_broken_bound(tmp_path: Path) -> None:
    done = parley(
        tmp_path,
        *(
            "load",
            "--sessions",
            "2",
            "--messages",
            "3",
            "--tokens",
            "3",
            "--max-lost",
            "0",
            "--max-p50",
            "1us",
        ),
        *("--json", "out.json", "--html", "out.html"),
    )

    assert done.returncode == 3, done.stderr
    assert "answers: lost 0   doubled 0   misordered 0   crossed 0   unattributed 0" in done.stdout
    assert "tokens: lost 0   doubled 0   misordered 0   crossed 0   differing 0" in done.stdout
    assert "history of 2 sessions: lost 0   doubled 0   misordered 0" in done.stdout
    assert "max-lost 0: kept" in done.stdout
    assert re.search(r"max-p50 1 µs: BROKEN, measured [\d.]+ ms\n$", done.stdout)
    outcome = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (outcome["sent"], outcome["answered"], outcome["passed"]) == (6, 6, False)
    stages = ["ingest", "enrich", "infer", "deliver"]
    assert list(outcome["used"]) == ["web", *stages, "Redis", "model of the test", "generator"]
    assert all(used["processes"] == 1 and used["memory"] > 0 for used in outcome["used"].values())
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert re.search(r"Broken: max-p50 1 µs, measured [\d.]+ ms\.", page)
    assert "http://" not in page
    assert "<script" not in page


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_test_that_is_interrupted_reports_what_it_measured(tmp_path: Path, processes: str) -> None:
    arguments = ("--duration", "10m", "--processes", processes, "--json", "out.json", "--html", "out.html")
    clone = str(Path(__file__).parents[3])
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "parley.cli", "load", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": clone},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            wait_until(lambda: "answered" in (tmp_path / "log").read_text(), "a line on progress", 60)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all processes of the group
            stdout, _ = process.communicate(timeout=30)
        finally:
            process.kill()

    assert process.returncode == 0
    assert "the test was cut short after" in stdout
    outcome = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert outcome["cut_short"]
    assert outcome["answered"] == outcome["sent"] > 0
    assert "the test was cut short after" in (tmp_path / "out.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--url", "http://127.0.0.1:1", "--messages", "1"], 4, "could not be opened"),
        (["--duration", "soon"], 2, "not a span of time"),
        (["--duration", "0s"], 2, "the test has no end"),
        (["--sessions", "0"], 2, "--sessions"),
        (["--size", "large"], 2, "not a size such as 200 or 20-2000"),
        (["--size", "200-20"], 2, "the smaller first"),
    ],
)
def test_what_cannot_be_tested_has_a_status_of_its_own(
    tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    done = parley(tmp_path, "load", *arguments)

    assert done.returncode == status
    assert words in done.stdout + done.stderr
