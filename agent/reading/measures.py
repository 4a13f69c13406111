# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""What is known of units: how amounts are written, converted, compared and asked for.

A number facet's unit says what family it is of (money, weight, length ...); the family brings
the other units of the family, the comparatives ("cheaper", "lighter"), the plain words
("cheap", "light") and the questions ("how heavy"). ``domain.yaml`` adds a facet's own
``more``, ``less``, ``asked`` and ``bounds``. No conversion between currencies: "under $100" in
a shop that counts in euros means its own hundred.
"""

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from catalog.items import Facet


class Family(NamedTuple):
    """Words of one kind of amount. ``units``: surface -> its worth in the family's base unit."""

    units: dict[str, float]
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    much: tuple[str, ...] = ()  # plain words for a lot of it
    little: tuple[str, ...] = ()
    asked: str = r"(?!)"
    exact: bool = False  # a count: "two people" are two, not about two


def _same(*surfaces: str) -> dict[str, float]:
    return dict.fromkeys(surfaces, 1.0)


FAMILIES: Final[dict[str, Family]] = {
    "money": Family(
        _same("€", "$", "£", "¥", "eur", "euro", "euros", "usd", "dollar", "dollars", "gbp",
              "pound", "pounds", "quid", "bucks", "chf", "francs", "yen"),
        ("more expensive", "pricier", "dearer", "costlier", "more costly"),
        ("cheaper", "less expensive", "more affordable", "less pricey", "less costly"),
        ("expensive", "pricey", "costly", "dear(?= *[.,;!?]| *$)", "luxur(?:y|ious)", "high[- ]end"),
        ("cheap", "inexpensive", "affordable"),
        r"how (?:much|expensive|pricey|cheap)(?! .{0,40}weigh)\b|\bcosts?\b|price (?:of|for)|what(?:'s| is) .{0,30}price",
    ),
    "weight": Family(
        {**_same("g", "gr", "gram", "grams", "gramme", "grammes"), "mg": 0.001, "oz": 28.35,
         "ounces": 28.35, "ounce": 28.35, "lb": 453.6, "lbs": 453.6,
         **dict.fromkeys(("kg", "kgs", "kilo", "kilos", "kilogram", "kilograms"), 1000.0)},
        ("heavier", "less light"), ("lighter", "less heavy"), ("heavy",), ("light", "lightweight"),
        r"how (?:heavy|light)\b|\bweighs?\b|\bweight\b",
    ),
    "length": Family(
        {"mm": 0.1, "millimetres": 0.1, **_same("cm", "centimetres", "centimeters"), "m": 100.0,
         "metre": 100.0, "metres": 100.0, "meter": 100.0, "meters": 100.0, "km": 1e5,
         "kilometres": 1e5, "kilometers": 1e5, "inch": 2.54, "inches": 2.54, "ft": 30.48,
         "feet": 30.48},
        ("longer", "taller", "wider", "bigger"), ("shorter", "narrower", "smaller"),
        ("long", "tall", "wide"), ("short", "narrow", "small"),
        r"how (?:long|tall|wide|high|big|large|deep)\b|\b(?:measures|dimensions)\b",
    ),
    "volume": Family(
        {**dict.fromkeys(("ml", "millilitres"), 0.001), "cl": 0.01,
         **_same("l", "litre", "litres", "liter", "liters", "ltr")},
        ("bigger", "larger", "roomier"), ("smaller",), ("big", "large"), ("small",),
        r"how (?:big|large|roomy)\b|how much .{0,30}hold",
    ),
    "stars": Family(
        _same("star", "stars", "points"),
        ("better rated", "higher rated", "better reviewed", "with (?:a )?(?:better|higher) ratings?"),
        ("worse rated", "lower rated"),
        ("highly rated", "well[- ]rated", "well[- ]reviewed", "top[- ]rated", "good (?:ratings?|reviews)"),
        ("badly rated",),
        r"how (?:well|highly|good|many stars)\b|\brat(?:ed|ing)\b|\breviews?\b",
    ),
    "people": Family(
        _same("people", "person", "persons", "man", "men", "adults", "sleeper", "sleepers"),
        ("bigger", "roomier"), ("smaller",), asked=r"how many (?:people|persons)\b|\bsleeps?\b",
        exact=True,
    ),
    "temperature": Family(
        _same("°c", "° c", "°", "degrees", "degree", "c", "celsius"),
        ("warmer",), ("cooler", "colder"), asked=r"how (?:warm|cold|hot|cool)\b",
    ),
    "light": Family(
        _same("lm", "lumen", "lumens"), ("brighter",), ("dimmer", "less bright"), ("bright",),
        ("dim",), r"how bright\b",
    ),
    "power": Family(
        {**_same("w", "watt", "watts"), "kw": 1000.0}, ("more powerful", "stronger"),
        ("less powerful", "weaker"), ("powerful",), (), r"how (?:powerful|strong)\b",
    ),
    "pages": Family(
        _same("page", "pages", "pp"), ("longer", "thicker"), ("shorter", "thinner"),
        ("long", "thick"), ("short", "thin", "quick"), r"how (?:long|thick)\b|how many pages\b",
    ),
    "storage": Family({"mb": 0.001, **_same("gb"), "tb": 1000.0}, ("bigger", "larger"), ("smaller",)),
    "percent": Family(_same("%", "percent", "per cent"), ("stronger",), ("weaker",)),
}  # fmt: skip
MINUTES: Final = Family(
    _same("minutes"),
    ("longer", "less short"),
    ("shorter", "less long", "not as long", "not so long", "not that long", "quicker", "briefer"),
    ("long", "lengthy"),
    ("short", "quick"),
    r"how long\b|run(?:ning|s)?[- ]?time|how many (?:minutes|hours)",
)
DATE: Final = Family(
    {},
    ("newer", "more recent", "later", "more modern", "younger", "less old"),
    ("older", "earlier", "less recent", "more vintage"),
    ("recent", "new", "modern", "latest", "newest", "contemporary", "new releases?",
     "recently released", "last (?:few|couple of|5|five) years"),
    ("old", "vintage", "old[- ]school", "oldies?", "classics?"),
)  # fmt: skip
_BY_NAME: Final = {"price": "money", "cost": "money", "rating": "stars", "weight": "weight"}
_STOCK: Final = {
    "in stock": ">= 1",
    "available": ">= 1",
    "sold out": "<= 0",
    "out of stock": "<= 0",
}
_BOUND: Final = re.compile(r"(>=|<=|=)\s*(-?\d+(?:\.\d+)?)")


