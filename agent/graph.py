"""The dialogue manager: every node and edge, readable in one screen.

    understand -> policy -+-> recommend -> respond
                          +----------------> respond

Each node takes the state and returns the fields it changes; LangGraph checkpoints after
every node, so a killed process resumes at the node it was in.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent import beliefs as critique
from agent.briefs import Unitary, opening, plain, reason
from agent.policy import blocked, decide, slate_size
from agent.recommending import Recommender
from agent.respond import Writer, stopwatch
from agent.state import Beliefs, DialogueState, Plan, Slate, StateUpdate, Trace, Turn, Unit
from catalog.items import Catalog

SLATE_ACTS = ("recommend", "refine", "more")


@dataclass(frozen=True)
class Parts:
    """What the nodes work with; one set a process, shared by all conversations."""

    catalog: Catalog
    read: Callable[[str, DialogueState], StateUpdate]
    recommender: Recommender
    writer: Writer
    slate_items: int = 5


def build(parts: Parts, saver: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph; ``saver`` keeps every thread's checkpoints."""
    graph = StateGraph(DialogueState)
    graph.add_node("understand", lambda state: understand(state, parts))
    graph.add_node("policy", lambda state: policy(state, parts))
    graph.add_node("recommend", lambda state: recommend(state, parts))
    graph.add_node("respond", lambda state: respond(state, parts))
    graph.add_edge(START, "understand")
    graph.add_edge("understand", "policy")
    graph.add_conditional_edges("policy", route, ["recommend", "respond"])
    graph.add_edge("recommend", "respond")
    graph.add_edge("respond", END)
    return graph.compile(checkpointer=saver)


def understand(state: DialogueState, parts: Parts) -> dict[str, Any]:
    """Read the user's turn and edit the beliefs with it."""
    started = time.perf_counter()
    trace = Trace(nodes=["understand"])
    user = state.turns[-1]
    update = parts.read(user.text, state)
    turns = [*state.turns[:-1], user.model_copy(update={"update": update})]
    stopwatch(trace, "understand", started)
    return {"turns": turns, "beliefs": critique.apply(state.beliefs, update), "trace": trace}


def policy(state: DialogueState, parts: Parts) -> dict[str, Any]:
    """Decide the act."""
    started = time.perf_counter()
    update = state.turns[-1].update
    assert update is not None  # the understand node ran
    plan = decide(state, update, parts.catalog)
    beliefs = state.beliefs
    if plan.act == "ask" and plan.facet is not None:
        beliefs = beliefs.model_copy(update={"asked": (*beliefs.asked, plan.facet)})
    changed = {"plan": plan, "beliefs": beliefs, "trace": _traced(state, "policy", started)}
    # After "start over" there is no slate to point at.
    return changed | ({"slate": Slate()} if update.intent == "reset" else {})


def route(state: DialogueState) -> str:
    return "recommend" if state.plan and state.plan.act in SLATE_ACTS else "respond"


def recommend(state: DialogueState, parts: Parts) -> dict[str, Any]:
    """Choose the slate under the mask; when nothing is allowed, say which clauses collide."""
    started = time.perf_counter()
    assert state.plan is not None and state.turns[-1].update is not None
    out = critique.excluded(state.beliefs)
    count = slate_size(state.turns[-1].update, parts.slate_items)
    result = parts.recommender.recommend(state.turns, state.beliefs, count, out)
    trace = _traced(state, "recommend", started)
    trace.allowed_items = result.allowed_count
    if not result.item_ids:
        rows = [parts.catalog.row(i) for i in out if parts.catalog.has(i)]
        plan = blocked(state.beliefs, parts.catalog, rows)
        return {"plan": plan.model_copy(update={"note": state.plan.note}), "trace": trace}
    trace.model_calls += result.model_calls
    trace.candidates = list(result.candidates)
    beliefs = state.beliefs.model_copy(update={"shown": state.beliefs.shown + result.item_ids})
    plan = state.plan.model_copy(update={"item_ids": result.item_ids})
    slate = Slate(item_ids=result.item_ids, ordered_by=result.ordered_by)
    return {"plan": plan, "slate": slate, "beliefs": beliefs, "trace": trace}


def respond(state: DialogueState, parts: Parts) -> dict[str, Any]:
    """Write, verify and release the reply, and append it to the log."""
    started = time.perf_counter()
    assert state.plan is not None
    plan, write = state.plan, get_stream_writer()
    trace = _traced(state, "respond", started)
    showing = plan.act in SLATE_ACTS and bool(plan.item_ids)

    def emit(unit: Unit) -> None:
        if trace.first_unit_s is None:
            trace.first_unit_s = round(
                sum(trace.seconds.values()) + time.perf_counter() - started, 4
            )
        write({"kind": "card" if unit.item_id and showing else "sentence", "unit": unit})

    if showing:
        write({"kind": "slate", "item_ids": plan.item_ids})
    seed = crc32(f"{len(state.turns)}:{state.turns[-1].text}".encode())
    units = parts.writer.write(units_of(state, plan, parts), seed % 2**31, trace, emit)
    trace.verdicts.append({"verified": len(units)})
    slate = state.slate
    if showing:
        reasons = tuple(u for u in units if u.item_id)
        slate = slate.model_copy(update={"reasons": reasons})
    stopwatch(trace, "respond", started)
    trace.total_s = round(sum(trace.seconds.values()), 4)
    turn = Turn(
        role="agent",
        text=text_of(units, parts.catalog, showing),
        act=plan.act,
        slate=slate if showing else None,
        units=tuple(units),
        trace=trace,
    )
    return {"turns": [*state.turns, turn], "slate": slate, "trace": trace}


def units_of(state: DialogueState, plan: Plan, parts: Parts) -> list[Unitary]:
    """The briefs of this reply, in reading order."""
    catalog, units = parts.catalog, list[Unitary]()
    if plan.note and plan.act != "unknown":
        units.append(plain(state, catalog, Plan(act="unknown", note=plan.note)))
    about = parts.recommender.about_scores(state.beliefs)
    if plan.act in SLATE_ACTS and plan.item_ids:
        units.append(opening(state, catalog, plan.act, len(plan.item_ids)))
        units += [
            reason(catalog, i, state.beliefs, about, varied=k) for k, i in enumerate(plan.item_ids)
        ]
    elif plan.act == "why":
        units.append(_why(state, plan, catalog, state.beliefs, about))
    else:
        units.append(plain(state, catalog, plan))
    return units


def _why(
    state: DialogueState,
    plan: Plan,
    catalog: Catalog,
    beliefs: Beliefs,
    about: dict[str, np.ndarray],
) -> Unitary:
    brief, evidence, _ = reason(catalog, plan.item_ids[0], beliefs, about, act="why")
    return brief, evidence, None


def text_of(units: list[Unit], catalog: Catalog, showing: bool) -> str:
    """The reply as plain text: sentences, then the cards as a numbered list."""
    lines = [" ".join(u.text for u in units if not (showing and u.item_id))]
    dates = next((f.name for f in catalog.domain.facets if f.role == "date"), None)
    for number, unit in enumerate((u for u in units if showing and u.item_id), 1):
        item = catalog.item(str(unit.item_id))
        date = item.values.get(dates) if dates else None
        year = f" ({date:g})" if isinstance(date, int | float) else ""
        lines.append(f"{number}. {item.title}{year}: {unit.text}")
    return "\n".join(lines)


def _traced(state: DialogueState, node: str, started: float) -> Trace:
    trace = state.trace.model_copy(deep=True)
    trace.nodes.append(node)
    stopwatch(trace, node, started)
    return trace
