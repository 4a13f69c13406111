"""What a person sees of an agent's turn: the sentences and the cards, nothing else.

The simulated user is given a ``View`` and no catalogue, no item id, no trace: what is not on
the page cannot leak into what it says. The facts on a card are those the chat page puts
there, by the role of the facet.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from agent.state import Turn
from catalog.items import Catalog

#: Roles whose facets stand on a card; the rest has to be asked for.
ON_CARD = ("date", "category", "amount", "maker", "people", "premise", "audience")


class Card(NamedTuple):
    """One card: its title, the facts on it by facet name, and the reason given."""

    title: str
    facts: dict[str, Any]
    reason: str


class View(NamedTuple):
    """The sentences of a reply and the cards below them."""

    text: str
    cards: tuple[Card, ...] = ()


def view(turn: Turn, catalog: Catalog) -> View:
    """An agent's turn as it stands on the page."""
    ids = turn.slate.item_ids if turn.slate else ()
    reasons = {u.item_id: u.text for u in turn.units if u.item_id in ids}
    shown = [f.name for f in catalog.domain.facets if f.role in ON_CARD]
    cards = []
    for item_id in ids:
        item = catalog.item(item_id)
        facts = {name: item.values[name] for name in shown if name in item.values}
        cards.append(Card(item.title, facts, reasons.get(item_id, "")))
    sentences = [u.text for u in turn.units if u.item_id not in ids or u.item_id is None]
    text = " ".join(sentences) or ("" if cards else turn.text)
    return View(text, tuple(cards))
