"""Things done on the page as turns of the conversation: checked, put in words, understood.

A click becomes a ``StateUpdate`` that says the same as a message would have, so that the
algebra, the policy and undo need to know next to nothing of pages. What only a click can
say (remove *this* belief) stays in ``update.action`` for ``agent.beliefs``.
"""

from collections.abc import Sequence
from typing import Any

from agent.errors import AgentError
from agent.phrases import clause_text
from agent.state import (
    About,
    Action,
    Adventure,
    Beliefs,
    DialogueState,
    Evidence,
    Kind,
    Mention,
    MoreLike,
    NotThis,
    Plan,
    Question,
    Relax,
    Remove,
    Replace,
    SeenIt,
    StateUpdate,
    Turn,
    Unit,
    Why,
    Wish,
)
from agent.verify import realise
from catalog.errors import FilterError
from catalog.filters import Clause, compile_one
from catalog.items import Catalog

MAX_ABOUT_CHARS = 200
TYPES: dict[Kind, type] = {"clauses": Clause, "mentions": Mention, "wishes": Wish, "about": About}
#: Actions after which the slate is chosen anew at once; what is on it now may come again.
RERANKING = (Remove, Replace, Adventure)
#: Actions that take one card off and leave the others where they are.
TAKING_OFF = (NotThis, SeenIt)


def user_turn(action: Action, state: DialogueState, catalog: Catalog) -> Turn:
    """The user turn that ``action`` is.

    Raises:
        AgentError: it speaks of an item, place or value that is not there.
    """
    text, update = _read(action, state, catalog)
    update = update.model_copy(update={"read_by": "page", "action": action})
    return Turn(role="user", text=text, update=update)


def _read(action: Action, state: DialogueState, catalog: Catalog) -> tuple[str, StateUpdate]:
    here = len(state.turns)  # where the turn will stand
    match action:
        case MoreLike(item_id=item):
            title = _title(item, catalog)
            liked = Mention(item_id=item, said=title, attitude="like", turn=here, relative=True)
            return f"More like {title}", StateUpdate(intent="critique", mentions=(liked,))
        case NotThis(item_id=item):
            title = _title(item, catalog)
            no = Mention(item_id=item, said=title, attitude="reject", turn=here)
            return f"Not {title}", StateUpdate(intent="reject", mentions=(no,))
        case SeenIt(item_id=item):
            title = _title(item, catalog)
            seen = Mention(item_id=item, said=title, attitude="seen", turn=here)
            return f"I have seen {title}", StateUpdate(intent="reject", mentions=(seen,))
        case Why(item_id=item):
            text = f"Why {_title(item, catalog)}?"
            question = Question(kind="why", item_ids=(item,), said=text)
            return text, StateUpdate(intent="ask_why", question=question)
        case Remove(kind=kind, places=places):
            held = _held(state.beliefs, kind, places)
            words = "; ".join(belief_text(v, catalog) for v in held)
            said = tuple(s for v in held if (s := said_of(v)))
            return f"Forget: {words}", StateUpdate(intent="critique", unsaid=said)
        case Replace():
            return _replaced(action, state, catalog)
        case Adventure(level=level):
            return f"Adventure: {level:.0%}", StateUpdate(intent="critique")
        case Relax(clauses=clauses):
            held = _still_held(clauses, state.beliefs)
            words = " and ".join(belief_text(c, catalog) for c in held)
            said = tuple(c.said for c in held if c.said)
            return f"Never mind: {words}", StateUpdate(intent="relax", unsaid=said)


def _replaced(action: Replace, state: DialogueState, catalog: Catalog) -> tuple[str, StateUpdate]:
    kind, value = action.kind, action.value
    old = _held(state.beliefs, kind, (action.place,))[0]
    check(kind, value, catalog)
    words = f"{belief_text(value, catalog)} instead of {belief_text(old, catalog)}"
    said = said_of(old)
    return words[:1].upper() + words[1:], StateUpdate(
        intent="critique", unsaid=(said,) if said and said != said_of(value) else ()
    )


def check(kind: Kind, value: Clause | Mention | Wish | About, catalog: Catalog) -> None:
    """``AgentError`` for a belief that this catalogue cannot hold; it names what it can."""
    if not isinstance(value, TYPES[kind]):
        raise AgentError(
            f"A {type(value).__name__} cannot stand among the {kind}: "
            f"give a {TYPES[kind].__name__}."
        )
    match value:
        case Clause():
            try:
                compile_one(catalog, value)
            except FilterError as error:
                raise AgentError(str(error)) from error
        case Mention(item_id=item):
            _title(item, catalog)
        case Wish(scale=scale, relative_to=other):
            known = [s.name for s in catalog.domain.scales]
            if scale not in known:
                raise AgentError(f"No scale {scale!r}: this catalogue has {', '.join(known)}.")
            if other is not None:
                _title(other, catalog)
        case About(text=text):
            if not 0 < len(text.strip()) <= MAX_ABOUT_CHARS:
                raise AgentError(
                    f"{len(text)} characters to search by: give 1 to {MAX_ABOUT_CHARS}."
                )


