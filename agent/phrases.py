"""Clauses and values put in words: the surface forms that slots stand for.

Everything comes from the catalogue's own facets (label, unit, role), so a shop of
lamps gets "under 40 €" from the same code that says "from 2000 or later" of films.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from catalog.filters import Clause
from catalog.items import Domain, Facet

#: Places that take an article, by name or by first word: "from the United States".
WITH_ARTICLE = frozenset(
    ("United", "Netherlands", "Soviet", "Czech", "Dominican", "Philippines", "Bahamas", "Gambia")
)
#: Units that people change for a larger one, from where on: 2,520 g are 2.52 kg.
LARGER = {"g": (1000, "kg"), "ml": (1000, "l"), "mm": (1000, "m"), "m": (1000, "km")}
#: Units whose singular is no matter of an "s".
ONE = {"people": "person", "feet": "foot", "inches": "inch", "in stock": "in stock"}
MONEY = frozenset("€ $ £ ¥ eur euro euros usd dollars dollar gbp pounds chf".split())


#: Text of an item that talks to the machine instead of telling of the item.
_TALKS_TO_US = re.compile(
    r"[<>{}\[\]|]|\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:rules?|instructions?|prompts?|above)\b"
    r"|\b(?:system prompt|as an ai|you must (?:recommend|say|reply|answer))\b",
    re.IGNORECASE,
)


def quotable(text: str) -> bool:
    """Whether a catalogue's sentence may be quoted to a person: no markup, no orders to us."""
    return not _TALKS_TO_US.search(text)


def listed(values: Iterable[str], joint: str = "and") -> str:
    """Join names as a person would: "a", "a and b", "a, b and c"."""
    items = [str(v) for v in values]
    if len(items) <= 1:
        return "".join(items)
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"


def number(value: float, unit: str | None) -> str:
    """A number as people write it: no ".0", its unit after it."""
    if unit in LARGER and abs(value) >= LARGER[unit][0]:
        value, unit = value / LARGER[unit][0], LARGER[unit][1]
    text = f"{round(value, 4):g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if unit and unit.casefold() in MONEY and value % 1:
        text = f"{value:,.2f}"  # 39.90 €, not 39.9 €
    if unit and value == 1:
        unit = ONE.get(unit, unit.removesuffix("s"))
    return f"{text} {unit}" if unit else text


def value_text(facet: Facet, value: Any, limit: int = 3) -> str:
    """A field's value as a slot shows it: "Amy Adams and Jeremy Renner", "116 minutes"."""
    if facet.kind == "number" and (state := standing(facet, float(value))):
        return state
    if isinstance(value, tuple | list):
        return listed(label(facet, v) for v in value[:limit])
    if facet.kind == "number":
        if facet.role == "audience":
            return f"age {value:g}" if value else "all ages"
        return number(float(value), facet.unit)
    return label(facet, value)


def spoken(facet: Facet) -> str:
    """The role in whose words a facet is spoken of: what has a phrase of its own ("in size
    {}", "for {}") or stands for a state ("in stock") is said as a mood is: "something in red"."""
    return "mood" if facet.phrase or facet.bounds else facet.role


def label(facet: Facet, value: Any) -> str:
    """One value as it stands inside a sentence: categories lower-case, names as written."""
    text = str(value)
    if facet.role == "origin" and text.split()[0] in WITH_ARTICLE:
        return f"the {text}"
    plain = facet.role in ("category", "tag", "mood") and not facet.phrase  # "size M"
    if facet.kind == "categories" and plain:
        return text.lower()
    return text


def clause_text(facet: Facet, clause: Clause) -> str:
    """A clause as words that follow the noun: "films *from 2000 or later*"."""
    if clause.op in ("ge", "le"):
        return _range(facet, clause.op, float(clause.values[0]))
    values = [label(facet, v) for v in clause.values]
    negative = clause.op == "none"
    if facet.phrase:
        phrase = facet.phrase.format(listed(values, "and" if clause.op == "all" else "or"))
        if not negative:
            return phrase
        adjective = phrase.startswith("that are ")
        return phrase.replace("that are ", "that are not ", 1) if adjective else f"not {phrase}"
    things = all(str(v).endswith("s") for v in clause.values)
    if facet.label.lower() in KINDS and things:  # "products that are tents"
        words = listed((str(v).lower() for v in clause.values), "or")
        return f"that are not {words}" if negative else f"that are {words}"
    joint = {"any": "or", "all": "and", "none": "or"}[clause.op]
    words = listed(values, joint)
    match facet.role:
        case "maker":
            return f"not by {words}" if negative else f"by {words}"
        case "mood":
            return f"that are not {words}" if negative else f"that are {words}"
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


