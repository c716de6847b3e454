"""Run all measurements: ``make bench``; or some of them: ``python -m bench [NAME …]``.

With ``--write`` the results replace those in docs/performance.md. For shorter runs by environment, see
``bench/plumbing.py``, ``bench/service.py``, ``bench/crowds.py``, ``bench/overload.py`` and
``bench/kafka/__init__.py``. The
comparison with Kafka is measured only when it is named, as it needs a broker that ``make oracle`` installs.
"""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path

from bench import plumbing, service
from bench.contenders import PEERS
from bench.crowds import crowds
from bench.kafka.measure import measure as beside_kafka
from bench.machine import describe
from bench.overload import overload

_PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BEGIN, _END = "<!-- results: make bench -->\n", "<!-- end of results -->\n"
_ALWAYS = ("plumbing", "service", "crowds", "growth", "overload")
_PACKAGES = ("faust-streaming", "redis", "hiredis", "aiohttp", "uvloop")
_PEER_PACKAGES = ("faststream", "taskiq", "taskiq-redis")


def main() -> None:
    """Run the named measurements; the exit status is 1 if the transport lost or doubled a message."""
    arguments = sys.argv[1:]
    chosen = [each for each in arguments if each != "--write"] or list(_ALWAYS)
    turns = int(os.environ.get("BENCH_TURNS", "4000"))
    problems: list[str] = []
    text = f"{datetime.date.today()}, {describe(_PACKAGES)}; {_peers()}.\n"
    for name in chosen:
        match name:
            case "plumbing":
                lines, problems = plumbing.measure()
                title = "Four hops"
            case "service":
                title, lines = "The whole service", service.beside_the_floor(turns)
            case "crowds":
                title, lines = "Many at once", crowds()
            case "overload":
                title, lines = "More than it can answer", overload()
            case "growth":
                title, lines = "How it grows", service.growth(turns)
            case "kafka":
                title, lines = "Kafka and Redis", beside_kafka()
            case _:
                raise SystemExit(
                    f"nothing is called {name}: plumbing, service, crowds, growth, overload, kafka"
                )
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
