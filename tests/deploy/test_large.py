"""The manifests for many machines: they build, fit Kubernetes' schemas, and scale by figures that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from pipeline.settings import STAGES
from tests.deploy.test_deploy import KUBERNETES, asked_for, figures

LARGE = Path(__file__).parents[2] / "deploy" / "kubernetes-large"


def scaled() -> dict[str, Any]:
    """Return each ScaledObject by its target."""
    text = (LARGE / "autoscaling.yaml").read_text("utf-8")
    return {each["spec"]["scaleTargetRef"]["name"]: each["spec"] for each in yaml.safe_load_all(text)}


def test_every_part_is_scaled_by_a_figure_that_exists() -> None:
    known = figures()

    assert set(scaled()) == {"web", *STAGES}
    for part, spec in scaled().items():
        (trigger,) = spec["triggers"]
        query = trigger["metadata"]["query"]
        names = asked_for(re.sub(r"by \([^)]*\)", "", query))
        assert names, query
        assert names <= known, query
        assert part == "web" or f'stage="{part}"' in query


def test_a_stage_never_has_more_workers_than_partitions(large: list[Any]) -> None:
    (settings,) = [each for each in large if each["kind"] == "ConfigMap"]

    for stage in STAGES:
        assert scaled()[stage]["maxReplicaCount"] <= int(settings["data"]["PARTITIONS"])


def test_kubernetes_takes_what_is_built_and_keda_alone_sets_replicas(large: list[Any]) -> None:
    deployments = [each for each in large if each["kind"] == "Deployment"]

    assert sorted(each["metadata"]["name"] for each in deployments) == sorted(["web", *STAGES])
    assert not any("replicas" in each["spec"] for each in deployments)
    for each in large:
        if each["kind"] != "ScaledObject":
            for version in KUBERNETES:
                kubernetes_validate.validate(each, version, strict=True)
