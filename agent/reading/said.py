"""What a language model writes down of a turn, and what of it holds in this catalogue.

One pydantic model, ``Said``, is the JSON schema that vLLM (or any server that can) and xgrammar
in this process hold the model to. It speaks in words: titles, values, places on the screen.
``grounded`` turns it into the same ``StateUpdate`` that rules and encoder give: titles go
through the title linker, values must be the catalogue's, numbers must be numbers. What cannot
be grounded is left out, a title that is nobody's is ``unknown``: a model's mistake can lose a
wish, never break the turn.
"""

from difflib import get_close_matches
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.state import (
    About,
    Attitude,
    DialogueState,
    Intent,
    Mention,
    Question,
    StateUpdate,
    Wish,
)
from catalog.errors import FilterError
from catalog.filters import Clause, Op, compile_one
from catalog.items import Catalog
from tools.find_title import TitleLinker

MOST = 8  # entries of a list: nobody says more in a turn
NEAR = 0.8  # likeness at which a misspelt value is the catalogue's


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaidItem(Strict):
    title: str = Field(max_length=120)
    number: int = Field(ge=0, le=20)
    attitude: Attitude
    more_like: bool


class SaidClause(Strict):
    field: str = Field(max_length=40)
    op: Op
    values: list[str] = Field(max_length=MOST)
    said: str = Field(max_length=120)


class SaidWish(Strict):
    scale: str = Field(max_length=40)
    direction: Literal["more", "less"]
    said: str = Field(max_length=120)


class Said(Strict):
    """One turn in a model's words; every key is required, lists may be empty."""

    intent: Intent
    items: list[SaidItem] = Field(max_length=MOST)
    clauses: list[SaidClause] = Field(max_length=MOST)
    wishes: list[SaidWish] = Field(max_length=MOST)
    about: list[str] = Field(max_length=MOST)
    avoid: list[str] = Field(max_length=MOST)
    drop: list[str] = Field(max_length=MOST)
    asks: str = Field(max_length=40)
    count: int = Field(ge=0, le=20)


def grounded(
    said: Said, state: DialogueState, catalog: Catalog, linker: TitleLinker
) -> StateUpdate:
    """The state update that ``said`` comes to over this catalogue."""
    turn = max(0, len(state.turns) - 1)
    mentions: list[Mention] = []
    unknown: list[str] = []
    for item in said.items:
        found = _item(item, state, linker)
        if found is not None:
            words = item.title or f"number {item.number}"
            mentions.append(
                Mention(
                    item_id=found,
                    said=words,
                    attitude=item.attitude,
                    turn=turn,
                    relative=item.more_like,
                )
            )
        elif item.title:
            unknown.append(item.title)
    clauses = (_clause(c, turn, catalog) for c in said.clauses)
    names = {f.name for f in catalog.domain.facets} | {s.name for s in catalog.domain.scales}
    scales = {s.name for s in catalog.domain.scales}
    asks = said.asks if said.asks in {f.name for f in catalog.domain.facets} else None
    question = None
    if said.intent in ("ask_fact", "ask_why", "compare"):
        kind: Literal["fact", "why", "compare", "about"] = (
            "why" if said.intent == "ask_why" else "compare" if said.intent == "compare" else "fact"
        )
        kind = "about" if kind == "fact" and asks is None else kind
        question = Question(kind=kind, item_ids=tuple(m.item_id for m in mentions), field=asks)
    return StateUpdate(
        intent=said.intent,
        mentions=tuple({m.item_id: m for m in mentions}.values()),
        add=tuple(c for c in clauses if c is not None),
        retract=tuple(d for d in said.drop if d in names or d in ("all", "about")),
        wishes=tuple(
            Wish(
                scale=w.scale,
                direction=1 if w.direction == "more" else -1,
                said=w.said or w.scale,
                turn=turn,
            )
            for w in said.wishes
            if w.scale in scales
        ),
        about=tuple(About(text=text, turn=turn) for text in said.about if text.strip()),
        avoid=tuple(About(text=text, turn=turn) for text in said.avoid if text.strip()),
        question=question,
        count=said.count or None,
        unknown=tuple(unknown),
        read_by="llm",
    )


def _item(item: SaidItem, state: DialogueState, linker: TitleLinker) -> str | None:
    """The id that is meant: by place on the screen, else by name."""
    shown = state.slate.item_ids
    if 1 <= item.number <= len(shown):
        return shown[item.number - 1]
    links = [x for x in linker.link(item.title) if x.kind == "item"] if item.title else []
    return links[0].value if links else None


def _clause(said: SaidClause, turn: int, catalog: Catalog) -> Clause | None:
    """The clause with the catalogue's own values; None when there is no such thing here."""
    facet = next((f for f in catalog.domain.facets if f.name == said.field), None)
    if facet is None or not said.values:
        return None
    values: list[float | str] = []
    for word in said.values:
        value = _number(word) if facet.kind == "number" else _value(word, facet.name, catalog)
        if value is None:
            return None
        values.append(value)
    clause = Clause(
        field=said.field, op=said.op, values=tuple(values), said=said.said or word, turn=turn
    )
    try:
        compile_one(catalog, clause)
    except FilterError:
        return None
    return clause


def _number(word: str) -> float | None:
    try:
        return float(word.replace(",", ""))
    except ValueError:
        return None


def _value(word: str, facet: str, catalog: Catalog) -> str | None:
    known = {str(v).lower(): str(v) for v in catalog.values(facet)}
    synonyms = catalog.facet(facet).synonyms
    low = word.strip().lower()
    if low in known:
        return known[low]
    if low in synonyms:
        return synonyms[low]
    near = get_close_matches(low, known, n=1, cutoff=NEAR)
    return known[near[0]] if near else None
