"""The master list of keys: their names, their slots on a cluster, and the keys of each script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from faust_redis.redis import Command, keys_of
from pipeline.chat import answer_runs, node_stream, session_end, session_scripts
from pipeline.redis import keys, rates, scripts

ROOT = Path(__file__).parents[3]
TOKEN = "2f0c6c1e-8a53-4f63-9df4-1d8f0c6f9a11"
OF_SESSION = {
    "session": keys.session_key(TOKEN),
    "partial": keys.partial_key(TOKEN),
    "presence": keys.presence_key(TOKEN),
}
#: The keys that the callers of each script give it, in order.
SCRIPT_KEYS = {
    "accept_message": ("session", "presence"),
    "append_partial": ("partial", "presence"),
    "begin_run": ("session", "partial", "presence"),
    "close_turn": ("session", "partial", "presence"),
    "create_session": ("session",),
    "end_session": ("session", "partial", "presence"),
    "mark_sent": ("session",),
    "read_page": ("session",),
    "read_session": ("session", "partial"),
    "renew_node": ("web",),
    "restore_answer": ("session",),
    "restore_message": ("session", "presence"),
    "revive_turn": ("session",),
    "stop_turn": ("session", "partial"),
    "take_rate": ("rate",),
}
WHOLE = {"web": keys.node_stream("n1"), "rate": keys.rate_key("message:x")}


def declared() -> Iterator[scripts.Script]:
    """Yield every script of the service."""
    for module in (answer_runs, node_stream, session_end, session_scripts, rates):
        yield from (value for value in vars(module).values() if isinstance(value, scripts.Script))


def test_every_script_is_in_the_table_with_as_many_keys_as_it_takes() -> None:
    taken = {script.operation: script.keys for script in declared()}
    files = {path.stem.rpartition("-")[0] for path in (ROOT / "pipeline").rglob("lua/*-*.lua")}

    assert taken == {operation: len(names) for operation, names in SCRIPT_KEYS.items()}
    assert set(taken) == files


@pytest.mark.parametrize("operation", SCRIPT_KEYS)
def test_all_keys_of_a_script_share_a_slot(operation: str) -> None:
    names = [{**OF_SESSION, **WHOLE}[kind] for kind in SCRIPT_KEYS[operation]]

    assert len({key_slot(name.encode()) for name in names}) == 1


def test_every_function_makes_a_key_of_a_listed_kind() -> None:
    made = [*OF_SESSION.values(), *WHOLE.values(), keys.STOPS, keys.WEB_NODES]
    made += [keys.report_key("infer", "w1"), keys.probe_key("n1")]
    made += [f"{keys.HISTORY}:lease", f"{keys.HISTORY}:10s", keys.WAITING]
    kinds = {
        kind.pattern: re.sub(r"<\w+>", ".+", re.sub(r"([{}])", r"\\\1", kind.pattern))
        for kind in keys.KEY_KINDS
    }

    for key in made:
        assert any(re.fullmatch(pattern, key) for pattern in kinds.values()), key
    for kind, pattern in kinds.items():
        assert any(re.fullmatch(pattern, key) for key in made), kind


def test_the_document_lists_the_keys() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\S+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)

    listed = [tuple(cell.strip() for cell in row) for row in rows]
    assert listed[: len(keys.KEY_KINDS)] == list(keys.KEY_KINDS)


async def test_the_callers_give_their_scripts_these_keys(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run each operation once and look at the keys of its command."""
    from tests.pipeline.redis.calls import call_everything

    sent: list[tuple[str, Command]] = []
    original = scripts.Script.command

    def recording(self: scripts.Script, names: list[str], **arguments: str | int | bytes) -> Command:
        command = original(self, names, **arguments)
        sent.append((self.operation, command))
        return command

    monkeypatch.setattr(scripts.Script, "command", recording)
    await call_everything(redis_url)

    assert {operation for operation, _ in sent} == set(SCRIPT_KEYS)
    for operation, command in sent:
        given = keys_of(command)
        assert len({key_slot(str(key).encode()) for key in given}) == 1, (operation, given)
        assert [str(key).partition(":")[0] for key in given] == list(SCRIPT_KEYS[operation]), operation
