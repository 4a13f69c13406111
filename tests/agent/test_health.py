"""Health, metrics, spans and log lines of a running agent: over the lamp shop, real parts."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from agent.agent import Agent
from agent.errors import AgentError
from agent.health import health
from agent.logs import JsonLines
from agent.settings import Settings
from page.status import add_status
from tests.agent.shop import Broken, Plain, agent, done, say

SECRET = "zebrafish"  # a word that must turn up nowhere but in the conversation


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Agent]:
    opened = agent(tmp_path / "c.sqlite", Plain())
    yield opened
    opened.close()


def web(a: Agent, settings: Settings) -> TestClient:
    app = FastAPI()
    add_status(app, a, settings)
    return TestClient(app)


def values(a: Agent) -> dict[str, float]:
    """Every sample by name and labels, as Prometheus reads them."""
    return {
        ",".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in text_string_to_metric_families(a.metrics.text().decode())
        for sample in family.samples
    }


def test_a_healthy_agent_is_ready(a: Agent, tmp_path: Path) -> None:
    client = web(a, Settings.load(home=tmp_path))
    assert client.get("/health/live").json() == {"status": "alive"}
    answer = client.get("/health")
    assert answer.status_code == 200 and answer.json()["status"] == "ready"
    assert answer.json()["parts"]["catalog"]["facts"]["items"] == a.catalog.count
    assert answer.json()["parts"]["database"] == {
        "ok": True,
        "why": "",
        "facts": {"kind": "sqlite"},
    }


def test_a_missing_database_or_endpoint_is_named(a: Agent, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        client = web(a, Settings.load(home=tmp_path, talker=f"{url}#tiny"))
        answer = client.get("/health")
        assert answer.status_code == 503 and answer.json()["status"] == "not ready"
        assert not answer.json()["parts"]["talker"]["ok"]
        assert answer.json()["parts"]["database"]["ok"]
    a.memory.close()
    found = health(a, Settings.load(home=tmp_path))
    assert found.status == "not ready" and "cannot be read" in found.parts["database"].why
    assert client.get("/health/live").status_code == 200  # not ready, but alive


def test_a_turn_is_counted_once_with_what_it_took(a: Agent) -> None:
    before = values(a)
    assert before["parley_catalog_items"] == a.catalog.count
    turn = say(a, "t", "a desk lamp")
    say(a, "t", "thanks")
    after = values(a)
    assert after["parley_turn_seconds_count,act=recommend"] == 1
    assert after["parley_first_unit_seconds_count"] == 2
    assert after["parley_slates_total,by=retrieval"] == 1  # ByPopularity is no model
    assert turn.trace is not None and after["parley_model_calls_count"] == 2
    units = sum(v for k, v in after.items() if k.startswith("parley_units_total"))
    assert units >= len(turn.units) and after["parley_units_total,by=llm"] > 0
    assert after["parley_turns_running"] == 0
    assert not any(k.startswith("parley_turn_errors_total") for k in after)


def test_an_error_and_an_abandoned_turn_leave_nothing_running(tmp_path: Path) -> None:
    broken = agent(tmp_path / "c.sqlite", Broken())
    with pytest.raises(AgentError):
        say(broken, "t", "a desk lamp")
    assert values(broken)["parley_turn_errors_total,kind=LLMError"] == 1
    left = broken.turn("u", "a desk lamp")
    next(left)
    assert values(broken)["parley_turns_running"] == 1
    left.close()
    assert values(broken)["parley_turns_running"] == 0
    broken.close()


def test_metrics_are_served_as_text_and_hold_no_words(a: Agent, tmp_path: Path) -> None:
    say(a, "t", f"a desk lamp for my {SECRET}")
    answer = web(a, Settings.load(home=tmp_path)).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "parley_turn_seconds_bucket" in answer.text and SECRET not in answer.text


def test_json_lines_have_figures_and_no_words(a: Agent, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        say(a, "t", f"a desk lamp for my {SECRET}")
        done(a.retry("t"))
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    turns = [line for line in lines if line["logger"] == "parley.turns"]
    assert len(turns) == 2 and turns[0]["act"] == "recommend" and turns[0]["units"] > 0
    assert {"time", "level", "message", "seconds", "model_calls"} <= set(turns[0])
    assert SECRET not in json.dumps(lines)


def test_spans_stand_under_the_turn_a_node_and_a_model_call_each(a: Agent) -> None:
    """One process has one tracer provider, set once: this is the only test that sets it."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    say(a, "t", f"a desk lamp for my {SECRET}")
    spans = kept.get_finished_spans()
    (turn,) = [s for s in spans if s.name == "turn"]
    nodes = {s.name: s for s in spans if s.parent and s.parent.span_id == turn.context.span_id}
    assert set(nodes) == {"understand", "policy", "recommend", "respond"}
    assert nodes["policy"].attributes == {"parley.act": "recommend"}
    calls = [s for s in spans if s.name == "model_call"]
    assert calls and all(c.parent.span_id == nodes["respond"].context.span_id for c in calls)
    assert {c.attributes["parley.role"] for c in calls} == {"talk"}
    assert SECRET not in "".join(s.to_json() for s in spans)
    assert all(s.context.trace_id == turn.context.trace_id for s in spans)
    kept.clear()
    broken = agent(
        Path(a.memory.saver.conn.execute("PRAGMA database_list").fetchone()[2]), Broken()
    )
    with pytest.raises(AgentError):
        say(broken, "u", f"a lamp for my {SECRET}")
    failed = [s for s in kept.get_finished_spans() if not s.status.is_ok and s.status.description]
    assert {s.name for s in failed} == {"turn", "respond", "model_call"}
    assert {s.status.description for s in failed} == {"LLMError"}
    assert SECRET not in "".join(s.to_json() for s in kept.get_finished_spans())
    broken.close()
