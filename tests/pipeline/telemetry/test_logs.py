"""Logs: readable lines in development, JSON in production, no whole token in either."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from pipeline.telemetry.logs import setup_logging

TOKEN = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put back what the tests' own logging was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_production_logs_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("production")

    structlog.get_logger("parley").info("answered", turn="t1", token=TOKEN)
    logging.getLogger("faust").warning("took %d s", 3)

    own, foreign = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (own["event"], own["turn"], own["level"], own["logger"]) == ("answered", "t1", "info", "parley")
    assert own["token"] == "0f8fad5b…"
    assert (foreign["event"], foreign["level"]) == ("took 3 s", "warning")


def test_development_logs_short_lines(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("development")

    structlog.get_logger("parley").info("answered", turn="t1")

    line = capsys.readouterr().err
    assert "answered" in line
    assert "turn=t1" in line
    assert "\x1b" not in line


def test_a_token_inside_a_line_of_a_library_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("production")

    logging.getLogger("aiohttp.access").info("GET %s 200, key session:{%s}", f"/chat?token={TOKEN}", TOKEN)

    text = capsys.readouterr().err
    assert TOKEN not in text
    assert "/chat?token=0f8fad5b… 200, key session:{0f8fad5b…}" in text


def test_development_leaves_out_the_services_chatter(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("development")

    for text in ("[^--Consumer]: Starting...", "[^Worker]: Ready"):
        logging.getLogger("faust.worker").info(text)
    logging.getLogger("faust.worker").error("[^Worker]: Crashed")

    assert [line.split("]: ")[1].split(" ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "Ready",
        "Crashed",
    ]
