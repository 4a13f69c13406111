"""Parley's compiled graph as LangGraph's own users run a graph: stream, invoke, history."""

import threading
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from agent.graph import build
from agent.memory import serializer
from agent.running import Running
from agent.state import DialogueState, Turn
from tests.api.shop import parts


def test_invoke_stream_and_history(tmp_path: Path) -> None:
    graph = build(InMemorySaver(serde=serializer()))
    config: Any = {"configurable": {"thread_id": "mine"}}
    context = Running(parts(), threading.Event())
    said = [Turn(role="user", text="a desk lamp")]
    values = graph.invoke({"turns": said}, config, context=context)
    state = DialogueState.model_validate(values)
    assert state.turns[-1].act == "recommend" and state.slate.item_ids == ("l1", "l2")

    said = [*state.turns, Turn(role="user", text="why the second?")]
    events = list(
        graph.stream({"turns": said}, config, context=context, stream_mode=["updates", "custom"])
    )
    nodes = [name for kind, event in events if kind == "updates" for name in event]
    assert nodes == ["understand", "policy", "respond"]
    units = [event["unit"] for kind, event in events if kind == "custom"]
    assert "Borealis" in units[-1].text

    past = list(graph.get_state_history(config))
    assert past[0].values["turns"][-1].text == units[-1].text
    assert {"understand", "policy", "respond", "recommend"} <= {n for s in past for n in s.next}
