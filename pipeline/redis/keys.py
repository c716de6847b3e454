"""Every key that the service itself writes, in one place; those of the stages' topics are the transport's.

The braces are Redis Cluster's hash tags: keys with the same text in braces share a slot, and so one node. A
script takes only keys of one slot. A step that concerns keys of several slots is several commands, in an
order that is correct if the process dies between them.

docs/scaling.md shows ``KEY_KINDS`` as a table, and a test compares both.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "HISTORY",
    "KEY_KINDS",
    "STOPS",
    "WAITING",
    "WEB_NODES",
    "KeyKind",
    "node_stream",
    "partial_key",
    "presence_key",
    "probe_key",
    "rate_key",
    "report_key",
    "session_key",
]


class KeyKind(NamedTuple):
    """One kind of key.

    Attributes:
        pattern: the key, with its variables in angle brackets.
        type: the type of its value.
        shares: the variable or text that its slot depends on.
        meaning: what it holds.
    """

    pattern: str
    type: str
    shares: str
    meaning: str


KEY_KINDS: Final = (
    KeyKind("session:{<token>}", "JSON", "token", "the session document"),
    KeyKind("partial:{<token>}", "string", "token", "the running answer so far"),
    KeyKind("presence:{<token>}", "hash", "token", "the web nodes with sockets of the session"),
    KeyKind("web:<node>", "stream", "whole key", "frames for the sockets of a web process"),
    KeyKind("stops", "stream", "whole key", "stop signals, read by every infer worker"),
    KeyKind("rate:{<what>}", "string", "what", "the state of a rate limit for a client"),
    KeyKind("stage:{<stage>}:<worker>", "string", "stage", "the report of a worker, or of a web process"),
    KeyKind("stage:{web}:nodes", "sorted set", "web", "the live web processes"),
    KeyKind(
        "stage:{ingest}:waiting",
        "sorted set",
        "ingest",
        "sessions with waiting messages, by when the first of them came (ms)",
    ),
    KeyKind("stage:{web}:history:lease", "string", "web", "the web process that records the figures"),
    KeyKind(
        "stage:{web}:history:<interval>", "sorted set", "web", "the figures of the last day, by their time"
    ),
    KeyKind("probe:{<name>}", "string", "name", "a test write that shows whether Redis accepts writes"),
)

#: The stream of stop signals.
STOPS: Final = "stops"

#: The web processes by their last sign of life (ms, server time).
WEB_NODES: Final = "stage:{web}:nodes"

#: The sessions with waiting messages, by when the first of them came (ms).
WAITING: Final = "stage:{ingest}:waiting"

#: The beginning of the keys that hold the figures of the last day.
HISTORY: Final = "stage:{web}:history"


def session_key(token: str) -> str:
    """Return the key of a session's document."""
    return f"session:{{{token}}}"


def partial_key(token: str) -> str:
    """Return the key of a session's partial answer."""
    return f"partial:{{{token}}}"


def presence_key(token: str) -> str:
    """Return the key of a session's presence."""
    return f"presence:{{{token}}}"


def node_stream(node: str) -> str:
    """Return the key of a web node's stream."""
    return f"web:{node}"


def rate_key(what: str) -> str:
    """Return the key of a rate."""
    return f"rate:{{{what}}}"


def report_key(stage: str, worker: str) -> str:
    """Return the key of a worker's report."""
    return f"stage:{{{stage}}}:{worker}"


def probe_key(name: str) -> str:
    """Return the key that a process writes to learn whether Redis takes writes."""
    return f"probe:{{{name}}}"
