"""The dialogue manager: every node and edge, readable in one screen.

    understand -> policy -+-> recommend -> respond
                          +----------------> respond

Each node takes the state and returns the fields it changes; LangGraph checkpoints after
every node, so a killed process resumes at the node it was in. What is not state, the parts
and the stop flag of this turn, comes as LangGraph's runtime context.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zlib import crc32

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent import actions, notices, yielding
from agent import beliefs as critique
from agent.ab import Arms
from agent.answers import computed, link_of, not_told
from agent.applying import applicable
from agent.briefs import Unitary, opening, plain, reason
from agent.policy import blocked, decide, slate_size
from agent.reading.counts import whole_list
from agent.recommending import Chosen, Recommender
from agent.respond import Writer, stopwatch
from agent.running import Running
from agent.standing import joined, parted
from agent.state import DialogueState, Mask, Plan, Slate, StateUpdate, Trace, Turn, Unit
from agent.telemetry import spanned
from agent.yielding import yielded
from catalog.items import Catalog

SLATE_ACTS = ("recommend", "refine", "more")
STOPPED = "Stopped."


@dataclass(frozen=True)
class Parts:
    """What the nodes work with; one set a process, shared by all conversations."""

    catalog: Catalog
    read: Callable[[str, DialogueState], StateUpdate]
    recommender: Recommender
    writer: Writer
    slate_items: int = 5
    adapter: str = ""  # whose model chooses the items, where two are compared
    arms: Arms | None = None  # the models compared, one a person

    def of(self, user: str) -> "Parts":
        """The parts for this person: their arm's recommender, where two are compared."""
        if self.arms is None:
            return self
        name, recommender = self.arms.of(user)
        return replace(self, recommender=recommender, adapter=name, arms=None)