def standing(facet: Facet, value: float) -> str:
    """A number that has words of its own: of 8 in stock, "in stock"; "" where it has none."""
    for words, bound in facet.bounds.items():
        sign, _, figure = bound.strip().rpartition(" ")
        limit = float(figure)
        met = {">=": value >= limit, "<=": value <= limit, "=": value == limit}.get(sign, False)
        if met and facet.phrase is None:
            return words
    return ""


def _bound_words(facet: Facet, op: str, value: float) -> str:
    """The person's own way to say this bound: ">= 1" of a stock is "in stock"."""
    sign = {"ge": ">=", "le": "<="}[op]
    for words, bound in facet.bounds.items():
        said, _, figure = bound.strip().rpartition(" ")
        if said == sign and float(figure) == value:
            return words
    return ""


def _led(facet: Facet, words: str) -> str:
    """An amount after the noun: "for at most 100 €", "with at least 4 stars", "of 2 kg"."""
    if facet.phrase:
        return facet.phrase.format(words)
    unit = (facet.unit or "").casefold()
    return f"{'for' if unit in MONEY else 'with' if unit == 'stars' else 'of'} {words}"


def _range(facet: Facet, op: str, value: float) -> str:
    if facet.unit == "stars" and round(value, 2) != round(value, 1):
        # "better rated" than 4.2 stars begins at 4.21
        step = -0.01 if op == "ge" else 0.01
        words = "more" if op == "ge" else "fewer"
        return _led(facet, f"{words} than {number(round(value + step, 2), facet.unit)}")
    text = number(value, facet.unit)
    if words := _bound_words(facet, op, value):
        return words
    match facet.role:
        case "date":
            return f"from {text} or later" if op == "ge" else f"from {text} or earlier"
        case "audience":
            return f"for age {value:g} and up" if op == "ge" else f"suitable from age {value:g}"
        case _:
            return _led(facet, f"at least {text}" if op == "ge" else f"at most {text}")


def _between(facet: Facet, low: float, high: float) -> str:
    if low == high:
        text = number(low, facet.unit)
        exact = text if facet.phrase else f"exactly {text}"
        return f"from {text}" if facet.role == "date" else _led(facet, exact)
    if facet.unit in LARGER:
        start, end = number(low, facet.unit), number(high, facet.unit)
    else:
        start, end = number(low, None), number(high, facet.unit)
    return f"from {start} to {end}" if facet.role == "date" else _led(facet, f"{start} to {end}")


#: Words for the most and the least of a number, by role or by the family of its unit.
TOPMOST = {
    "date": ("newest", "oldest"), "money": ("most expensive", "cheapest"),
    "weight": ("heaviest", "lightest"), "time": ("longest", "shortest"),
    "stars": ("best rated", "worst rated"), "pages": ("longest", "shortest"),
    "light": ("brightest", "dimmest"), "volume": ("biggest", "smallest"),
    "audience": ("one for the oldest audience", "one for the youngest audience"),
}  # fmt: skip
FAMILY = {
    "g": "weight", "kg": "weight", "lb": "weight", "stars": "stars", "pages": "pages",
    "lumens": "light", "l": "volume", "ml": "volume", "minutes": "time", "hours": "time",
}  # fmt: skip


def superlative(facet: Facet, direction: int) -> str:
    """ "the cheapest", "the newest"; "the one with the lowest ..." where English has no word."""
    unit = (facet.unit or "").casefold()
    family = facet.role if facet.role in TOPMOST else FAMILY.get(unit, "")
    words = TOPMOST.get("money" if unit in MONEY else family)
    if words is None:
        return f"the one with the {'highest' if direction > 0 else 'lowest'} {facet.label}"
    return f"the {words[0] if direction > 0 else words[1]}"


