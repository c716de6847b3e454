"""The output of `parley up`: marked lines, and no reader can hold the service up."""

from __future__ import annotations

import os

from parley.cli.console import Console
from pipeline.masking import remember_secrets


def test_lines_are_marked_with_the_name_of_their_process() -> None:
    reader, writer = os.pipe()
    console = Console(writer)
    console.say("infer", "asked the model")
    console.announce("Parley is ready")
    console.close(patience=10)
    os.close(writer)

    with os.fdopen(reader, encoding="utf-8") as output:
        assert output.read() == "infer   │ asked the model\nParley is ready\n"


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    reader, writer = os.pipe()
    console = Console(writer)
    for _ in range(20_000):
        console.say("infer", "x" * 100)
    console.close(patience=0.01)

    os.close(reader)
    console.close(patience=10)
    os.close(writer)


def test_a_reader_that_went_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    console = Console(writer)
    console.say("infer", "to nobody")
    console.close(patience=10)
    os.close(writer)


def test_what_a_child_quotes_of_strangers_acts_on_no_terminal_and_shows_no_secret() -> None:
    remember_secrets(["opensesame-of-the-console"])
    reader, writer = os.pipe()
    console = Console(writer)
    console.say("infer", "said \x1b]0;evil\x07 \u202e with opensesame-of-the-console")
    console.close(patience=10)
    os.close(writer)

    with os.fdopen(reader, encoding="utf-8") as output:
        text = output.read()
    assert text == "infer   │ said \\x1b]0;evil\\x07 \\u202e with …\n"
