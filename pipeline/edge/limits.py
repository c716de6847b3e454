"""Define the time-outs of a connection, each with the effect of a smaller or larger value."""

from __future__ import annotations

# Seconds in which a connection has to send a whole request head, from its start or from the first byte of
# the next request. A phone on a bad line needs two round trips.
HEAD_SECONDS = 10.0

# Seconds that a connection may wait between two requests; above the 60 that usual proxies keep theirs open.
KEEPALIVE_SECONDS = 75.0

# Seconds for reading and dropping the rest of a body whose request was answered before it was complete.
LINGER_SECONDS = 2.0

# Seconds in which a peer has to read the waiting part of a response, before its connection is closed.
RESPONSE_SECONDS = 30.0

# Seconds from the first byte of a message on a socket to its last.
MESSAGE_SECONDS = 30.0
