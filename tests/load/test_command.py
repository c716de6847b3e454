"""`parley load`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import parley


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
    assert "lost 0   doubled 0   misordered 0   crossed 0" in done.stdout
    assert "max-lost 0: kept" in done.stdout
    assert "max-p50 1 µs: BROKEN" in done.stdout
    outcome = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (outcome["sent"], outcome["answered"], outcome["passed"]) == (6, 6, False)
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "Bounds were broken." in page
    assert "http://" not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--url", "http://127.0.0.1:1", "--messages", "1"], 4, "could not be opened"),
        (["--duration", "soon"], 2, "no span of time"),
        (["--duration", "0s"], 2, "a test without an end"),
        (["--sessions", "0"], 2, "--sessions"),
    ],
)
def test_what_cannot_be_tested_has_a_status_of_its_own(
    tmp_path: Path, arguments: list[str], status: int, words: str
) -> None:
    done = parley(tmp_path, "load", *arguments)

    assert done.returncode == status
    assert words in done.stdout + done.stderr
