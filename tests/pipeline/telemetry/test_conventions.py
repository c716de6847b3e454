"""The names of metrics and attributes, against OpenTelemetry's conventions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from pipeline.models.measured import MeasuredModel
from pipeline.models.token_counts import TOKEN_BOUNDS
from pipeline.telemetry.histogram import GEN_AI_BOUNDS
from pipeline.telemetry.metrics import SENT, sent
from pipeline.telemetry.stages.exported import of_worker
from pipeline.telemetry.stages.work import WorkSensor
from tests.pipeline.models.test_measured import Pieces

ROOT = Path(__file__).parents[3]
#: Metrics of model calls in open-telemetry/semantic-conventions-genai, November 2026. The package of
#: constants holds only those that this repository has replaced.
GEN_AI_METRICS: Final = {
    "gen_ai.client.inference.duration": "histogram",
    "gen_ai.client.inference.time_to_first_chunk": "histogram",
    "gen_ai.client.inference.time_per_output_chunk": "histogram",
    "gen_ai.client.inference.usage.input_tokens": "counter",
    "gen_ai.client.inference.usage.output_tokens": "counter",
    "gen_ai.client.inference.operation.input_tokens": "histogram",
    "gen_ai.client.inference.operation.output_tokens": "histogram",
}
GEN_AI_ATTRIBUTES: Final = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.token.modality",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
}
#: Metrics of messaging that are in force, and their kinds.
MESSAGING_METRICS: Final = {
    "messaging.process.duration": "histogram",
    "messaging.client.consumed.messages": "counter",
    "messaging.client.sent.messages": "counter",
    "messaging.client.operation.duration": "histogram",
}
FILES: Final = (
    ROOT / "pipeline/models/measured.py",
    ROOT / "pipeline/telemetry/metrics.py",
    ROOT / "pipeline/telemetry/stages/exported.py",
    ROOT / "pipeline/telemetry/tracing.py",
    ROOT / "deploy/prometheus/alerts.yml",
    ROOT / "deploy/grafana/dashboards/parley.json",
    ROOT / "docs/observability.md",
)
SUFFIX = re.compile(r"(_seconds)?(_bucket|_count|_sum|_total)?$")


def constants(kind: str) -> set[str]:
    """Return the names in OpenTelemetry's package for Python, without deprecated ones of messaging."""
    found = set()
    for kept in ("semconv", "semconv._incubating"):
        try:
            module = import_module(f"opentelemetry.{kept}.{kind}")
        except ImportError:
            continue
        found |= {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return found


def as_prometheus(name: str) -> str:
    return name.replace(".", "_")


def exported() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the name, the kind and the labels of each exported metric within the conventions."""
    SENT["ingest"] += 0
    model = MeasuredModel(Pieces("Hi"), lambda: None)
    for metric in (*of_worker(WorkSensor("infer")), *model.figures(), *sent()):
        if metric.name.startswith(("messaging_", "gen_ai_")):
            labels = {label for sample in metric.samples for label in sample.labels}
            yield SUFFIX.sub("", metric.name), metric.type, labels - {"le"}


def test_every_exported_metric_has_a_name_and_a_kind_of_the_conventions() -> None:
    known = {as_prometheus(name): kind for name, kind in {**GEN_AI_METRICS, **MESSAGING_METRICS}.items()}
    found = {name: kind for name, kind, _ in exported()}
    assert found == {name: kind for name, kind in known.items() if name in found}
    assert found.keys() >= set(map(as_prometheus, GEN_AI_METRICS))


def test_every_label_is_an_attribute_of_the_conventions() -> None:
    known = constants("attributes.messaging_attributes") | GEN_AI_ATTRIBUTES | {"error.type"}
    for name, _, labels in exported():
        assert labels <= set(map(as_prometheus, known)), name


def test_the_names_of_messaging_are_those_of_the_installed_package() -> None:
    assert MESSAGING_METRICS.keys() <= constants("metrics.messaging_metrics")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_names_a_metric_or_an_attribute_that_the_conventions_do_not_have(path: Path) -> None:
    known = constants("attributes.messaging_attributes") | GEN_AI_ATTRIBUTES
    known |= GEN_AI_METRICS.keys() | MESSAGING_METRICS.keys()
    dotted = re.findall(r"[\"'`](?:messaging|gen_ai)\.[a-z_.]*[a-z](?![\w.*])", path.read_text("utf-8"))
    # A document may name what was replaced.
    replaced = {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
    assert {name[1:] for name in dotted} - known - (replaced if path.suffix == ".md" else set()) == set()
    joined = re.findall(r"\b(?:messaging|gen_ai)_[a-z_]*[a-z](?![\w{*])", path.read_text("utf-8"))
    spelled = {SUFFIX.sub("", name) for name in joined if name not in ("gen_ai_bounds",)}
    assert spelled - set(map(as_prometheus, known)) - {"messaging_bounds"} == set()


def test_the_buckets_are_those_that_the_conventions_ask_for() -> None:
    assert [round(bound, 2) for bound in GEN_AI_BOUNDS] == [
        *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
        *(1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    ]
    assert TOKEN_BOUNDS[:4] == (1, 4, 16, 64)
    assert TOKEN_BOUNDS[-1] == 67_108_864