class Measure(NamedTuple):
    """How one number facet is spoken of."""

    kind: str  # "date", "time", a family, or "other"
    factors: dict[str, float]  # unit surface -> multiply to get the facet's own unit
    more: tuple[str, ...]  # patterns
    less: tuple[str, ...]
    much: tuple[str, ...]
    little: tuple[str, ...]
    asked: str
    exact: bool
    bounds: dict[str, tuple[tuple[str, float], ...]]  # surface -> ((op, value), ...)


def measure_of(facet: "Facet") -> Measure:
    """What the facet's role, unit, name and own words say. ``facet.kind`` is "number"."""
    unit = (facet.unit or "").casefold()
    if facet.role == "date":
        kind, family = "date", DATE
    elif unit.startswith("minute"):
        kind, family = "time", MINUTES
    else:
        kind = next((k for k, f in FAMILIES.items() if unit in f.units), "")
        kind = kind or next((k for w, k in _BY_NAME.items() if w in facet.name.casefold()), "other")
        family = FAMILIES.get(kind, Family(_same(*_forms(unit)), exact=True))
    base = family.units.get(unit, 1.0)
    own = [re.escape(w) for w in facet.more], [re.escape(w) for w in facet.less]
    asked = "|".join([family.asked, *facet.asked])
    said = dict(facet.bounds)
    if not said and any(w in facet.name.casefold() for w in ("stock", "availability", "inventory")):
        said = _STOCK
    return Measure(
        kind,
        {surface: worth / base for surface, worth in family.units.items()},
        # its own words come first and may turn the family's round: "warmer" may mean less
        (*own[0], *(w for w in family.more if w not in facet.less)),
        (*own[1], *(w for w in family.less if w not in facet.more)),
        family.much,
        family.little,
        asked,
        family.exact or kind == "other",
        {surface: _parsed(bound) for surface, bound in said.items()},
    )


def _forms(unit: str) -> set[str]:
    return {unit, unit.rstrip("s"), unit + "s"} - {"", "s"} if unit else set()


def _parsed(bound: str) -> tuple[tuple[str, float], ...]:
    """ ">= 1" -> (("ge", 1.0),), "= 2" -> both sides."""
    m = _BOUND.fullmatch(bound.strip())
    if m is None:
        return ()
    value = float(m.group(2))
    sides = {">=": ("ge",), "<=": ("le",), "=": ("ge", "le")}[m.group(1)]
    return tuple((side, value) for side in sides)


def unit_pattern(measure: Measure) -> str:
    """An alternation of the unit surfaces, longest first; never matches when there are none."""
    if not measure.factors:
        return r"(?!)"
    surfaces = sorted(measure.factors, key=lambda s: (-len(s), s))
    return (
        "(?:" + "|".join(re.escape(s) + (r"\b" if s[-1].isalnum() else "") for s in surfaces) + ")"
    )
