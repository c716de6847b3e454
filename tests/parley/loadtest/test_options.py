"""The command line of `parley load`: what is wrong is said in one line, before anything starts."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from parley.cli import load_options
from parley.cli.load_options import compare, load


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--url localhost:3500", "expected http://host:port"),
        ("--url ws://127.0.0.1/chat", "expected http://host:port"),
        ("--url http://127.0.0.1:99999", "Port out of range"),
        ("--url http://me:secret@127.0.0.1", "without query or password"),
        ("--url http://127.0.0.1:1 --tokens 4", "--tokens applies to a service that is started here"),
        ("--rate 0", "'--rate': 0.0 is not in the range x>0"),
        ("--rate nan", "nan is not a finite number"),
        ("--arrivals poisson", "add --rate"),
        ("--max-lost -1", "'--max-lost': -1"),
        ("--max-p99 1ks", "the units are us, ms, s, m, h"),
        ("--min-goodput inf", "inf is not a finite number"),
        ("--html no/such/folder/x.html", "no folder 'no/such/folder'"),
        ("--protocol plain --max-ttft-p99 1s", "--protocol plain does not send"),
        ("--sessions 2 --processes 3", "--processes must not exceed --sessions"),
        ("--seed -1", "'--seed': -1"),
        ("--precision 0.1", "--precision applies to --find"),
        ("--every 5s", "--every applies to --kill"),
        ("--url http://127.0.0.1:1 --kill infer", "--kill applies to a service that is started here"),
        ("--find --messages 5", "--messages has no meaning for --find"),
        ("--rate 5 --think 1s", "--think applies to a closed loop"),
        (
            "--sessions 5 compare http://127.0.0.1:1 http://127.0.0.1:2",
            "options of a comparison follow its name",
        ),
        (
            "compare http://127.0.0.1:1 no-such-file",
            "no such file or folder, and it is not an http:// address",
        ),
        ("compare http://127.0.0.1:1 http://me:secret@127.0.0.1", "without query or password"),
        ("compare http://127.0.0.1:1 http://127.0.0.1:2 --rounds 1", "'--rounds': 1"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(arguments: str, words: str) -> None:
    done = CliRunner().invoke(load, arguments.split())

    assert done.exit_code == 2
    last = done.output.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert words in last
    assert "secret" not in done.output


def test_every_option_says_what_it_is() -> None:
    options = [each for each in (*load.params, *compare.params) if isinstance(each, click.Option)]
    assert all(option.help for option in options)


def test_every_option_stands_in_the_documentation() -> None:
    document = (Path(load_options.__file__).parents[2] / "docs" / "load-testing.md").read_text("utf-8")

    options = [each for each in (*load.params, *compare.params) if isinstance(each, click.Option)]
    missing = [name for option in options for name in option.opts if name not in document]
    assert missing == []
