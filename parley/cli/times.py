"""Points in time as an operator types them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours"}


def moment(text: str, now: datetime) -> float:
    """Read ``10m`` (ago), ``14:03``, ``14:03:20``, or a date with a time; return seconds since the epoch.

    A time without a date is the last one before now. Without an offset, times are of this machine's zone.

    Raises:
        ValueError: the text is no point in time.
    """
    text = text.strip()
    if found := re.fullmatch(r"-?(\d{1,6})([smh])", text, re.ASCII):
        return (now - timedelta(**{_UNITS[found[2]]: int(found[1])})).timestamp()
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text, re.ASCII):
        clock = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M")
        at = now.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
        return (at if at <= now else at - timedelta(days=1)).timestamp()
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is no time such as 10m, 14:03 or 2026-11-28T14:03") from None
