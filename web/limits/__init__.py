"""Define the limits and time-outs of a web process, each with the effect of a smaller or larger value.

The time-outs of connections, which agents share, are in ``pipeline.edge.limits``.
"""

from __future__ import annotations

NAME_MAX_CHARS = 64  # part of the documented API
NAME_READ_CHARS = 4096  # checked before any other use of a name

# Bytes of unfinished messages that all sockets of a process hold together; the oldest goes first.
UNFINISHED_BYTES = 32 * 1024 * 1024

# How much larger than its text a message may be as JSON, where a control character takes six bytes,
# and what the rest of its frame takes.
_JSON_GROWTH = 6
_JSON_REST_BYTES = 4096


def read_limit(message_max_bytes: int) -> int:
    """Return the bytes of the largest message that is read to its end, to be refused with an error frame.

    A larger one closes its socket with 1009, as soon as its header is read.
    """
    return _JSON_GROWTH * message_max_bytes + _JSON_REST_BYTES


def unfinished_budget(message_max_bytes: int) -> int:
    """Return the bytes of unfinished messages that a process holds: at least two of the largest."""
    return max(UNFINISHED_BYTES, 2 * read_limit(message_max_bytes))


# Bodies of HTTP requests, the largest of which is a form with a name.
BODY_MAX_BYTES = 16 * 1024

# Messages of one socket that Redis has not confirmed yet; at this many the socket is not read. Smaller: a
# burst waits for more round trips. Larger: more may be lost unnoticed when the process dies.
UNCONFIRMED_PER_SOCKET = 256

# Seconds after a client has returned (``after``) in which it sends its open messages again. Shorter: the
# repeat of a slow client may be refused although its first copy will be answered. Longer: new messages pass
# a full stage.
REPEAT_SECONDS = 5.0

# Seconds between two refusals of one address, during which a refused socket is not read. Shorter: a flood of
# refused messages keeps a core busy. Longer: a client that is let in again waits for it.
REFUSAL_SECONDS = 0.001

# Seconds until a message that is refused as ``busy`` gets its answer, during which its socket is not read.
# Shorter: a client that sends again at once takes processor time from the answers of others.
BUSY_SECONDS = 0.02

# Frames that wait for a slow reader before it is cut off. Above the frames that a session keeps as unsent
# (1000), which are all sent at once when a client returns.
OUTBOX_FRAMES = 2048

# Frames held back for a socket while its session is read, most of them tokens.
HELD_FRAMES = 4 * OUTBOX_FRAMES

# Ids of the last frames of a socket, to drop duplicates. Not below OUTBOX_FRAMES: a frame must
# not be forgotten while it waits.
SEEN_FRAMES = OUTBOX_FRAMES

# Seconds that one write may take before the reader counts as stalled.
WRITE_SECONDS = 20.0

# Seconds of silence after which a socket is pinged; half of that later it is dropped without a pong. Keeps
# proxies from closing an idle socket, and detects peers that disappeared silently. Smaller: more traffic
# for idle sockets. Larger: dead ones hold their memory for longer.
HEARTBEAT_SECONDS = 10.0

# Seconds that a peer has to answer our close; part of the five that a shutdown may take.
CLOSE_SECONDS = 1.5

# Seconds that a request waits for Redis before it is answered with 503; the first for Redis to come back, the
# second for all that the request does.
REDIS_PATIENCE_SECONDS = 5.0
REQUEST_SECONDS = 10.0

# Shutting down: seconds for handlers to end once their sockets are closed, for the node to leave Redis, and
# for unconfirmed messages. Together with CLOSE_SECONDS they stay below the five of the whole shutdown.
HANDLER_SECONDS = 0.5
LEAVE_SECONDS = 1.0
FLUSH_SECONDS = 1.0

# The blocking read of the node's stream: the pace at which the stream's life is renewed and its loss noticed.
NODE_BLOCK_MS = 2_000
NODE_READ_FRAMES = 500

# The read loop counts as stuck when it has not run for this long: five blocking reads.
READY_SECONDS = 10.0

# Seconds until a session is read for a socket that lacks a piece of an answer. Below the time after which a
# worker stores a piece (``pipeline.chat.answer_runs.STORE_SECONDS``), the session may lack it as well.
CATCH_UP_SECONDS = 0.3

# Sessions that are attached at the same time after an outage; more would only queue for connections.
ATTACH_CONCURRENCY = 64
