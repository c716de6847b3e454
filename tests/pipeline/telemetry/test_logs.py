"""Logs: readable lines in development, JSON in production, no whole token in either."""

from __future__ import annotations

import json
import logging
import sys

import pytest
import structlog

from pipeline.masking import remember_secrets
from pipeline.telemetry.logs import setup_logging

pytestmark = pytest.mark.usefixtures("logging_as_before")

TOKEN = "0f8fad5b-d9cb-469f-a165-70867728950e"


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


def test_every_part_of_a_record_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    remember_secrets(["correct-horse-battery"])
    for app_env in ("production", "development"):
        setup_logging(app_env)
        try:
            raise ValueError(f"token={TOKEN}\n{'correct-horse-battery'}")
        except ValueError:
            logging.getLogger("aiohttp.server").exception("Error with %r", {"a": [TOKEN]}, stack_info=True)
            structlog.get_logger("parley").exception("failed", nested={"key": (TOKEN,)}, other=Odd())
        text = capsys.readouterr().err
        assert TOKEN[9:] not in text
        assert "correct-horse" not in text
        assert "ValueError" in text


class Odd:
    """An object whose repr holds a secret."""

    def __repr__(self) -> str:
        return f"<Odd Bearer {TOKEN}>"


def test_no_line_acts_on_a_terminal_or_looks_like_another(capsys: pytest.CaptureFixture[str]) -> None:
    for app_env in ("production", "development"):
        setup_logging(app_env)
        structlog.get_logger("parley").warning("said \x1b]0;evil\x07", name="a\n2026 [error] faked \u202e")
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        assert not set("\x1b\x07\u202e") & set(text)


def test_a_record_that_cannot_be_formatted_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("production")
    logging.getLogger("parley").warning("%d", TOKEN)
    text = capsys.readouterr().err
    assert "formatting a log line failed" in text
    assert TOKEN[9:] not in text
    assert text.count("\n") == 1


def test_an_error_that_nobody_catches_is_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("production")
    try:
        raise RuntimeError(f"Bearer {TOKEN}")
    except RuntimeError as exc:
        sys.excepthook(RuntimeError, exc, exc.__traceback__)
    text = capsys.readouterr().err
    assert "uncaught error" in text
    assert TOKEN[9:] not in text