def build(saver: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph; ``saver`` keeps every thread's checkpoints."""
    graph = StateGraph(DialogueState, context_schema=Running)
    graph.add_node("understand", spanned(understand))
    graph.add_node("policy", spanned(policy))
    graph.add_node("recommend", spanned(recommend))
    graph.add_node("respond", spanned(respond))
    graph.add_edge(START, "understand")
    graph.add_edge("understand", "policy")
    graph.add_conditional_edges("policy", route, ["recommend", "respond"])
    graph.add_edge("recommend", "respond")
    graph.add_edge("respond", END)
    return graph.compile(checkpointer=saver)


def understand(state: DialogueState, runtime: Runtime[Running]) -> dict[str, Any]:
    """Read the user's turn and edit the beliefs with it; a click was read by the page."""
    started = time.perf_counter()
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    trace = Trace(nodes=["understand"], at=now, adapter=runtime.context.parts.adapter)
    user = state.turns[-1]
    by_page = user.update is not None and user.update.read_by == "page"
    if user.update is None or not by_page:
        update = notices.before_reading(user.text, state)
        if update is None:
            update = notices.after_reading(user.text, runtime.context.parts.read(user.text, state))
        user = user.model_copy(update={"update": update})
    assert user.update is not None
    catalog, held = runtime.context.parts.catalog, runtime.context.held
    beliefs = joined(state.beliefs, held, catalog) if held else state.beliefs
    beliefs = critique.apply(beliefs, user.update)
    beliefs = applicable(beliefs, user.update, catalog)
    beliefs, dropped = yielded(beliefs, user.update, catalog, critique.excluded(beliefs))
    if dropped:
        told = user.update.model_copy(update={"dropped": dropped})
        user = user.model_copy(update={"update": told})
    if held:
        beliefs = parted(beliefs, held, len(state.turns) - 1)
    stopwatch(trace, "understand", started)
    turns = [*state.turns[:-1], user]
    return {"turns": turns, "beliefs": beliefs, "plan": None, "trace": trace}


def policy(state: DialogueState, runtime: Runtime[Running]) -> dict[str, Any]:
    """Decide the act."""
    started = time.perf_counter()
    update = state.turns[-1].update
    assert update is not None  # the understand node ran
    plan = decide(state, update, runtime.context.parts.catalog)
    if update.notice:
        plan = Plan(act="chat")
    if state.plan is not None and state.plan.candidates:
        # A person stepped in and named the candidates: recommending is what is asked.
        act = plan.act if plan.act in SLATE_ACTS else "recommend"
        plan = Plan(act=act, note=plan.note, candidates=state.plan.candidates)
    beliefs = state.beliefs
    if plan.act == "ask" and plan.facet is not None:
        beliefs = beliefs.model_copy(update={"asked": (*beliefs.asked, plan.facet)})
    changed = {"plan": plan, "beliefs": beliefs, "trace": _traced(state, "policy", started)}
    # After "start over" there is no slate to point at.
    return changed | ({"slate": Slate()} if update.intent == "reset" else {})


def route(state: DialogueState) -> str:
    return "recommend" if state.plan and state.plan.act in SLATE_ACTS else "respond"


def recommend(state: DialogueState, runtime: Runtime[Running]) -> dict[str, Any]:
    """Choose the slate under the mask; when nothing is allowed, say which clauses collide."""
    started = time.perf_counter()
    assert state.plan is not None and state.turns[-1].update is not None
    if runtime.context.stopped:
        return {"trace": _traced(state, "recommend", started)}
    parts, user = runtime.context.parts, state.turns[-1]
    wanted = wanted_of(state, user, parts)
    if runtime.context.held and not wanted.candidates:
        wanted = wanted._replace(exclude=wanted.exclude | runtime.context.held.known)

    def choose(exclude: frozenset[str]) -> Chosen:
        return parts.recommender.recommend(
            state.turns,
            state.beliefs,
            wanted.n,
            exclude,
            wanted.candidates,
            filling=bool(wanted.kept),
            held=runtime.context.held,
        )

    chosen = choose(wanted.exclude | frozenset(user.avoid))
    if not chosen.item_ids and user.avoid:  # no others are left: the same again, in other words
        chosen = choose(wanted.exclude)
    trace = _traced(state, "recommend", started)
    trace.allowed_items = chosen.allowed_count
    trace.mask = Mask(items=len(parts.catalog), allowed=chosen.allowed_count)
    item_ids = placed(wanted.kept, chosen.item_ids)
    again = not item_ids
    if again:
        rows = [parts.catalog.row(i) for i in wanted.exclude if parts.catalog.has(i)]
        rows += parts.recommender.forbidden()
        plan = blocked(state.beliefs, parts.catalog, rows)
        if not plan.relax and not wanted.kept:  # nothing to give up: what was shown comes again
            refused = frozenset(m.item_id for m in state.beliefs.mentions)
            chosen = choose(refused)
            item_ids = chosen.item_ids
        if not item_ids:
            return {"plan": plan.model_copy(update={"note": state.plan.note}), "trace": trace}
    trace.model_calls += len(chosen.calls)
    trace.calls += chosen.calls
    trace.prompt_tokens += sum(c.prompt_tokens for c in chosen.calls)
    trace.tokens += sum(c.tokens for c in chosen.calls)
    trace.candidates = list(chosen.candidates)
    trace.weights = list(chosen.weights)
    trace.order = list(chosen.item_ids)
    changed = {"item_ids": item_ids, "ordered_by": chosen.ordered_by, "again": again}
    plan = state.plan.model_copy(update=changed)
    return {"plan": plan, "trace": trace}


class Wanted(NamedTuple):
    """How many items (``n``) a slate needs, which it may not hold, and which cards stay.

    ``candidates``: choose among these only (all where empty). ``kept``: the item of each
    place, None where a new one is wanted; empty for a new slate.
    """

    n: int
    exclude: frozenset[str]
    candidates: tuple[str, ...] = ()
    kept: tuple[str | None, ...] = ()


def wanted_of(state: DialogueState, user: Turn, parts: Parts) -> Wanted:
    """What this turn wants of the recommender."""
    assert state.plan is not None and user.update is not None
    action = user.update.action
    count = slate_size(user.update, parts.slate_items)
    if state.plan.candidates:
        # Whoever names the candidates knows what was shown.
        return Wanted(count, frozenset(), state.plan.candidates)
    if isinstance(action, actions.TAKING_OFF):
        kept = tuple(None if i == action.item_id else i for i in state.slate.item_ids)
        return Wanted(1, critique.excluded(state.beliefs), kept=kept)
    whole = user.update.count is not None and whole_list(user.text)
    again = state.slate.item_ids if whole or isinstance(action, actions.RERANKING) else ()
    return Wanted(count, critique.excluded(state.beliefs, again))


def placed(kept: tuple[str | None, ...], fresh: tuple[str, ...]) -> tuple[str, ...]:
    """The slate: new items, in the freed places where cards are kept."""
    if not kept:
        return fresh
    news = iter(fresh)
    return tuple(i for i in (k or next(news, None) for k in kept) if i is not None)


def respond(state: DialogueState, runtime: Runtime[Running]) -> dict[str, Any]:
    """Write, verify and release the reply, and append it to the log."""
    started = time.perf_counter()
    assert state.plan is not None
    plan, parts, write = state.plan, runtime.context.parts, get_stream_writer()
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
    briefs = [] if runtime.context.stopped else units_of(state, plan, parts)
    units = parts.writer.write(briefs, seed_of(state), trace, emit, lambda: runtime.context.stopped)
    stopped = len(units) < len(briefs) or not briefs
    said = bool(cards_of(units)) if showing else bool(units)
    if not units:
        units = [Unit(text=STOPPED, realised_by="template")]
        emit(units[0])
    trace.verdicts.append({"verified": len(units)})
    cards = cards_of(units) if showing else ()
    stopwatch(trace, "respond", started)
    trace.total_s = round(sum(trace.seconds.values()), 4)
    slate, beliefs = state.slate, state.beliefs
    if cards:
        ids = tuple(str(u.item_id) for u in cards)
        slate = Slate(item_ids=ids, reasons=cards, ordered_by=plan.ordered_by)
        shown = dict.fromkeys(beliefs.shown + state.turns[-1].avoid + ids)
        beliefs = beliefs.model_copy(update={"shown": tuple(shown)})
    turn = Turn(
        role="agent",
        text=text_of(units, parts.catalog, showing),
        act=plan.act if said else None,
        slate=slate if cards else None,
        units=tuple(units),
        trace=trace,
        stopped=stopped,
    )
    return {"turns": [*state.turns, turn], "slate": slate, "beliefs": beliefs, "trace": trace}


def cards_of(units: list[Unit]) -> tuple[Unit, ...]:
    return tuple(u for u in units if u.item_id)


def seed_of(state: DialogueState) -> int:
    """Another wording at each try, the same one when a killed turn is finished."""
    user = state.turns[-1]
    again = f":{user.attempt}" if user.attempt else ""
    return crc32(f"{len(state.turns)}:{user.text}{again}".encode()) % 2**31


def units_of(state: DialogueState, plan: Plan, parts: Parts) -> list[Unitary | Unit]:
    """The briefs of this reply, in reading order; cards that stay come as they were."""
    catalog, units = parts.catalog, list[Unitary | Unit]()
    if notice := notices.reply(state):
        return [notice]
    update = state.turns[-1].update
    if update is not None and update.dropped:
        units.append(yielding.told(update.dropped, catalog))
    if plan.again:
        units.append(computed("I have shown you all that fits, so the best of it comes again.", ()))
    if plan.note and plan.act != "unknown":
        units.append(plain(state, catalog, Plan(act="unknown", note=plan.note)))
    about = parts.recommender.about_scores(state.beliefs)
    if plan.act in SLATE_ACTS and plan.item_ids:
        kept = _kept(state)
        fresh = next((i for i in plan.item_ids if i not in kept), None)
        units.append(
            actions.sentence(state, catalog, fresh)
            or opening(state, catalog, plan.act, len(plan.item_ids))
        )
        varied = state.turns[-1].attempt
        told, used = set[str](), list[str]()
        for k, i in enumerate(plan.item_ids):
            unit = kept.get(i) or reason(
                catalog, i, state.beliefs, about, varied=k + varied, told=told, used=used
            )
            units.append(unit)
            if not isinstance(unit, Unit):
                used += unit[0].ties[:1]
                told |= {e.text for slot, e in unit[1].items() if slot == "<i1.premise>"}
    elif plan.frame:
        units.append(computed(plan.frame, plan.answers))
    elif plan.act == "why":
        brief, evidence, _ = reason(catalog, plan.item_ids[0], state.beliefs, about, act="why")
        units.append((brief, evidence, None))
    else:
        sentence = actions.sentence(state, catalog, None) or not_told(catalog, plan)
        units.append(sentence or plain(state, catalog, plan))
        units += link_of(catalog, plan)
    return units


def _kept(state: DialogueState) -> dict[str, Unit]:
    """The cards that stay where they are, by item."""
    update = state.turns[-1].update
    if update is None or not isinstance(update.action, actions.TAKING_OFF):
        return {}
    return {str(u.item_id): u for u in state.slate.reasons}


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
