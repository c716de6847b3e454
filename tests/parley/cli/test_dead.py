"""`parley dead`, run as an operator runs it, on letters of a real Redis."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import redis

from parley.cli.dead import age
from tests.parley.cli.conftest import KEYS, TOKEN
from tests.support.command import parley


def dead(folder: Path, url: str, *arguments: str) -> CompletedProcess[str]:
    return parley(folder, "dead", *arguments, REDIS_URL=url)


def test_list_shows_the_latest_first(tmp_path: Path, redis_url: str, letters: list[str]) -> None:
    done = dead(tmp_path, redis_url, "list")

    assert done.stderr == ""
    assert done.stdout.index(letters[1]) < done.stdout.index(letters[0])
    assert "KeyError: 'x'" in done.stdout
    assert "2 of 2: 2 in ingest" in done.stdout


def test_list_as_json_holds_no_message(tmp_path: Path, redis_url: str, letters: list[str]) -> None:
    done = dead(tmp_path, redis_url, "list", "--json", "--limit", "1")

    (fact,) = json.loads(done.stdout)
    assert (fact["id"], fact["attempts"], fact["offset"]) == (letters[1], 5, 2)
    assert "secret" not in done.stdout
    assert TOKEN not in done.stdout


def test_show_hides_what_people_wrote_unless_asked(
    tmp_path: Path, redis_url: str, letters: list[str]
) -> None:
    hidden = json.loads(dead(tmp_path, redis_url, "show", letters[0]).stdout)["message"]
    shown = json.loads(dead(tmp_path, redis_url, "show", "--private", letters[0]).stdout)["message"]

    assert hidden["text"] == "… (9 characters)"
    assert shown["text"] == "my secret"
    assert hidden["token"] == shown["token"] == "0f0e0d0c…"


def test_a_preview_of_a_replay_changes_nothing(
    tmp_path: Path, redis_url: str, letters: list[str], client: redis.Redis
) -> None:
    done = dead(tmp_path, redis_url, "replay", "--all", "--preview", "--topic", "ingest")

    assert done.stdout.splitlines()[-1] == "2 would be replayed"
    assert "ingest: 2 with KeyError" in done.stdout
    assert client.xlen(KEYS.dead(("ingest", 0))) == 2


def test_replay_sends_again_in_the_first_order(
    tmp_path: Path, redis_url: str, letters: list[str], client: redis.Redis
) -> None:
    done = dead(tmp_path, redis_url, "replay", "--all", "--topic", "ingest")

    assert done.stdout == "2 replayed\n"
    assert re.search(r"INFO admin action replay by \S+: letters=2 ", done.stderr)
    assert done.stderr.count("\n") == 1
    entries: Any = client.xrange(KEYS.stream(("ingest", 0)))
    sent = [json.loads(fields[b"v"])["id"] for _, fields in entries]
    assert sent == ["m1", "m2"]
    assert client.xlen(KEYS.dead(("ingest", 0))) == 0


def test_drop_deletes_those_named(
    tmp_path: Path, redis_url: str, letters: list[str], client: redis.Redis
) -> None:
    assert dead(tmp_path, redis_url, "drop", letters[0]).stdout == "1 dropped\n"
    assert client.xlen(KEYS.dead(("ingest", 0))) == 1

    again = dead(tmp_path, redis_url, "drop", letters[0])
    assert again.returncode == 1
    assert again.stderr == f"parley: there is no dead letter '{letters[0]}'\n"


def test_age_selects(tmp_path: Path, redis_url: str, letters: list[str]) -> None:
    assert "no dead letters" in dead(tmp_path, redis_url, "list", "--older-than", "1h").stdout
    assert dead(tmp_path, redis_url, "drop", "--all", "--older-than", "1h").stdout == "0 dropped\n"
    assert "2 of 2" in dead(tmp_path, redis_url, "list", "--newer-than", "1h").stdout


@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["drop", "x", "--all"], ["drop", "x", "--topic", "a"], ["list", "--newer-than", "1y"]],
)
def test_a_command_that_could_mean_more_than_was_meant_is_refused(
    tmp_path: Path, redis_url: str, arguments: list[str]
) -> None:
    done = dead(tmp_path, redis_url, *arguments)

    assert done.returncode == 2
    assert "Error:" in done.stderr


def test_redis_away_is_one_line(tmp_path: Path) -> None:
    done = dead(tmp_path, "redis://127.0.0.1:1/0", "list")

    assert done.returncode == 1
    assert done.stderr.startswith("parley: Redis does not answer")
    assert done.stderr.count("\n") == 1


def test_spans_of_time_are_read_as_people_write_them() -> None:
    assert [age(text).total_seconds() for text in ("90s", "15m", "2H", " 7d ")] == [90, 900, 7200, 604800]
    for text in ("", "5", "h", "-1h", "1.5h", "99999999999d"):
        with pytest.raises(ValueError, match="not a span of time"):
            age(text)
