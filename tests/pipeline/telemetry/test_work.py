"""A worker measures its own work."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from faust_redis import REDELIVERY_HEADER
from pipeline.telemetry.histogram import percentile
from pipeline.telemetry.stages.report import WINDOW, Report, decode, encode
from pipeline.telemetry.stages.work import WorkSensor


def event(*, sent: float | None = None, **headers: bytes) -> Any:
    message = SimpleNamespace(timestamp=time.time() if sent is None else sent)
    return SimpleNamespace(message=message, headers=headers)


def handle(sensor: WorkSensor, handled: Any, topic: str = "infer") -> None:
    stream = cast(Any, None)
    state = sensor.on_stream_event_in(TP(topic, 0), 1, stream, handled)
    sensor.on_stream_event_out(TP(topic, 0), 1, stream, handled, state)


def test_the_wait_is_counted_from_the_sending_and_only_at_the_first_attempt() -> None:
    sensor = WorkSensor("infer")
    handle(sensor, event(sent=time.time() - 2.0))
    handle(sensor, event(sent=time.time() - 9.0, **{REDELIVERY_HEADER: b"1"}))
    report = sensor.report()
    assert (report.handled, sensor.retried, sum(report.wait.values())) == (2, 1, 1)
    assert percentile(report.wait, 0.5) == pytest.approx(2.0, rel=0.2)


def test_other_topics_than_the_stage_s_own_are_not_its_work() -> None:
    sensor = WorkSensor("infer")
    handle(sensor, event(), topic="f-reply-1")
    assert sensor.report().handled == 0


def test_what_is_at_work_is_told_while_it_is() -> None:
    sensor = WorkSensor("infer")
    begun = event()
    state = sensor.on_stream_event_in(TP("infer", 0), 1, cast(Any, None), begun)
    assert sensor.report().working == 1
    sensor.on_stream_event_out(TP("infer", 0), 1, cast(Any, None), begun, state)
    assert sensor.report().working == 0


def test_durations_leave_the_report_after_a_while_and_count_for_what_is_usual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sensor = WorkSensor("infer")
    handle(sensor, event())
    assert sum(sensor.report().work.values()) == 1
    later = time.monotonic() + WINDOW + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    sensor.report()
    later += WINDOW + 1
    report = sensor.report()
    assert report.work == {}
    assert report.usual > 0


def test_a_report_is_read_as_it_was_written() -> None:
    report = Report(
        uptime=1.5, handled=3, failed=1, working=2, progress=9, usual=0.2, wait={3: 1}, work={7: 2}
    )
    assert decode(encode(report)) == report
