"""Log what an operator changes from a terminal, as the pages do."""

from __future__ import annotations

import getpass
import logging
import socket
from typing import Any, Final

audit_log: Final = logging.getLogger("parley.audit")


def audit(action: str, **facts: Any) -> None:
    """Log an action that has changed something, with the user of this machine, to standard error."""
    if not audit_log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        audit_log.addHandler(handler)
        audit_log.setLevel(logging.INFO)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    described = " ".join(f"{name}={value!r}" for name, value in facts.items())
    audit_log.info("admin action %s by %s@%s: %s", action, user, socket.gethostname(), described)
