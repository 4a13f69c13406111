"""How the agent speaks of a stranger's catalogue: facets with labels, units and questions.

Everything is made from the config and the catalogue's own values, so the words are always those
of the shop: "How much would you like to spend?", "A red wine from Portugal", "size 42".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import polars as pl

from catalog import cells
from catalog.config import ROLE, Column, Config
from catalog.headers import heading, plural
from catalog.items import Domain, Facet, Kind

#: The order facets stand in: where two share a role, the first one speaks for it.
ORDER: Final = (
    "date", "category", "maker", "people", "origin", "language", "price", "rating", "size",
    "number", "audience", "mood", "tags", "yes/no", "stock", "text",
)  # fmt: skip
KINDS: Final[dict[str, Kind]] = {
    "price": "number", "number": "number", "rating": "number", "stock": "number",
    "date": "number", "audience": "number", "people": "people", "text": "text",
}  # fmt: skip
#: Comparatives of common numbers: facet label's last word -> (more, less).
COMPARED: Final[dict[str, tuple[str, str]]] = {
    "weight": ("heavier", "lighter"),
    "length": ("longer", "shorter"),
    "duration": ("longer", "shorter"),
    "time": ("longer", "shorter"),
    "pages": ("longer", "shorter"),
    "width": ("wider", "narrower"),
    "height": ("taller|higher", "lower|shorter"),
    "depth": ("deeper", "shallower"),
    "diameter": ("thicker|wider", "thinner|narrower"),
    "power": ("stronger|more powerful", "weaker|less powerful"),
    "volume": ("bigger|larger|roomier", "smaller"),
    "capacity": ("bigger|larger|roomier", "smaller"),
    "brightness": ("brighter", "dimmer"),
    "alcohol": ("stronger", "weaker|lighter"),
    "difficulty": ("harder|more difficult|more challenging", "easier|less difficult"),
    "complexity": ("heavier|more complex", "simpler|less complex"),
    "speed": ("faster", "slower"),
    "rating": ("better rated|higher rated", "lower rated"),
}
STOCKED: Final = {
    "in stock": ">= 1", "available": ">= 1", "available now": ">= 1", "sold out": "<= 0",
    "out of stock": "<= 0",
}  # fmt: skip
ASKED_UP_TO: Final = 60  # a question about a hundred values helps nobody
MANY_VALUES: Final = 2_000  # sizes beyond this get no synonyms
SUMMARY: Final = "_summary"


def domain_of(
    config: Config, df: pl.DataFrame, names: dict[str, str], summaries: dict[str, str]
) -> Domain:
    """The domain of a shaped table. ``names``: heading -> facet name."""
    noun, nouns = config.noun or "item", config.nouns or "items"
    chosen = [(h, c) for h, c in config.columns.items() if c.use in ROLE and h in names]
    chosen.sort(key=lambda pair: ORDER.index(pair[1].use))
    facets: list[Facet] = []
    for head, column in chosen:
        name = names[head]
        if name not in df.columns:
            continue
        if name in summaries:
            facets.append(text_facet(summaries[name], "summary", "summaries"))
        facets.append(facet_of(name, head, column, df[name], noun))
    return Domain(
        name="_".join(nouns.split()),
        noun_one=noun,
        noun_many=nouns,
        noun_also=config.also,
        facets=facets,
        scales=config.scales,
        openers=openers(facets, df, noun, nouns) if config.openers is None else config.openers,
        vector_text=config.vector_text or vector_text(facets, summaries),
    )


def text_facet(name: str, label: str, many: str) -> Facet:
    return Facet(name=name, role="premise", kind="text", label=label, plural=many, filterable=False)


def facet_of(name: str, head: str, column: Column, values: pl.Series, noun: str) -> Facet:
    """One facet with its question and synonyms."""
    label = column.label or heading(head).label
    many = column.plural or plural(label)
    if column.use == "text":
        return text_facet(name, label, many)
    distinct = _distinct(values)
    synonyms = dict(column.synonyms)
    if column.use in ("size", "tags") and len(distinct) <= MANY_VALUES:
        for value in distinct:
            if value.isdigit() or column.use == "size":  # "size 42" before a bare "42"
                synonyms.setdefault(f"{label} {value}".lower(), value)
                synonyms.setdefault(f"{value} {label if value == '1' else many}".lower(), value)
    more, less = COMPARED.get(label.split()[-1], ("", ""))
    ask = column.ask if column.ask is not None else question(column, label, noun, len(distinct))
    return Facet(
        name=name,
        role="category" if column.separator == "-" else ROLE[column.use],
        kind=kind_of(column, distinct),
        label=label,
        plural=many,
        unit=column.unit,
        ask=ask or None,
        synonyms=synonyms,
        aliases_multi=column.aliases_multi,
        filterable=column.filterable,
        more=more.split("|") if more else [],
        less=less.split("|") if less else [],
        phrase=phrase_of(column, label, many),
        bounds=STOCKED if column.use == "stock" else {},
    )


def phrase_of(column: Column, label: str, many: str) -> str | None:
    """How a value follows the noun, where "in the size 42" would not do."""
    if column.use == "size":
        return f"in {label} {{}}"
    return f"for {{}} {many}" if column.separator == "-" else None


def kind_of(column: Column, values: Sequence[str]) -> Kind:
    """Makers are people where most have a first and a last name; a brand is a category."""
    if column.use == "maker":
        return "people" if 2 * sum(" " in v for v in values) > len(values) else "categories"
    return KINDS.get(column.use, "categories")


def _distinct(values: pl.Series) -> list[str]:
    if values.dtype == pl.List(pl.String):
        return [str(v) for v in values.explode().drop_nulls().unique(maintain_order=True)]
    return []


def question(column: Column, label: str, noun: str, values: int) -> str | None:
    """The question that asks for a facet; None where asking would help nobody."""
    match column.use:
        case "price":
            return "How much would you like to spend?"
        case "size":
            return f"Which {label} do you need?"
        case "date":
            return "Should it be something recent, or may it be older?"
        case "audience":
            return "Who is it for: how old are they?"
        case "language":
            return f"Which {label} should it be in?" if 1 < values <= ASKED_UP_TO else None
        case "origin":
            return f"Should it come from a particular {label}?" if values > 1 else None
        case "mood":
            return f"Which {label} would suit you?" if values > 1 else None
        case "category" if 1 < values <= ASKED_UP_TO:
            general = label in ("category", "type", "kind", "genre", "class", "group", "section")
            return (
                f"What kind of {noun} are you looking for?"
                if general
                else f"Which {label} would you like?"
            )
        case "maker":
            return f"Is there {article(label)} {label} you like?" if values > 1 else None
        case "tags" if column.separator == "-":
            return (
                f"For how many {plural(label)}?" if label.endswith("er") else f"How many {label}?"
            )
        case "tags" if 1 < values <= ASKED_UP_TO:
            return f"Is there {article(label)} {label} you have in mind?"
        case "number" if column.unit:
            return f"Is there a limit for the {label}?"
    return None


def is_money(facet: Facet) -> bool:
    return facet.unit is not None and cells.is_money(cells.unit_of(facet.unit))


def article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"


def vector_text(facets: Sequence[Facet], summaries: dict[str, str]) -> list[str]:
    """Title and words first, then categories, makers and origin; numbers say little in a vector."""
    begun = set(summaries.values())
    texts = [f.name for f in facets if f.kind == "text" and f.name not in begun]
    words = [f.name for f in facets if f.kind == "categories" and f.role not in ("amount",)]
    people = [f.name for f in facets if f.kind == "people"]
    return ["title", *words[:1], *texts, *words[1:], *people]


def openers(facets: Sequence[Facet], df: pl.DataFrame, noun: str, nouns: str) -> list[str]:
    """Example first messages from the catalogue's own values."""
    out: list[str] = []
    best = df.sort("popularity", descending=True, maintain_order=True)["title"].head(3).to_list()
    category = _common(facets, df, "category")
    price = next((f for f in facets if f.kind == "number" and is_money(f)), None)
    maker, origin, tag = (_common(facets, df, role) for role in ("maker", "origin", "tag"))
    if category:
        facet = next(f for f in facets if f.role == "category" and f.kind == "categories")
        where = facet.phrase.format(category[0]) if facet.phrase else ""
        out.append(f"Something {where or f'in the {facet.label} {category[0]}'}, please.")
    if price is not None:
        middle = df[price.name].drop_nulls().median()
        if isinstance(middle, int | float):
            limit = f"{_round(float(middle)):g}"
            amount = (
                f"{price.unit}{limit}"
                if price.unit in ("$", "£", "¥", "₹")
                else f"{limit} {price.unit}"
            )
            out.append(f"{article(noun).capitalize()} {noun} under {amount}, please.")
    if maker:
        out.append(f"What do you have by {maker[0]}?")
    if origin:
        out.append(f"Something from {origin[0]}.")
    if tag and len(tag[0].split()) <= 3:
        facet = next(f for f in facets if f.role == "tag" and f.kind == "categories")
        count = f"for {tag[0]} {facet.plural}" if tag[0].isdigit() else f"with {tag[0]}"
        out.append(f"Something {count}, perhaps?")
    if best:
        out.append(f"Something like {best[0]}.")
    size = next((f for f in facets if f.name == "size" or f.label.endswith("size")), None)
    if size is not None and size.kind == "categories" and (values := _counted(df, size.name)):
        out.append(f"Which {nouns} are there in {size.label} {values[0]}?")
    out.append(f"Surprise me with a good {noun}.")
    return out[:8]


def _common(facets: Sequence[Facet], df: pl.DataFrame, role: str) -> list[str]:
    facet = next((f for f in facets if f.role == role and f.kind in ("categories", "people")), None)
    return _counted(df, facet.name) if facet is not None else []


def _counted(df: pl.DataFrame, name: str) -> list[str]:
    counts = df[name].explode().drop_nulls().value_counts(sort=True)
    return [str(v) for v in counts[name].head(3).to_list()]


def _round(value: float) -> float:
    """A round number near a value: 43.2 -> 45, 1287 -> 1300."""
    step = 10.0 ** (len(str(int(abs(value)))) - 2) * 5
    return max(step, math.ceil(value / step) * step) if value >= 5 else float(f"{value:.1g}")