# ---------------------------------------------------------------------- nouns
#: Plural nouns that have no singular of their own.
PAIRS = frozenset(
    "trousers pants jeans shorts tights leggings boots shoes gloves socks glasses".split()
)
#: Labels of a category whose values are themselves names of things: "type: tents".
KINDS = frozenset(("type", "kind", "product type", "department", "product", "class"))

#: Nouns that say nothing: "something waterproof", not "a waterproof product".
VAGUE = frozenset(("product", "item", "thing", "article", "object", "entry"))


def thing_facet(domain: Domain) -> Facet | None:
    """The facet whose values are plural nouns ("Tents"), so that they can stand for the items."""
    found = (f for f in domain.facets if f.role == "category" and f.kind == "categories")
    return next((f for f in found if f.label.lower() in KINDS), None)


def singular(plural: str) -> str:
    """ "sleeping bags" -> "sleeping bag", "boots" -> "pair of boots"."""
    words = plural.lower()
    if words.split()[-1] in PAIRS:
        return f"pair of {words}"
    for ending, one in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if words.endswith(ending):
            return words.removesuffix(ending) + one
    return words.removesuffix("s") if not words.endswith("ss") else words


def asked_things(domain: Domain, clauses: Sequence[Clause]) -> tuple[str, str, Clause] | None:
    """One kind of thing was asked for: (singular, plural, the clause); None otherwise."""
    facet = thing_facet(domain)
    if facet is None:
        return _of_a_kind(domain, clauses)
    for clause in clauses:
        if clause.field == facet.name and clause.op in ("any", "all"):
            values = [str(v).lower() for v in clause.values]
            if all(v.endswith("s") for v in values):
                one = listed(map(singular, values), "or")
                if one.startswith("pair of "):  # "a pair of boots or trail shoes"
                    one = "pair of " + one.replace("pair of ", "")
                return one, listed(values, "or"), clause
    return None


def _of_a_kind(domain: Domain, clauses: Sequence[Clause]) -> tuple[str, str, Clause] | None:
    """ "horror film", "western or war films": the category before the noun."""
    kinds = {f.name: f for f in domain.facets if f.role == "category" and not f.phrase}
    asked = [c for c in clauses if c.field in kinds and c.op in ("any", "all")]
    if len(asked) != 1 or len(asked[0].values) > 2 or domain.noun_one.lower() in VAGUE:
        return None
    clause = asked[0]
    words = [label(kinds[clause.field], v) for v in clause.values]
    kind = " ".join(words) if clause.op == "all" else listed(words, "or")
    return f"{kind} {domain.noun_one}", f"{kind} {domain.noun_many}", clause


def with_article(words: str) -> str:
    return f"an {words}" if words[:1].lower() in "aeiou" else f"a {words}"


def wanted_text(domain: Domain, clauses: Sequence[Clause], limit: int = 2) -> str:
    """What was asked for as one noun phrase: "a waterproof jacket in size 42 by Nordhaug".

    Values of categories that are adjectives or genres go before the noun, ``limit`` other
    clauses after it.
    """
    facets = {f.name: f for f in domain.facets}
    things = asked_things(domain, clauses)
    before, after = list[str](), list[str]()
    positive = [c for c in clauses if c.op != "none" and not (things and c == things[2])]
    for clause, words in clauses_text(facets, positive):
        facet = facets[clause.field]
        led = (facet.phrase or "").startswith("that are") or not facet.phrase
        single = len(clause.values) == 1 or clause.op == "all"
        if facet.kind == "categories" and facet.role in ("mood", "category") and led and single:
            before += [label(facet, v) for v in clause.values]
            continue
        after.append(words)
    after = [words.replace("that are ", "that is ", 1) for words in after[:limit]]
    if not things and domain.noun_one.lower() in VAGUE:
        return " ".join(["something", *before[:2], *after])
    noun = things[0] if things else domain.noun_one
    return with_article(" ".join([*before[:2], noun, *after]))
