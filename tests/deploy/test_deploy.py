"""Each file in deploy/ is valid, according to the tool that reads it if that is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client.metrics_core import Metric

from faust_redis import PartitionSample
from faust_redis.testing import Keys
from pipeline.models.eliza import Eliza
from pipeline.models.measured import MeasuredModel
from pipeline.redis.client import connect
from pipeline.settings import STAGES, Settings
from pipeline.telemetry import refusals
from pipeline.telemetry.metrics import SENT, exposition, histogram, sent
from pipeline.telemetry.stages.exported import of_stages, of_worker
from pipeline.telemetry.stages.report import Report
from pipeline.telemetry.stages.sample import PipelineSample, StageSample, WorkerSample
from pipeline.telemetry.stages.work import WorkSensor

KEYS = Keys()

CLONE = Path(__file__).parents[2]
DEPLOY = CLONE / "deploy"
PROMTOOL = shutil.which("promtool")
COMPOSE = shutil.which("docker-compose")
KUBERNETES = ("1.32", "1.34")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool (Debian: prometheus)")
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="there is no docker-compose")


def figures() -> set[str]:
    """Return the names of all that our processes tell Prometheus, as queries have them."""
    SENT["infer"] += 0
    look = PipelineSample(
        1.0,
        {stage: StageSample((PartitionSample(),)) for stage in STAGES},
        (WorkerSample("w", 1.0, Report(uptime=1.0)),),
    )
    model = MeasuredModel(Eliza(), lambda: None)
    requests: list[Metric] = [histogram("http_server_request_duration_seconds", "", [])]
    of_web = ("parley_redis_up", "parley_edge_connections", "parley_edge_unfinished_bytes")
    web: list[Metric] = [Metric(name, "", "gauge") for name in of_web]
    worker = of_worker(WorkSensor("infer"))
    text = exposition(worker, of_stages(look), sent(), model.figures(), requests, web, refusals.figures())
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text.decode(), re.MULTILINE):
        names |= {name, *(f"{name}_{end}" for end in ("bucket", "count", "sum") if kind == "histogram")}
    return names


def queries() -> Iterator[tuple[str, str]]:
    """Yield every query of the dashboard with the title of its panel."""
    board = json.loads((DEPLOY / "grafana/dashboards/parley.json").read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def asked_for(query: str) -> set[str]:
    """Return the names of the figures in a query."""
    bare = re.sub(r'"[^"]*"', "", query)
    return set(re.findall(r"\b(?:parley|messaging|gen_ai|http|process|faust)_[a-z0-9_]+(?=[{\[) ]|$)", bare))


def test_the_dashboard_asks_for_figures_that_exist_and_for_most_of_them() -> None:
    known, asked = figures(), set()
    for title, query in queries():
        names = asked_for(re.sub(r"by \([^)]*\)", "", query))
        assert names, f"{title}: {query}"
        assert names <= known, f"{title} asks for {names - known}"
        asked |= names
    assert len(asked) > 15


@needs_promtool
def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"q{number}", "expr": query.replace("$__rate_interval", "1m").replace("$stage", ".*")}
        for number, (_, query) in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_the_panels_of_the_dashboard_do_not_cover_each_other() -> None:
    board = json.loads((DEPLOY / "grafana/dashboards/parley.json").read_text("utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def test_the_alerts_ask_for_figures_that_exist() -> None:
    groups = load_one("prometheus/alerts.yml")["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        names = {name for name in asked_for(rule["expr"]) if not name.startswith("parley:")}
        assert names <= figures(), f"{rule} asks for {names - figures()}"


@needs_promtool
def test_prometheus_takes_its_configuration_and_alerts_and_knows_slow_from_stalled() -> None:
    promtool("check", "config", "prometheus/prometheus.yml")
    promtool("check", "rules", "prometheus/alerts.yml")
    promtool("test", "rules", "prometheus/alerts_test.yml")


@needs_compose
@pytest.mark.parametrize("profile", [(), ("--profile", "observe")])
def test_compose_takes_its_file_with_and_without_the_profile(profile: tuple[str, ...]) -> None:
    command = ["docker-compose", *profile, "config", "--quiet"]
    done = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize(
    "file",
    [
        *(
            "namespace.yaml",
            "settings.yaml",
            "networkpolicies.yaml",
            "web.yaml",
            "ingress.yaml",
            "agents.yaml",
        ),
        "redis/redis.yaml",
    ],
)
def test_kubernetes_own_schemas_take_every_manifest(file: str, version: str) -> None:
    documents = load_all(f"kubernetes/{file}")
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_each_stage_has_a_deployment_that_runs_its_agent_with_settings_that_are_taken() -> None:
    deployments = {
        d["metadata"]["name"]: d for d in load_all("kubernetes/agents.yaml") if d["kind"] == "Deployment"
    }
    assert sorted(deployments) == sorted(STAGES)
    for stage, deployment in deployments.items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["parley", "agent", stage]
    data = load_one("kubernetes/settings.yaml")["data"]
    settings = Settings.load(**{name.lower().removeprefix("parley_"): value for name, value in data.items()})
    assert all(settings.agent_port(stage) == settings.port == 3500 for stage in STAGES)


def test_the_resources_of_the_kustomization_are_there() -> None:
    for name in load_one("kubernetes/kustomization.yaml")["resources"]:
        assert (DEPLOY / "kubernetes" / name).is_file()


async def test_keda_watches_the_very_streams_that_messages_go_to(redis_url: str) -> None:
    scaled = next(d for d in load_all("kubernetes/keda.yaml") if d["kind"] == "ScaledObject")
    partitions = int(load_one("kubernetes/settings.yaml")["data"]["PARTITIONS"])
    streams = [trigger["metadata"]["stream"] for trigger in scaled["spec"]["triggers"]]
    assert streams == [KEYS.stream(("infer", partition)) for partition in range(partitions)]
    assert scaled["spec"]["maxReplicaCount"] == partitions
    async with connect(redis_url) as redis:
        for stream in streams:
            await redis.xadd(stream, {"v": "1"})
            assert await redis.xlen(stream) == 1


def promtool(*arguments: str) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def load_all(path: str) -> list[Any]:
    return [document for document in yaml.safe_load_all((DEPLOY / path).read_text("utf-8")) if document]


def load_one(path: str) -> Any:
    (document,) = load_all(path)
    return document
