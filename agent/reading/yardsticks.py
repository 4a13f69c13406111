"""What a bare "light" or "newer" is measured by: items, the category spoken of, or all there is."""

from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from agent.reading.lexicon import Found, Value
from catalog.filters import Clause, compile

if TYPE_CHECKING:
    from agent.reading.pieces import Reading
    from catalog.items import Facet

RECENT_YEARS: Final = 6


FEW: Final = 8  # items of a category below which all items are the measure


def among_of(r: "Reading", found: list[Found]) -> list[Clause]:
    """The categories spoken of, in this turn or before: what "light" is held against."""
    for f in found:
        for e in f.entries:
            if isinstance(e, Value) and r.lexicon.facets[e.facet].role == "category":
                return [Clause(field=e.facet, op="any", values=e.values)]
    held = r.state.beliefs.clauses
    return [c for c in held if c.op == "any" and r.lexicon.facets[c.field].role == "category"]


def quartiles(r: "Reading", facet: "Facet", among: list[Clause]) -> tuple[float, float]:
    """The first and third quartile of a facet among items of the category spoken of."""
    low, high = r.lexicon.ranges[facet.name][1:3]
    if not among or facet.role == "date":
        return low, high
    column = r.catalog.df[facet.name].filter(pl.Series(compile(r.catalog, among))).drop_nulls()
    if len(column) < FEW:
        return low, high
    return float(column.quantile(0.25) or low), float(column.quantile(0.75) or high)


def beyond(r: "Reading", facet: "Facet", value: float, side: int) -> float:
    """The next value past this one: 2016 -> 2017 or 2015; of 4.3 stars 4.31 or 4.29."""
    whole = r.catalog.df[facet.name].dtype.is_integer() or facet.role == "date"
    small = r.lexicon.measures[facet.name].kind == "stars" or value < 10
    return round(value + side * (0.01 if small and not whole else 1), 2)


def recent_or_old(
    r: "Reading", facet: "Facet", side: Literal[-1, 1], said: str, half: bool = False
) -> Clause:
    _, quarter, upper, newest = r.lexicon.ranges[facet.name]
    if side > 0:
        value = round((quarter + newest) / 2) if half else newest - RECENT_YEARS
    else:
        value = upper if half else quarter
    return clause_of(r, facet, side, float(round(value)), said)


def clause_of(r: "Reading", facet: "Facet", side: int, value: float, said: str) -> Clause:
    op: Literal["ge", "le"] = "ge" if side > 0 else "le"
    return Clause(field=facet.name, op=op, values=(float(value),), said=said, turn=r.turn)


def number_of(r: "Reading", item_id: str, name: str) -> float | None:
    if not r.catalog.has(item_id):
        return None
    value = r.catalog.df[name][r.catalog.row(item_id)]
    return None if value is None else float(value)