def belief_text(value: Clause | Mention | Wish | About, catalog: Catalog) -> str:
    """A belief in a few words, whatever catalogue it was said over."""
    match value:
        case Clause(field=field):
            facet = next((f for f in catalog.domain.facets if f.name == field), None)
            words = value.said or f"{field} {value.op} {', '.join(map(str, value.values))}"
            return f"{facet.label} {clause_text(facet, value)}" if facet else words
        case Mention(item_id=item):
            return catalog.item(item).title if catalog.has(item) else value.said
        case Wish(scale=name, direction=direction):
            label = next((s.label for s in catalog.domain.scales if s.name == name), name)
            return f"{'more' if direction > 0 else 'less'} {label}"
        case About(text=text):
            return f"“{text}”"


def said_of(value: Clause | Mention | Wish | About) -> str:
    """The person's own words for a belief."""
    return value.text if isinstance(value, About) else value.said


def _title(item_id: str, catalog: Catalog) -> str:
    if not catalog.has(item_id):
        raise AgentError(
            f"No item {item_id!r} in this catalogue ({len(catalog)} items): it may have been "
            "rebuilt without it; ask for suggestions again."
        )
    return catalog.item(item_id).title


def _held(beliefs: Beliefs, kind: Kind, places: Sequence[int]) -> list[Any]:
    held = getattr(beliefs, kind)
    for place in places:
        if not 0 <= place < len(held):
            raise AgentError(
                f"No place {place} among the {kind}: {len(held)} are held. They changed since "
                "the page was drawn; reload it."
            )
    if not places:
        raise AgentError(f"No places of the {kind} were given: name at least one.")
    return [held[place] for place in places]


def _still_held(clauses: Sequence[Clause], beliefs: Beliefs) -> list[Clause]:
    wanted = {(c.field, c.op, c.values) for c in clauses}
    held = [c for c in beliefs.clauses if (c.field, c.op, c.values) in wanted]
    if not held:
        names = ", ".join(c.field for c in clauses) or "nothing"
        raise AgentError(f"Not held any more: {names}. Ask for suggestions again.")
    return held


def plan(action: Action, state: DialogueState) -> Plan:
    """What to do after ``action``; ``state.beliefs`` already holds it."""
    on_screen = bool(state.slate.item_ids)
    last = next((t.act for t in reversed(state.turns) if t.role == "agent"), None)
    again = Plan(act="refine" if on_screen else "recommend")
    if isinstance(action, Why):
        return Plan(act="why", item_ids=(action.item_id,))
    if isinstance(action, TAKING_OFF):
        return again if action.item_id in state.slate.item_ids else Plan(act="chat")
    if isinstance(action, RERANKING):
        # Nobody asked for suggestions yet: an edit is no reason to push them.
        return again if on_screen or last == "blocked" else Plan(act="chat")
    return again


TAKEN_OFF = (
    "<m1> is gone; <i1.title> stands in its place.",
    "Out with <m1>, in with <i1.title>.",
    "I have put <i1.title> where <m1> was.",
)
TAKEN_OFF_ALONE = ("<m1> is gone; I have nothing else that fits in its place.",)
SEEN = (
    "Noted that you know <m1>; <i1.title> stands in its place.",
    "You have seen <m1>, so here is <i1.title> instead.",
)
SEEN_ALONE = ("Noted that you know <m1>; I have nothing else that fits in its place.",)
NOTED = ("Noted.", "Done, I will keep that in mind.")
FORGOTTEN = ("Done, that no longer counts.", "Forgotten.")
CHANGED = ("Done, I have changed that.", "Changed.")
DIALLED = ("Done, I will choose that way from now on.",)


def sentence(state: DialogueState, catalog: Catalog, fresh: str | None) -> Unit | None:
    """The reply to an action that needs no model; None where the talker opens as ever.

    ``fresh``: the item that took the freed place, if one did.
    """
    user = state.turns[-1]
    action = user.update.action if user.update else None
    chat = state.plan is not None and state.plan.act == "chat"
    frames: tuple[str, ...]
    evidence = {}
    match action:
        case NotThis(item_id=item) | SeenIt(item_id=item):
            seen = isinstance(action, SeenIt)
            evidence["<m1>"] = Evidence(
                slot="<m1>", text=_title(item, catalog), item_id=item, field="title", source="user"
            )
            if chat:
                frames = NOTED
            elif fresh is None:
                frames = SEEN_ALONE if seen else TAKEN_OFF_ALONE
            else:
                frames = SEEN if seen else TAKEN_OFF
                evidence["<i1.title>"] = Evidence(
                    slot="<i1.title>", text=_title(fresh, catalog), item_id=fresh, field="title"
                )
        case Remove() if chat:
            frames = FORGOTTEN
        case Replace() if chat:
            frames = CHANGED
        case Adventure() if chat:
            frames = DIALLED
        case _:
            return None
    text = frames[(user.attempt + len(state.turns) // 2) % len(frames)]
    return realise(text, evidence, item_id=None, realised_by="template")
