"""A conversation that its caller keeps: the whole list of messages becomes a state again.

Clients of OpenAI's protocol send everything said so far with each message. What the person said
is read again, in order, by the same nodes that read it the first time; our replies are taken as
they were sent, and their numbered lists are looked up, so that "the second one" means what it
meant. No model writes anything for it: thirty messages are read in a fraction of a second.
A reply that is not ours, or was changed, is words and nothing else.
"""

import re
import threading
from collections.abc import Sequence

from langgraph.runtime import Runtime

from agent.api.openai_types import Message
from agent.graph import Parts, policy, understand
from agent.running import Running
from agent.state import DialogueState, Slate, Turn, Unit
from catalog.items import Catalog

CARD = re.compile(r"^(\d{1,2})\. (.+)$")
MAX_SAID = 4_000  # characters of a reply that was sent back


def replayed(messages: Sequence[Message], parts: Parts, user: str) -> DialogueState:
    """The state after ``messages``, which end before the message to be answered."""
    state = DialogueState(user=user)
    runtime = Runtime(context=Running(parts, threading.Event()))
    for message in messages:
        if message.role == "user":
            state = _said(state, message.text, runtime)
        elif message.role == "assistant" and state.turns and state.turns[-1].role == "user":
            state = _answered(state, message.text[:MAX_SAID], parts.catalog)
    if state.turns and state.turns[-1].role == "user":
        # Never answered: an empty reply, so that the next message is a turn of its own.
        state = _answered(state, "", parts.catalog)
    return state


def _said(state: DialogueState, text: str, runtime: Runtime[Running]) -> DialogueState:
    if state.turns and state.turns[-1].role == "user":
        state = _answered(state, "", runtime.context.parts.catalog)
    said = Turn(role="user", text=text)
    state = state.model_copy(update={"turns": [*state.turns, said]})
    state = state.model_copy(update=understand(state, runtime))
    return state.model_copy(update=policy(state, runtime))


def _answered(state: DialogueState, text: str, catalog: Catalog) -> DialogueState:
    found = {item: reason for line in text.splitlines() for item, reason in _card(line, catalog)}
    act = state.plan.act if state.plan else None
    slate = Slate(
        item_ids=tuple(found),
        reasons=tuple(Unit(text=reason, item_id=item) for item, reason in found.items()),
    )
    turn = Turn(role="agent", text=text, act=act, slate=slate if found else None)
    if not found:
        return state.model_copy(update={"turns": [*state.turns, turn]})
    shown = tuple(dict.fromkeys((*state.beliefs.shown, *found)))
    beliefs = state.beliefs.model_copy(update={"shown": shown})
    changed = {"turns": [*state.turns, turn], "slate": slate, "beliefs": beliefs}
    return state.model_copy(update=changed)


def _card(line: str, catalog: Catalog) -> list[tuple[str, str]]:
    """The item and the reason of a line as ``graph.text_of`` writes it; none of another line."""
    match = CARD.match(line)
    if match is None:
        return []
    rest = match[2]
    places = [k for k in range(len(rest)) if rest.startswith(": ", k)]
    for place in places:  # a title may hold a colon: the first that is one of ours, with its date
        item = _titled(rest[:place], catalog)
        if item is not None:
            return [(item, rest[place + 2 :])]
    return []


def _titled(name: str, catalog: Catalog) -> str | None:
    dates = next((f.name for f in catalog.domain.facets if f.role == "date"), None)
    match = re.fullmatch(r"(.+) \((-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\)", name)
    titles = [(name, None)] if match is None else [(match[1], float(match[2])), (name, None)]
    for title, date in titles:
        rows = catalog.df["title"].eq(title).arg_true().to_list()
        for row in rows:
            item = catalog.item(int(row))
            if catalog.has(item.id) and (item.values.get(dates) if dates else None) == date:
                return item.id
    return None
