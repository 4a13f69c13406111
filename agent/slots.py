"""A field of an item as a slot of a reply, and a reason as the slots it rests on."""

from typing import NamedTuple

from agent.phrases import value_text
from agent.state import Evidence, Source
from catalog.items import Catalog, Facet, Item


class Tie(NamedTuple):
    """One reason: its name (``tools.tokens.TIES``) and the slots it rests on."""

    name: str
    evidence: tuple[Evidence, ...]


def item_slots(catalog: Catalog, item: Item, index: int = 1) -> dict[str, Evidence]:
    """Every field of ``item`` as a slot ``<i{index}.role>``; fields it lacks are absent.

    Where two facets share a role the first named in the domain wins.
    """
    slots = {
        f"<i{index}.title>": Evidence(
            slot=f"<i{index}.title>", text=item.title, item_id=item.id, field="title"
        )
    }
    for facet in catalog.domain.facets:
        value = item.values.get(facet.name)
        slot = f"<i{index}.{facet.role}>"
        if value in (None, (), "") or facet.kind == "link" or slot in slots:
            continue
        slots[slot] = field_evidence(item, facet, value_text(facet, value), slot)
    return slots


def field_evidence(item: Item, facet: Facet, text: str, slot: str) -> Evidence:
    source: Source = "editorial" if facet.name in item.editorial else "fact"
    return Evidence(slot=slot, text=text, item_id=item.id, field=facet.name, source=source)
