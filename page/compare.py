"""Two to four items side by side, as an accessible table: what is shared and what differs.

Rows are the catalogue's own facets in the domain's order, so films, books and lamps are the
same code. Sameness is said in words and a sign, never by colour alone; a value that all the
items have is ticked; a missing one is "not known". Soft scales are rows only where someone
wrote them (the rest are estimates, and nothing is claimed on an estimate). The table scrolls
sideways inside its own region with the first column standing still, which fits a phone.

Needs page/static/compare.css, no script.
"""

from collections.abc import Sequence
from html import escape
from typing import Any, Literal, NamedTuple

from agent.phrases import number, value_text
from catalog.items import Catalog, Facet, Item

MIN_ITEMS, MAX_ITEMS = 2, 4
MAX_VALUES = 8  # of a list in one cell; the rest is counted
HIGHEST = 4  # of a soft scale, which runs from 0
Sameness = Literal["same", "partly", "differs", "unknown", "text"]
SIGNS: dict[Sameness, tuple[str, str]] = {
    "same": ("=", "same for all"),
    "partly": ("≈", "partly shared"),
    "differs": ("≠", "differs"),
    "unknown": ("?", "not known for all"),
    "text": ("", ""),
}
NOT_KNOWN = '<span class="compare-unknown">not known</span>'


class Row(NamedTuple):
    """One line of the table: its label, its cells as safe HTML, and how the cells relate."""

    label: str
    cells: list[str]
    sameness: Sameness


def compare_html(item_ids: Sequence[str], catalog: Catalog) -> str:
    """The table of these items, or one sentence that says what to choose.

    Repeated ids count once. Ids that are no longer in the catalogue are named below the table.
    """
    wanted = list(dict.fromkeys(item_ids))
    items = [catalog.item(i) for i in wanted if catalog.has(i)]
    gone = [i for i in wanted if not catalog.has(i)]
    note = f"No longer in the catalogue: {', '.join(gone)}." if gone else ""
    many = catalog.domain.noun_many
    if not MIN_ITEMS <= len(items) <= MAX_ITEMS:
        hint = f"Choose two to four {many} to see them side by side."
        if len(items) > MAX_ITEMS:
            hint = f"Four {many} fit side by side, {len(items)} are chosen: take some off."
        return f'<p class="compare-empty">{escape(" ".join((hint, note)).strip())}</p>'
    rows = [*facet_rows(items, catalog), *scale_rows(items, catalog)]
    differing = sum(row.sameness in ("differs", "partly") for row in rows)
    caption = f"{len(items)} {many} side by side, {differing} of {len(rows)} rows differ"
    return (
        f'<p class="compare-legend">{escape(caption)}. {legend()}</p>'
        f'<div class="compare-scroll" role="region" tabindex="0" '
        f'aria-label="{escape(caption, quote=True)}"><table class="compare">'
        f'<caption class="compare-aside">{escape(caption)}</caption>'
        f"<thead><tr><td></td>{''.join(heading(item) for item in items)}</tr></thead>"
        f"<tbody>{''.join(map(row_html, rows))}</tbody></table></div>"
        + (f'<p class="compare-empty">{escape(note)}</p>' if note else "")
    )


def facet_rows(items: Sequence[Item], catalog: Catalog) -> list[Row]:
    """A row for each facet that at least one item has, in the domain's order."""
    rows: list[Row] = []
    for facet in catalog.domain.facets:
        values = [item.values.get(facet.name) for item in items]
        if facet.kind == "link" or all(value is None for value in values):
            continue
        cells = [cell(facet, value, values) for value in values]
        longest = max(len(v) if isinstance(v, tuple) else 1 for v in values if v is not None)
        label = facet.plural if longest > 1 else facet.label
        rows.append(Row(label.capitalize(), cells, sameness(facet, values)))
    return rows


def scale_rows(items: Sequence[Item], catalog: Catalog) -> list[Row]:
    """The soft scales somebody wrote down for these items; estimates claim nothing."""
    if not any("scales" in item.editorial for item in items):
        return []
    rows: list[Row] = []
    for scale in catalog.domain.scales:
        column = catalog.scales[scale.name]
        values = [
            float(column[catalog.row(item.id)]) if "scales" in item.editorial else None
            for item in items
        ]
        rows.append(
            Row(f"How {scale.label}", [dots(value) for value in values], alike(values, set(values)))
        )
    return rows


def sameness(facet: Facet, values: Sequence[Any]) -> Sameness:
    """How the values of one facet relate; lists are compared as sets."""
    if facet.kind == "text":
        return "text"  # two texts always differ: saying so would mark nothing
    known = [set(v) if isinstance(v, tuple) else {v} for v in values if v is not None]
    distinct = {frozenset(one) for one in known}
    if len(distinct) > 1 and set.intersection(*known) and len(known) == len(values):
        return "partly"
    return alike(values, distinct)


def alike(values: Sequence[Any], distinct: set[Any]) -> Sameness:
    if len(distinct - {None}) > 1:
        return "differs"
    return "unknown" if None in values else "same"


def cell(facet: Facet, value: Any, row: Sequence[Any]) -> str:
    """One value as safe HTML; in a list, what every item of the row has is ticked."""
    if value is None:
        return NOT_KNOWN
    if not isinstance(value, tuple):
        return escape(value_text(facet, value))
    common = set(value).intersection(*(set(other or ()) for other in row))
    kept = sorted(value, key=lambda one: one not in common)  # stable: the order of the source
    lines = [f"<li>{escape(str(one))}{tick(one in common)}</li>" for one in kept[:MAX_VALUES]]
    if len(kept) > MAX_VALUES:
        lines.append(f"<li>and {len(kept) - MAX_VALUES} more</li>")
    return f"<ul>{''.join(lines)}</ul>"


def tick(shared: bool) -> str:
    if not shared:
        return ""
    return (
        ' <span class="compare-shared" aria-hidden="true">✓</span>'
        '<span class="compare-aside"> (shared)</span>'
    )


def dots(value: float | None) -> str:
    """A written score as dots and as words: screen readers are told the words."""
    if value is None:
        return NOT_KNOWN
    full = min(max(round(value), 0), HIGHEST)
    return (
        f'<span class="compare-dots" aria-hidden="true">{"●" * full}{"○" * (HIGHEST - full)}</span>'
        f'<span class="compare-aside">{number(value, None)} of {HIGHEST}</span>'
    )


def heading(item: Item) -> str:
    title = escape(item.title)
    if item.link and item.link.startswith(("https://", "http://")):
        title = (
            f'<a href="{escape(item.link, quote=True)}" target="_blank" '
            f'rel="noopener noreferrer">{title}</a>'
        )
    return f'<th scope="col">{title}</th>'


def row_html(row: Row) -> str:
    sign, meaning = SIGNS[row.sameness]
    mark = (
        f'<span class="compare-sign" title="{meaning}"><span aria-hidden="true">{sign}</span>'
        f'<span class="compare-aside"> ({meaning})</span></span>'
        if sign
        else ""
    )
    cells = "".join(f"<td>{one}</td>" for one in row.cells)
    return (
        f'<tr class="compare-{row.sameness}"><th scope="row">'
        f"{escape(row.label)} {mark}</th>{cells}</tr>"
    )


def legend() -> str:
    """What the signs mean."""
    meanings = [*(pair for pair in SIGNS.values() if pair[0]), ("✓", "value shared by all")]
    return " · ".join(f"<span>{sign} {meaning}</span>" for sign, meaning in meanings)
