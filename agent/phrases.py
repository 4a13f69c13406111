"""Clauses and values put in words: the surface forms that slots stand for.

Everything comes from the catalogue's own facets (label, unit, role), so a shop of
lamps gets "under 40 €" from the same code that says "from 2000 or later" of films.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from catalog.filters import Clause
from catalog.items import Facet

#: Places that take an article, by name or by first word: "from the United States".
WITH_ARTICLE = frozenset(
    ("United", "Netherlands", "Soviet", "Czech", "Dominican", "Philippines", "Bahamas", "Gambia")
)


def listed(values: Iterable[str], joint: str = "and") -> str:
    """Join names as a person would: "a", "a and b", "a, b and c"."""
    items = [str(v) for v in values]
    if len(items) <= 1:
        return "".join(items)
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"


def number(value: float, unit: str | None) -> str:
    """A number as people write it: no ".0", its unit after it."""
    text = f"{value:g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{text} {unit}" if unit else text


def value_text(facet: Facet, value: Any, limit: int = 3) -> str:
    """A field's value as a slot shows it: "Amy Adams and Jeremy Renner", "116 minutes"."""
    if isinstance(value, tuple | list):
        return listed(label(facet, v) for v in value[:limit])
    if facet.kind == "number":
        if facet.role == "audience":
            return f"age {value:g}" if value else "all ages"
        return number(float(value), facet.unit)
    return label(facet, value)


def label(facet: Facet, value: Any) -> str:
    """One value as it stands inside a sentence: categories lower-case, names as written."""
    text = str(value)
    if facet.role == "origin" and text.split()[0] in WITH_ARTICLE:
        return f"the {text}"
    if facet.kind == "categories" and facet.role in ("category", "tag", "mood"):
        return text.lower()
    return text


def clause_text(facet: Facet, clause: Clause) -> str:
    """A clause as words that follow the noun: "films *from 2000 or later*"."""
    if clause.op in ("ge", "le"):
        return _range(facet, clause.op, float(clause.values[0]))
    values = [label(facet, v) for v in clause.values]
    joint = {"any": "or", "all": "and", "none": "or"}[clause.op]
    words = listed(values, joint)
    negative = clause.op == "none"
    match facet.role:
        case "maker":
            return f"not by {words}" if negative else f"by {words}"
        case "people":
            return f"without {words}" if negative else f"with {words}"
        case "origin":
            return f"not from {words}" if negative else f"from {words}"
        case "language":
            return f"not in {words}" if negative else f"in {words}"
        case _:
            plural = facet.plural if len(values) > 1 else facet.label
            return f"outside the {plural} {words}" if negative else f"in the {plural} {words}"


def clauses_text(facets: dict[str, Facet], clauses: Sequence[Clause]) -> list[tuple[Clause, str]]:
    """One phrase a clause, with the two ends of a range said together.

    Returns pairs of (a clause of the phrase, the phrase), in the order they were said.
    """
    result: list[tuple[Clause, str]] = []
    done: set[int] = set()
    for k, clause in enumerate(clauses):
        if k in done:
            continue
        facet = facets[clause.field]
        other = next(
            (
                j
                for j, c in enumerate(clauses)
                if j > k and c.field == clause.field and {c.op, clause.op} == {"ge", "le"}
            ),
            None,
        )
        if other is None:
            result.append((clause, clause_text(facet, clause)))
            continue
        done.add(other)
        low, high = sorted(float(c.values[0]) for c in (clause, clauses[other]))
        result.append((clause, _between(facet, low, high)))
    return result


def _range(facet: Facet, op: str, value: float) -> str:
    text = number(value, facet.unit)
    match facet.role:
        case "date":
            return f"from {text} or later" if op == "ge" else f"from {text} or earlier"
        case "audience":
            return f"for age {value:g} and up" if op == "ge" else f"suitable from age {value:g}"
        case _:
            return f"of at least {text}" if op == "ge" else f"of at most {text}"


def _between(facet: Facet, low: float, high: float) -> str:
    if low == high:
        text = number(low, facet.unit)
        return f"from {text}" if facet.role == "date" else f"of exactly {text}"
    start, end = number(low, None), number(high, facet.unit)
    return f"from {start} to {end}" if facet.role == "date" else f"of {start} to {end}"
