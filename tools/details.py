"""Facts of one item, and how two or more differ. Computed from the columns, never guessed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from catalog.items import Catalog, Facet, Item


class Extreme(NamedTuple):
    """Which of several items has the most or least of something."""

    item: Item
    value: float
    ties: tuple[Item, ...]  # others with the same value
    unknown: tuple[Item, ...]  # items whose value is missing


def details(catalog: Catalog, item_id: str, field: str | None = None) -> dict[str, Any]:
    """Look up what the catalogue knows about an item.

    Args:
        item_id: the item's id.
        field: one facet name ("runtime"); all facets when left out.

    Returns a mapping of facet name to value; a facet without a value is absent.
    Raises ``CatalogError`` for an unknown id or facet.
    """
    item = catalog.item(item_id)
    if field is None:
        return {"title": item.title, **item.values}
    catalog.facet(field)
    return {field: item.values[field]} if field in item.values else {}


def extreme(catalog: Catalog, item_ids: Sequence[str], name: str, direction: int) -> Extreme | None:
    """Find which of these items has the most (direction 1) or least (-1) of something.

    Args:
        item_ids: the items to choose from.
        name: a number facet ("year", "runtime") or a scale ("humour").
        direction: 1 for newest, longest, funniest; -1 for oldest, shortest.

    Returns None when no item has a value.
    """
    known: list[tuple[float, Item]] = []
    unknown: list[Item] = []
    for item in (catalog.item(i) for i in item_ids):
        value = (
            float(catalog.scales[name][catalog.row(item.id)])
            if name in catalog.scales
            else item.values.get(name)
        )
        if value is None:
            unknown.append(item)
        else:
            known.append((float(value), item))
    if not known:
        return None
    best = max(direction * value for value, _ in known)
    winners = [item for value, item in known if direction * value == best]
    return Extreme(winners[0], best * direction, tuple(winners[1:]), tuple(unknown))


def compare(catalog: Catalog, item_ids: Sequence[str]) -> list[tuple[Facet, list[Any]]]:
    """Put items side by side and list the facets in which they differ.

    Args:
        item_ids: two or more items.

    Returns (facet, one value an item or None) for every facet whose values differ.
    """
    items = [catalog.item(i) for i in item_ids]
    rows: list[tuple[Facet, list[Any]]] = []
    for facet in catalog.domain.facets:
        values = [item.values.get(facet.name) for item in items]
        if facet.kind not in ("link", "text") and any(v != values[0] for v in values):
            rows.append((facet, values))
    return rows
