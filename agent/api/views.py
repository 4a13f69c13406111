"""What the API answers with: typed views of items and turns, the same in REST and in ``parley``.

Facts go out as the catalogue has them, texts as they are: this is JSON, so whoever puts them
into a page has to escape them there.
"""

from typing import Any

from pydantic import BaseModel, Field

from agent.agent import Event
from agent.state import Beliefs, DialogueState, Evidence, Span, StateUpdate, Turn, Unit
from catalog.items import Catalog, Item


class ItemView(BaseModel):
    """One item of the catalogue."""

    id: str
    title: str
    facts: dict[str, Any] = Field(description="facet name to value; what is unknown is absent")
    link: str | None = None
    editorial: list[str] = Field(default=[], description="facets that rest on the editorial layer")


class Hit(ItemView):
    """An item found. ``score``: cosine with the query, or its popularity where none was given."""

    score: float


class Proof(BaseModel):
    """The characters ``[start, end)`` of a text, and the fact that they rest on."""

    start: int
    end: int
    text: str
    field: str | None = None
    item_id: str | None = None
    source: str

    @classmethod
    def of(cls, span: Span) -> "Proof":
        evidence: Evidence = span.evidence
        return cls(
            start=span.start,
            end=span.end,
            text=evidence.text,
            field=evidence.field,
            item_id=evidence.item_id,
            source=evidence.source,
        )


class Sentence(BaseModel):
    """A verified sentence."""

    text: str
    evidence: list[Proof] = []

    @classmethod
    def of(cls, unit: Unit) -> "Sentence":
        return cls(text=unit.text, evidence=[Proof.of(s) for s in unit.spans])


class Recommended(ItemView):
    """A recommended item, why, and what the reason rests on."""

    reason: str
    evidence: list[Proof] = []


class Usage(BaseModel):
    """Tokens that Parley's models read and wrote for a turn."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Reply(BaseModel):
    """What a turn brought about. ``turn``: its place among the conversation's turns, from 0."""

    thread: str | None = Field(None, description="the conversation; null where none was kept")
    turn: int
    text: str
    act: str | None = Field(None, description="what was done; null when stopped before anything")
    sentences: list[Sentence] = []
    items: list[Recommended] = []
    options: list[str] = Field(default=[], description="likely answers, or wishes to give up")
    update: StateUpdate | None = Field(None, description="what the message was understood to say")
    adapter: str = Field("", description="the arm of an A/B test that chose the items")
    stopped: bool = False
    usage: Usage = Usage()


class TurnView(BaseModel):
    """One turn of a conversation as it is kept."""

    role: str
    text: str
    act: str | None = None
    items: list[Recommended] = []


class ConversationView(BaseModel):
    """A whole conversation and what is believed of the person in it."""

    thread: str
    turns: list[TurnView]
    beliefs: Beliefs


class EventView(BaseModel):
    """One event of a streamed turn. ``reply`` comes with ``done``, ``items`` with ``slate``."""

    kind: str = Field(description="slate, sentence, card, done or error")
    text: str = ""
    evidence: list[Proof] = []
    item: Recommended | None = None
    item_ids: list[str] = []
    reply: Reply | None = None


def item_view(item: Item) -> ItemView:
    return ItemView(**_item(item))


def _item(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": item.title,
        "facts": item.values,
        "link": item.link,
        "editorial": sorted(item.editorial),
    }


def hit(item: Item, score: float) -> Hit:
    return Hit(**_item(item), score=round(float(score), 4))


def recommended(unit: Unit, catalog: Catalog) -> Recommended | None:
    """A card; None when its item has left the catalogue."""
    if unit.item_id is None or not catalog.has(unit.item_id):
        return None
    proofs = [Proof.of(s) for s in unit.spans]
    return Recommended(**_item(catalog.item(unit.item_id)), reason=unit.text, evidence=proofs)


def cards(turn: Turn, catalog: Catalog) -> list[Recommended]:
    reasons = turn.slate.reasons if turn.slate else ()
    return [card for unit in reasons if (card := recommended(unit, catalog))]


def reply_view(turn: Turn, state: DialogueState, catalog: Catalog, thread: str | None) -> Reply:
    """The reply ``turn``, which an undo has perhaps taken out of ``state`` already."""
    shown = cards(turn, catalog)
    place = max(0, len(state.turns) - 1)
    said = state.turns[place - 1] if place and state.turns[place - 1].role == "user" else None
    trace = turn.trace
    read, wrote = (trace.prompt_tokens, trace.tokens) if trace else (0, 0)
    current = bool(state.turns) and state.turns[-1].text == turn.text
    return Reply(
        thread=thread,
        turn=place,
        text=turn.text,
        act=turn.act,
        sentences=[Sentence.of(u) for u in turn.units if not (shown and u.item_id)],
        items=shown,
        options=list(state.plan.options) if current and state.plan else [],
        update=said.update if current and said else None,
        adapter=trace.adapter if trace else "",
        stopped=turn.stopped,
        usage=Usage(prompt_tokens=read, completion_tokens=wrote, total_tokens=read + wrote),
    )


def turn_view(turn: Turn, catalog: Catalog) -> TurnView:
    return TurnView(role=turn.role, text=turn.text, act=turn.act, items=cards(turn, catalog))


def event_view(event: Event, catalog: Catalog) -> EventView | None:
    """A running turn's event; None for what says nothing to a program."""
    if event.kind == "slate":
        return EventView(kind="slate", item_ids=list(event.item_ids))
    if event.unit is None or event.kind not in ("sentence", "card"):
        return None
    card = recommended(event.unit, catalog) if event.kind == "card" else None
    proofs = [Proof.of(s) for s in event.unit.spans]
    return EventView(kind=event.kind, text=event.text, evidence=proofs, item=card)
