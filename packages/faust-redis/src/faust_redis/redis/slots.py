"""Find the keys of a command, and their slot among a cluster's 16,384."""

from __future__ import annotations

from typing import Final

from redis.crc import key_slot

from faust_redis.redis.commands import Command

__all__ = ["keys_of", "slot_of"]

#: Commands without a key; any node answers them.
_KEYLESS: Final = frozenset(
    (
        "ACL",
        "CLIENT",
        "CLUSTER",
        "COMMAND",
        "CONFIG",
        "DBSIZE",
        "ECHO",
        "INFO",
        "PING",
        "SCRIPT",
        "TIME",
        "WAIT",
        "WAITAOF",
    )
)
#: Commands whose first key follows the name of a subcommand.
_WITH_SUBCOMMAND: Final = frozenset(("MEMORY", "OBJECT", "XGROUP", "XINFO"))
_SCRIPTS: Final = frozenset(("EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO"))
#: Commands whose keys follow the word STREAMS, as many keys as ids after them.
_READS: Final = frozenset(("XREAD", "XREADGROUP"))
#: Commands of which every argument is a key.
_ALL_KEYS: Final = frozenset(("DEL", "EXISTS", "MGET", "TOUCH", "UNLINK"))


def keys_of(command: Command) -> tuple[str | bytes, ...]:
    """Return the keys that a command names, of the commands that this project sends; empty for none."""
    name = _text(command[0]).upper()
    if name in _KEYLESS or len(command) < 2:
        return ()
    if name in _SCRIPTS:
        return tuple(map(_key, command[3 : 3 + int(command[2])]))
    if name in _READS:
        words = [_text(word).upper() if isinstance(word, (str, bytes)) else "" for word in command]
        first = words.index("STREAMS") + 1
        return tuple(map(_key, command[first : first + (len(command) - first) // 2]))
    if name in _ALL_KEYS:
        return tuple(map(_key, command[1:]))
    return (_key(command[2 if name in _WITH_SUBCOMMAND else 1]),)


def slot_of(command: Command) -> int | None:
    """Return the slot of a command's first key; None for a command without a key.

    A command with keys of several slots is refused by the cluster itself (CROSSSLOT).
    """
    keys = keys_of(command)
    if not keys:
        return None
    key = keys[0]
    return key_slot(key.encode() if isinstance(key, str) else key)


def _text(word: str | bytes | int) -> str:
    return word.decode("latin-1") if isinstance(word, bytes) else str(word)


def _key(word: str | bytes | int) -> str | bytes:
    return word if isinstance(word, (str, bytes)) else str(word)
