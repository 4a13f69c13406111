"""Reasons that rest on what was asked for in so many words: clauses an item meets."""

from collections.abc import Mapping
from typing import Any

from agent.phrases import clauses_text, label, listed, quotable, spoken, value_text, wanted_text
from agent.slots import Tie, field_evidence
from agent.state import Evidence
from catalog.filters import Clause
from catalog.items import Catalog, Facet, Item

#: Roles whose positive clauses are reasons, and those whose numbers are.
VALUE_ROLES = ("maker", "people", "tag", "mood", "origin", "language", "category")


NUMBER_ROLES = ("date", "amount", "audience")


def clause_ties(
    facets: Mapping[str, Facet], item: Item, clauses: tuple[Clause, ...]
) -> tuple[list[Tie], list[Tie]]:
    """Ties to what was asked for, and to what was refused (the weakest reasons)."""
    positive: list[Tie] = []
    negative: list[Tie] = []
    for clause, words in clauses_text(dict(facets), clauses):
        facet = facets[clause.field]
        value = item.values.get(facet.name)
        said = Evidence(slot="<c1>", text=words, field=facet.name, source="user")
        role = spoken(facet)
        slot = f"<i1.{role}>"
        if value in (None, (), "") or not _satisfies(value, clause):
            continue  # shown before the clause was said
        if facet.role in NUMBER_ROLES and clause.op in ("ge", "le"):
            text = words if facet.bounds or facet.phrase else value_text(facet, value)
            shown = field_evidence(item, facet, text, slot)
            positive.append(Tie(role, (said, shown)))
        elif facet.role in VALUE_ROLES and clause.op in ("any", "all"):
            values = value if isinstance(value, tuple) else (value,)
            hit = [v for v in values if v in clause.values]
            text = listed(label(facet, v) for v in hit[:3])
            if facet.phrase and not facet.phrase.startswith("that are"):
                text = facet.phrase.format(text)
            positive.append(Tie(role, (said, field_evidence(item, facet, text, slot))))
        elif facet.role in VALUE_ROLES and clause.op == "none" and not facet.phrase:
            # An exclusion stands in <c2>: the talker must not say that the value was asked for.
            refused = Evidence(slot="<c2>", text=words, field=facet.name, source="user")
            shown = field_evidence(item, facet, value_text(facet, value, 2), slot)
            negative.append(Tie(facet.role, (refused, shown)))
    order = {role: k for k, role in enumerate((*VALUE_ROLES, *NUMBER_ROLES))}
    return sorted(positive, key=lambda t: order[t.name]), negative


def premise_ties(
    catalog: Catalog, item: Item, clauses: tuple[Clause, ...], short: bool
) -> list[Tie]:
    """What was asked for, and what the item is about: more telling than its category again."""
    premise = next((f for f in catalog.domain.facets if f.role == "premise"), None)
    text = item.values.get(premise.name) if premise else None
    facets = {f.name: f for f in catalog.domain.facets}
    met = [
        c
        for c in clauses
        if c.op != "none"
        and item.values.get(c.field) not in (None, (), "")
        and _satisfies(item.values[c.field], c)
    ]
    told = ("category", "mood", "tag", "origin", "language", "maker", "people")
    named = [c for c in met if facets[c.field].role in told]
    if premise is None or not text or not named or not quotable(str(text)):
        return []
    numbers = [c for c in met if facets[c.field].kind == "number"]
    wanted = named[-1:] if short else [*named, *numbers]
    said = wanted_text(catalog.domain, wanted, limit=1)
    words = Evidence(slot="<u1>", text=said, field=named[0].field, source="user")
    return [Tie("about", (words, field_evidence(item, premise, str(text), "<i1.premise>")))]


def _satisfies(value: Any, clause: Clause) -> bool:
    if clause.op in ("ge", "le"):
        low, high = sorted((float(value), float(clause.values[0])))
        return (low if clause.op == "le" else high) == float(value)
    held = set(value if isinstance(value, tuple) else (value,))
    wanted = set(clause.values)
    if clause.op == "all":
        return wanted <= held
    return bool(wanted & held) == (clause.op == "any")
