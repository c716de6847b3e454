"""Timers, the leader, signals, services, pages and commands."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from faust_redis.testing import wait_until
from tests.conformance.conftest import PROGRAMS, Lab, Site
from tests.worker import Worker


def leaders(lab: Lab, sites: list[Site]) -> list[Worker]:
    alive = [site.worker for site in sites if site.worker.process.poll() is None]
    return [worker for worker in alive if lab.redis.get(f"is-leader:{worker.pid}") == "1"]


def test_timers_run_in_every_worker(lab: Lab, lifecycle_sites: list[Site]) -> None:
    pids = {str(site.worker.pid) for site in lifecycle_sites}

    wait_until(lambda: pids <= set(lab.redis.hgetall("timer")), "a timer in each worker")


def test_one_worker_leads_and_runs_what_is_for_the_leader(lab: Lab, lifecycle_sites: list[Site]) -> None:
    (leader,) = wait_until(lambda: leaders(lab, lifecycle_sites), "a leader")
    before = int(lab.redis.hget("leader-timer", str(leader.pid)) or 0)
    other = next(str(site.worker.pid) for site in lifecycle_sites if site.worker is not leader)
    idle = lab.redis.hget("leader-timer", other)

    wait_until(
        lambda: int(lab.redis.hget("leader-timer", str(leader.pid)) or 0) >= before + 3, "the leader's timer"
    )
    assert lab.redis.hget("leader-timer", other) == idle
    assert lab.notes("leader-task")


def test_tasks_and_services_start_with_the_worker(lab: Lab, lifecycle_sites: list[Site]) -> None:
    pids = {site.worker.pid for site in lifecycle_sites}

    wait_until(lambda: pids <= set(lab.notes("task")), "a task in each worker")
    assert lab.notes("service").count("started") >= 2


def test_a_page_answers_and_a_view_may_ask_an_agent(lifecycle_sites: list[Site]) -> None:
    assert lifecycle_sites[0].get("/hello/") == {"hello": "world"}
    assert lifecycle_sites[1].get("/hello/", {"name": "Ada"}) == {"answer": "Hello, Ada!"}


def test_the_performance_page_holds_throughput_latency_offsets_and_lag(lifecycle_sites: list[Site]) -> None:
    # Faust begins these figures anew with each rebalance, such as that of the first one who asks.
    for _ in range(2):
        lifecycle_sites[0].get("/hello/", {"name": "Bob"})

    def committed() -> list[dict[str, Any]]:
        pages = [site.get("/performance/") for site in lifecycle_sites]
        return [page for page in pages if page["consumer"]["committed_offsets"].get("greetings")]

    (page, *_) = wait_until(committed, "a committed offset")
    consumer = page["consumer"]
    (number, offset), *_ = consumer["committed_offsets"]["greetings"].items()
    assert consumer["end_offsets"]["greetings"][number] == offset
    assert consumer["lag_by_partition"]["greetings"][number] <= 1
    assert page["throughput"]["events_total"] > 0
    assert page["latency"]["commit_latency"]["count"] > 0
    assert consumer["rebalances"] >= 1
    assert any(site.get("/performance/")["latency"]["send_latency"]["count"] for site in lifecycle_sites)


def test_the_stats_pages_tell_counts_and_assignments(lifecycle_sites: list[Site]) -> None:
    for site in lifecycle_sites:
        assert any("events_total" in sensor for sensor in site.get("/").values())
    parts = [site.get("/assignment/")["actives"].get("greetings", []) for site in lifecycle_sites]
    assert sorted(parts[0] + parts[1]) == [0, 1, 2, 3]


def test_faust_send_reaches_an_agent_and_a_topic(lab: Lab, lifecycle_sites: list[Site]) -> None:
    seen = len(lab.notes("greeted"))
    printed = lab.run("lifecycle", "send", "@greet", '{"name": "Grace"}', "--key", "k")
    lab.run("lifecycle", "send", "greetings", '{"name": "Alan"}')

    assert '"topic":"greetings"' in printed
    assert sorted(lab.wait_notes("greeted", seen + 2)[seen:]) == ["Hello, Alan!", "Hello, Grace!"]


def test_a_command_of_the_app_sends(lab: Lab, lifecycle_sites: list[Site]) -> None:
    seen = len(lab.notes("greeted"))

    assert "shouted 3 times" in lab.run("lifecycle", "shout", "--times", "3")
    assert lab.wait_notes("greeted", seen + 3)[seen:] == ["Hey, all!"] * 3


def test_a_client_asks_without_entering_the_group(lab: Lab, lifecycle_sites: list[Site]) -> None:
    generation = lab.redis.hget("faust:{lifecycle}:state", "generation")

    printed = lab.run("lifecycle", "ask")

    assert "Hello, client!" in printed
    assert "Hello, a! Hello, b!" in printed
    assert lab.redis.hget("faust:{lifecycle}:state", "generation") == generation


@pytest.mark.parametrize(
    ("command", "shows"),
    [("agents", "greetings"), ("models", "Greeting"), ("model", "word"), ("clean-versions", "")],
)
def test_commands_that_tell_about_the_app_work(lab: Lab, command: str, shows: str) -> None:
    arguments = [f"{PROGRAMS}.lifecycle.Greeting"] if command == "model" else []

    assert shows in lab.run("lifecycle", command, *arguments)


def test_another_worker_leads_when_the_leader_stops(lab: Lab, lifecycle_sites: list[Site]) -> None:
    (leader,) = wait_until(lambda: leaders(lab, lifecycle_sites), "a leader")
    leader.signal(signal.SIGTERM)
    leader.process.wait(30)

    (next_leader,) = wait_until(lambda: leaders(lab, lifecycle_sites), "the next leader")
    assert next_leader is not leader
    wait_until(lambda: lab.redis.hget("leader-timer", str(next_leader.pid)), "the leader's timer")


def test_signals_tell_of_rebalances_and_of_the_stop(lab: Lab, lifecycle_sites: list[Site]) -> None:
    expected = {"partitions_assigned", "partitions_revoked", "rebalance_complete", "before_shutdown"}
    stopped = lifecycle_sites[0].worker
    stopped.signal(signal.SIGTERM)
    stopped.process.wait(30)

    wait_until(lambda: set(lab.notes("signals")) == expected, "each signal")
    assert "stopped" in lab.notes("service")


@pytest.mark.skipif("CONFORMANCE_SLOW" not in os.environ, reason="takes up to a minute")
def test_a_crontab_runs(lab: Lab, lifecycle_sites: list[Site]) -> None:
    lab.wait_notes("crontab", 1, timeout=70)
