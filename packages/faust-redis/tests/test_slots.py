"""The slot of a command, and the keys of every script of the transport."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis.crc import key_slot

import faust_redis.redis
from faust_redis.log.keys import Keys
from faust_redis.redis import Command, keys_of, slot_of

TP = ("orders", 3)
KEYS = Keys()
GROUP = KEYS.group("shop")
PARTITION = {
    "stream": KEYS.stream(TP),
    "lease": KEYS.lease(TP, "shop"),
    "attempts": KEYS.attempts(TP, "shop"),
    "suspects": KEYS.suspects(TP, "shop"),
    "producers": KEYS.producers(TP),
    "index": KEYS.index(TP),
    "tombstones": KEYS.tombstones(TP),
    "dead": KEYS.dead(TP),
}
#: The keys that the callers of each script give it, in the order of its header.
SCRIPT_KEYS: dict[str, list[str]] = {
    "ack": [PARTITION[name] for name in ("stream", "lease", "attempts")],
    "ack_many": [PARTITION["stream"]],  # and those of other partitions, like the next one: for one server
    "append_many": [PARTITION["stream"]],
    "append": [PARTITION[name] for name in ("stream", "producers", "index", "lease", "tombstones")],
    "commit": [PARTITION["stream"]],  # and those of other partitions: it is for one server
    "count_entries": [PARTITION["stream"]],  # and those of other partitions, on one server
    "declare_topic": [KEYS.topic("orders")],
    "expire_entries": [PARTITION["stream"], PARTITION["index"]],
    "expire_tombstones": [PARTITION[name] for name in ("stream", "index", "tombstones")],
    "fail": [PARTITION[name] for name in ("stream", "lease", "attempts", "dead", "suspects")],
    "group_heartbeat": list(GROUP),
    "group_join": list(GROUP),
    "group_leave": list(GROUP),
    "group_release": [GROUP.members, GROUP.released, GROUP.state, GROUP.signal],
    "group_sync": [GROUP.plan, GROUP.state, GROUP.signal],
    "make_group": [PARTITION["stream"]],
    "mark_suspect": [PARTITION["lease"], PARTITION["suspects"]],
    "move_group": [PARTITION[name] for name in ("stream", "attempts", "suspects")],
    "record_history": ["{history}:lease"],  # and those of the tiers, with the same tag
    "release": [PARTITION["lease"], PARTITION["suspects"]],
    "replay": [PARTITION["dead"], PARTITION["stream"]],
    "sample_partition": [PARTITION[name] for name in ("stream", "lease", "attempts", "dead")],
    "seek": [PARTITION["stream"], PARTITION["lease"]],
    "server_time": [PARTITION["stream"]],
    "strays": [PARTITION["stream"]],  # and those of other partitions, on one server
    "take_lease": [PARTITION["lease"]],
    "take_over": [PARTITION[name] for name in ("stream", "lease", "attempts", "suspects")],
}


def test_the_table_names_every_script_with_the_keys_of_its_header() -> None:
    folder = Path(faust_redis.redis.__file__).with_name("lua")
    numbers = {
        path.stem: {int(number) for number in re.findall(r"KEYS\[(\d+)\]", path.read_text("utf-8"))}
        for path in folder.glob("*.lua")
    }

    assert {name: len(keys) for name, keys in SCRIPT_KEYS.items()} == {
        name: max(found, default=1) for name, found in numbers.items()
    }


@pytest.mark.parametrize("name", SCRIPT_KEYS)
def test_all_keys_of_a_script_share_a_slot(name: str) -> None:
    assert len({key_slot(key.encode()) for key in SCRIPT_KEYS[name]}) == 1


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("GET", "a"), ("a",)),
        (("get", b"a"), (b"a",)),
        (("DEL", "a", "b"), ("a", "b")),
        (("XADD", "s", "*", "f", "v"), ("s",)),
        (("XREADGROUP", "GROUP", "g", "c", "COUNT", 5, "STREAMS", "s", ">"), ("s",)),
        (("XREAD", "BLOCK", 1, "STREAMS", "streams", "t", "0", "0"), ("streams", "t")),
        (("XINFO", "STREAM", "s"), ("s",)),
        (("XGROUP", "CREATE", "s", "g", "0"), ("s",)),
        (("EVALSHA", "0" * 40, 2, "a", "b", "argument"), ("a", "b")),
        (("EVALSHA_RO", "0" * 40, 0, "argument"), ()),
        (("JSON.GET", "a", "$.x"), ("a",)),
        (("TIME",), ()),
        (("SCRIPT", "LOAD", "return 1"), ()),
        (("INFO", "memory"), ()),
    ],
)
def test_the_keys_of_a_command_are_found(command: Command, keys: tuple[str | bytes, ...]) -> None:
    assert keys_of(command) == keys


def test_a_slot_depends_on_the_hash_tag_alone() -> None:
    assert slot_of(("GET", "a{t}b")) == slot_of(("GET", b"{t}")) == key_slot(b"t")
    assert slot_of(("PING",)) is None
