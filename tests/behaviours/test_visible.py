"""Traces, metrics and logs of the running service."""

from __future__ import annotations

import json

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from faust_redis.testing import eventually
from pipeline.settings import STAGES, Settings
from pipeline.telemetry.tracing import trace_id_of
from tests.support.chat_client import ChatClient
from tests.support.collector import Collector
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "nobody may read this in a trace"


async def test_each_message_has_one_trace_through_the_web_and_all_stages(
    chat: ChatClient, collector: Collector
) -> None:
    """Three at once: the second and third wait in the inbox, and are sent on by the turn before them."""
    token = await chat.token()
    await chat.ask(token, f"{SECRET} 1", f"{SECRET} 2", f"{SECRET} 3")
    session = await chat.session(token)
    asked = [message["id"] for message in session["messages"] if message["msg"].startswith("Human")]
    traces = [f"{trace_id_of(message_id):032x}" for message_id in asked]
    steps = {
        ("parley-web", "send ingest"),
        *((f"parley-{stage}", f"process {stage}") for stage in STAGES),
        ("parley-web", "receive web"),
        ("parley-infer", "text_completion 127.0.0.1"),
    }

    def complete() -> bool:
        return all(steps <= {(span.service, span.name) for span in collector.of(trace)} for trace in traces)

    await eventually(complete, "three traces, each with all five steps")
    for trace in traces:
        spans = {span.span_id: span for span in collector.of(trace)}
        roots = [span for span in spans.values() if not span.parent_id]
        assert [span.name for span in roots] == ["send ingest"]
        assert all(span.parent_id in spans for span in spans.values() if span.parent_id)
        said = repr(list(spans.values()))
        assert SECRET not in said
        assert token not in said


async def test_every_agent_tells_its_figures_to_prometheus(watched: Up, chat: ChatClient) -> None:
    token = await chat.token()
    await chat.ask(token, SECRET)
    settings = Settings.load(port=watched.port)
    async with aiohttp.ClientSession() as http:
        for stage in STAGES:
            async with http.get(f"http://127.0.0.1:{settings.agent_port(stage)}/metrics") as response:
                assert response.headers["Content-Type"].startswith("text/plain")
                text = await response.text()
            samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
            done = [s.value for s in samples if s.name == "messaging_process_duration_seconds_count"]
            assert len(done) == 1
            assert done[0] >= 1
            assert token not in text
            assert SECRET not in text
            asked = [s.value for s in samples if s.name == "gen_ai_client_inference_duration_seconds_count"]
            assert bool(asked) is (stage == "infer")
        sent = [s for s in samples if s.name == "messaging_client_sent_messages_total"]
        assert all(s.labels["messaging_destination_name"] in STAGES for s in sent)


async def test_a_failure_s_line_of_the_log_names_the_message_and_its_trace(
    watched: Up, chat: ChatClient, model: ModelServer
) -> None:
    model.fail_next("status", status=404, body={"error": "no"})
    token = await chat.token()
    (answer,) = await chat.ask(token, SECRET)
    assert "error" in answer
    (message,) = (await chat.session(token))["messages"]

    def line() -> dict[str, str] | None:
        for text in list(watched.lines):
            _, _, document = text.partition("│ ")
            if message["id"] in document and document.startswith("{"):
                found: dict[str, str] = json.loads(document)
                return found
        return None

    await eventually(line, "a line about the message")
    found = line()
    assert found is not None
    assert found["message_id"] == message["id"]
    assert found["trace_id"] == f"{trace_id_of(message['id']):032x}"
    assert token not in json.dumps(found)
