# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
""" "By the same director", "from the country of the second": a value that an item has."""

import re
from typing import TYPE_CHECKING, Final

from agent.reading.refs import focus_item
from catalog.filters import Clause

if TYPE_CHECKING:
    from agent.reading.pieces import Reading
    from agent.reading.relative import Relative

_SAME: Final = re.compile(
    r"\b(?:(?:the )?same|(?:from|by|with|of|another from) (?:that|this|its|his|her)) ((?:main |lead )?[a-z]+(?: [a-z]+)?)\b"
)


_OF_ITEM: Final = re.compile(
    r"\b(?:by|from|with|of) the ((?:main |lead )?[a-z]+(?: [a-z]+)?) (?:of|from|behind|in)\b"
)


def same_as(
    r: "Reading", low: str, places: list[tuple[int, int, tuple[str, ...]]], out: "Relative"
) -> None:
    """ "by the same director": the value that the item spoken of has on that facet."""
    m = _SAME.search(low) or _OF_ITEM.search(low)
    if m is None:
        return
    near = [p for p in places if m.end() <= p[0] <= m.end() + 5]
    if m.re is _OF_ITEM and not near:
        return
    places = near or places
    words = m.group(1).split(" ")
    focus = focus_item(r.state)
    ids = places[0][2] if places else ((focus,) if focus else ())
    for facet in r.lexicon.facets.values():
        names = r.lexicon.facet_words(facet.name)
        if facet.kind not in ("people", "categories") or not facet.filterable:
            continue
        if not ({m.group(1), words[0], words[-1]} & names) or not ids or not r.catalog.has(ids[0]):
            continue
        value = r.catalog.df[facet.name][r.catalog.row(ids[0])]
        several = [value] if isinstance(value, str) else list(value if value is not None else [])
        if several:
            keep = tuple(several[:3] if facet.kind == "categories" else several[:2])
            same = Clause(field=facet.name, op="any", values=keep, said=m.group(), turn=r.turn)
            out.clauses.append((same, m.start()))
            out.spans.append(m.span())
        return
