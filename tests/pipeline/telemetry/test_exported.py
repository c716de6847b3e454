"""What Prometheus reads of an agent."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP
from prometheus_client.parser import text_string_to_metric_families

from pipeline.telemetry.histogram import MESSAGING_BOUNDS
from pipeline.telemetry.metrics import exposition
from pipeline.telemetry.stages.exported import of_worker
from pipeline.telemetry.stages.work import WorkSensor


def test_a_worker_s_figures_have_the_names_and_units_of_opentelemetry() -> None:
    work = WorkSensor("infer")
    message = SimpleNamespace(timestamp=time.time() - 0.3)
    event = cast(Any, SimpleNamespace(message=message, headers={}))
    for _ in range(3):
        state = work.on_stream_event_in(TP("infer", 0), 1, cast(Any, None), event)
        work.on_stream_event_out(TP("infer", 0), 1, cast(Any, None), event, state)
    work.failed += 1
    families = {
        family.name: family for family in text_string_to_metric_families(exposition(of_worker(work)).decode())
    }
    duration = families["messaging_process_duration_seconds"]
    assert duration.type == "histogram"
    bounds = [sample.labels["le"] for sample in duration.samples if sample.name.endswith("_bucket")]
    assert bounds == [*map(str, MESSAGING_BOUNDS), "+Inf"]
    labels = duration.samples[0].labels
    assert labels["messaging_system"] == "redis"
    assert labels["messaging_destination_name"] == labels["messaging_consumer_group_name"] == "infer"
    consumed = families["messaging_client_consumed_messages"].samples
    assert {sample.labels["error_type"]: sample.value for sample in consumed} == {"": 2, "_OTHER": 1}
    waits = {s.labels.get("le"): s.value for s in families["parley_stage_wait_duration_seconds"].samples}
    assert (waits["0.25"], waits["0.5"]) == (0, 3)
    assert "process_cpu_seconds" in families
