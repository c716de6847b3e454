"""Run all measurements: ``make bench``; or some of them: ``python -m bench [NAME …]``.

With ``--write`` the results replace those in docs/performance.md. The modules of the measurements name the
variables for shorter runs. The comparison with Kafka is measured only when it is named, as it needs a broker
that ``make oracle`` installs.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import plumbing, service
from bench.contenders import PEERS
from bench.costs import costs
from bench.crowds import crowds
from bench.kafka.measure import measure as beside_kafka
from bench.machine import describe
from bench.overload import overload
from bench.partitions import partitions
from bench.sessions import sessions

_PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BEGIN, _END = "<!-- results: make bench -->\n", "<!-- end of results -->\n"
# The lines of a measurement, and the problems that make the bench fail.
_Measured = tuple[list[str], list[str]]


def _turns() -> int:
    return int(os.environ.get("BENCH_TURNS", "4000"))


# By name: the title, and the function that measures.
_ALL: Mapping[str, tuple[str, Callable[[], _Measured]]] = {
    "plumbing": ("Four hops", plumbing.measure),
    "partitions": ("Four hops by partitions", partitions),
    "service": ("The whole service", lambda: (service.beside_the_floor(_turns()), [])),
    "costs": ("The cost of a turn", lambda: (costs(), [])),
    "sessions": ("The memory of a session in Redis", lambda: (sessions(), [])),
    "crowds": ("Many at once", lambda: (crowds(), [])),
    "growth": ("How it grows", lambda: (service.growth(_turns()), [])),
    "overload": ("More than it can answer", lambda: (overload(), [])),
    "kafka": ("Kafka and Redis", lambda: (beside_kafka(), [])),
}
# It needs a broker that ``make oracle`` installs.
_ONLY_BY_NAME = "kafka"
_PACKAGES = ("faust-streaming", "redis", "hiredis", "aiohttp", "uvloop")
_PEER_PACKAGES = ("faststream", "taskiq", "taskiq-redis", "streaq", "pydocket")


def main() -> None:
    """Run the named measurements; the exit status is 1 if the transport lost or doubled a message."""
    arguments = sys.argv[1:]
    chosen = [each for each in arguments if each != "--write"]
    chosen = chosen or [each for each in _ALL if each != _ONLY_BY_NAME]
    if unknown := set(chosen).difference(_ALL):
        raise SystemExit(f"nothing is called {', '.join(unknown)}: {', '.join(_ALL)}")
    problems: list[str] = []
    text = f"{datetime.date.today()}, {describe(_PACKAGES)}; {_peers()}.\n"
    for name in chosen:
        title, measure = _ALL[name]
        lines, found = measure()
        problems += found
        text += "\n".join(("", f"### {title}", "", *lines, ""))
        print(f"### {title}", "", *lines, "", sep="\n", flush=True)
    print(*problems, sep="\n")
    if "--write" in arguments:
        page = _PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(_BEGIN)
        _, _, after = rest.partition(_END)
        _PAGE.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")
    sys.exit(bool(problems))


def _peers() -> str:
    """Return the versions of the peers, from their own environment."""
    found = PEERS.glob("lib/python*/site-packages/*.dist-info")
    versions = dict(each.name.removesuffix(".dist-info").rsplit("-", 1) for each in found)
    names = {name: name.replace("-", "_") for name in _PEER_PACKAGES}
    return ", ".join(f"{name} {versions.get(key, 'absent')}" for name, key in names.items())


if __name__ == "__main__":
    main()
