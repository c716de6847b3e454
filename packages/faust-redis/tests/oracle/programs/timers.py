"""Timers, a crontab with seconds, tasks, and what is for the leader alone."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, step, until

app = make_app("timers", topic_partitions=1)


@app.agent(app.topic("source"))
async def idle(stream: Any) -> None:
    async for _ in stream:
        pass


@app.timer(0.1)
async def each_time() -> None:
    note("timer", 1)


@app.timer(0.1, on_leader=True)
async def leaders_timer() -> None:
    note("timer of the leader", app.is_leader())


@app.crontab("* * * * * */1")
async def each_second() -> None:
    note("crontab", 1)


@app.crontab("* * * * * */1", on_leader=True)
async def leaders_crontab() -> None:
    note("crontab of the leader", 1)


@app.task
async def once() -> None:
    note("task", 1)


@app.task(on_leader=True)
async def leaders_task() -> None:
    note("task of the leader", 1)


@step(app)
async def result() -> Any:
    await until(app.is_leader, "the lead")
    names = ("timer", "timer of the leader", "crontab", "crontab of the leader", "task")
    return {name: (await noted(name, 1))[0] for name in names}
