"""How each program is run; most are one worker that runs the step ``result``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.oracle.runner import Stage

__all__ = ["PROGRAMS", "by_length", "play"]

#: The names of all programs.
PROGRAMS = sorted(path.stem for path in (Path(__file__).parent / "programs").glob("[!_]*.py"))

Play = Callable[[Stage], Any]


def by_length(program: str) -> bool:
    """Order programs so that those with several workers begin first."""
    return program not in _PLAYS


def play(program: str, broker: str, folder: Path) -> Any:
    """Run a program on a broker and return its result.

    Raises:
        AssertionError: It gave no result; the message holds what it printed.
    """
    stage = Stage(program, broker, folder)
    try:
        return _PLAYS.get(program, _one_worker)(stage)
    finally:
        stage.close()


def _one_worker(stage: Stage) -> Any:
    return stage.result(stage.start("result"))


def _one_after_the_other(*steps: str, **options: Any) -> Play:
    def run(stage: Stage) -> list[Any]:
        *earlier, last = steps
        results = [stage.run(step, **options) for step in earlier]
        return [*results, stage.result(stage.start(last, **options))]

    return run


def _a_new_app(stage: Stage) -> Any:
    """An app comes to a topic that another one has read already."""
    before = stage.run("begin", ORACLE_APP="before")
    return [before, stage.result(stage.start("come_later", ORACLE_APP="later"))]


def _two_apps(stage: Stage) -> Any:
    """Two workers of one app share a topic, a third one of another app gets all of it."""
    first = stage.start("share", ORACLE_APP="first")
    second = stage.start("share", ORACLE_APP="first")
    shared = [stage.result(first), stage.result(second)]
    sender = stage.start("read_and_send", ORACLE_APP="second")
    return {"shared": shared, "second": stage.result(sender)}


def _standby(stage: Stage) -> Any:
    helper = stage.start("help_out")
    owner = stage.start("stay")
    stage.result(helper)
    stage.wait_flag(owner, "shared")
    stage.stop(helper)  # in order: events that a kill leaves unacked would count twice
    return stage.result(owner)


def _global_table(stage: Stage) -> Any:
    reader, writer = stage.start("read"), stage.start("write")
    return {"writer": stage.result(writer), "reader": stage.result(reader)}


def _pages_of_two(stage: Stage) -> Any:
    other = stage.start("answer", web=True)
    asking = stage.start("result", web=True, ORACLE_OTHER_PORT=str(other.port))
    return stage.result(asking)


def _livecheck(stage: Stage) -> Any:
    under_test = stage.start("order")
    checking = stage.start("check", app="livecheck")
    return {"executed": stage.result(under_test), "passed": stage.result(checking)}


def _commands(stage: Stage) -> Any:
    worker = stage.start("result")
    printed = {
        "send": _without_time(stage.command("send", "greetings", '{"name": "Ada"}', "--key", "k")),
        "send to an agent": _without_time(stage.command("send", "@greet", '{"name": "Grace"}')),
        "shout": stage.command("shout"),
        **{name: stage.command(name) for name in ("agents", "tables", "models", "clean-versions")},
        "model": stage.command("model", "Greeting"),
    }
    greeted = stage.result(worker)
    stage.stop(worker)
    return {"printed": printed, "greeted": sorted(greeted, key=repr), "reset": stage.command("reset")}


def _without_time(printed: str) -> Any:
    return {name: value for name, value in json.loads(printed).items() if name != "timestamp"}


def _web_client(stage: Stage) -> Any:
    worker = stage.start("result")
    answers = stage.command("ask")
    stage.command("only-send")
    return {"answers": answers, "asked": stage.result(worker)}


_PLAYS: dict[str, Play] = {
    "asgi": lambda stage: stage.result(stage.start("result", web=True)),
    "commands": _commands,
    "cqrs": _one_after_the_other("begin", "go_on"),
    "global_table": _global_table,
    "goes_on": _one_after_the_other("begin", "go_on"),
    "keys_of_tables": _one_after_the_other("begin", "go_on"),
    "key_models": _one_after_the_other("begin", "go_on"),
    "livecheck": _livecheck,
    "noack": _one_after_the_other("begin", "go_on"),
    "offset_reset_earliest": _a_new_app,
    "offset_reset_latest": _a_new_app,
    "order_book": _one_after_the_other("begin", "go_on"),
    "pages": lambda stage: stage.result(stage.start("result", web=True)),
    "pages_of_two": _pages_of_two,
    "rocksdb": _one_after_the_other("begin", "go_on", datadir="kept"),
    "sets": _one_after_the_other("begin", "go_on"),
    "standby": _standby,
    "table_operations": _one_after_the_other("begin", "go_on"),
    "table_recovered": _one_after_the_other("begin", "go_on"),
    "two_apps": _two_apps,
    "web_blueprints": lambda stage: stage.result(stage.start("result", web=True)),
    "web_client": _web_client,
    "windows_grouped": _one_after_the_other("begin", "go_on"),
    "windows_recovered": _one_after_the_other("begin", "go_on"),
}
