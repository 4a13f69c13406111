# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Numbers with their comparisons: "nothing before 2000", "under two hours", "the 90s".

Every numeric facet is read by its role and unit: dates as years and decades, amounts in
minutes as hours and minutes, ages, and anything else (a price, a wattage) by its unit
word, its currency sign or its name. Result: clauses ``ge``/``le`` with inclusive bounds.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agent.reading.cues import Scopes
from agent.reading.eras import ages, decades, last_years, years_old
from agent.reading.figures import NUM, Bounds, Number, number, plain
from agent.reading.lexicon import Lexicon

if TYPE_CHECKING:
    from catalog.items import Facet


_GE_OPEN: Final = r"(?:after|newer than|later than|over|more than|longer than|above|beyond|greater than|higher than|bigger than|past|post|exceeding|older than|not up to)"  # fmt: skip
_LE_OPEN: Final = r"(?:before|older than|earlier than|under|less than|shorter than|below|prior to|pre|lower than|smaller than|cheaper than|fewer than|younger than)"  # fmt: skip
_GE: Final = r"(?:since|from|at least|no (?:older|earlier|less|shorter|lower|cheaper) than|minimum(?: of)?|min|starting (?:from|at|in)|>=)"  # fmt: skip
_LE: Final = r"(?:until|till|up to|at most|no (?:newer|later|more|longer|higher|older) than|maximum(?: of)?|max|within|not exceeding|(?:only )?(?:have|got)(?: only| about| just)?|<=)"  # fmt: skip
_AROUND: Final = r"(?:around|about|circa|roughly|approximately|close to|near)"
_AFTER_GE: Final = r"(?:\s*(?:or|and)\s+(?:newer|later|above|more|longer|up|over|after|higher|older)|\s*\+|\s+on(?:wards?)?\b|\s+upwards?|\s+(?:at least|minimum))"  # fmt: skip
_AFTER_LE: Final = r"(?:\s*(?:or|and)\s+(?:older|earlier|less|shorter|under|below|before|fewer|cheaper|lower)|\s+(?:max(?:imum)?|at most|tops|or so max))"  # fmt: skip
_NEVER_YEARS: Final = re.compile(
    r"^(?:\s*(?:minutes?|mins?|hours?|dollars?|euros?|pounds?|watts?)\b)"
)


def read_numbers(low: str, lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    """All numeric constraints of a lower-case text, in order, not overlapping."""
    found: list[Number] = []
    for facet in lexicon.facets.values():
        if facet.kind != "number" or not facet.filterable or facet.name not in lexicon.ranges:
            continue
        if facet.role == "date":
            found += decades(low, facet, lexicon, scopes)
            found += last_years(low, facet, lexicon, scopes)
            found += years_old(low, facet, lexicon)
            found += _quantities(low, facet, lexicon, scopes, _YEAR, _year)
        elif facet.role == "audience":
            found += ages(low, facet)
        elif facet.unit and facet.unit.startswith("minute"):
            found += _quantities(low, facet, lexicon, scopes, _TIME, _minutes)
        else:
            found += _quantities(low, facet, lexicon, scopes, _with_unit(facet), plain)
    found.sort(key=lambda x: (x.start, -(x.end - x.start)))
    kept: list[Number] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


# ---------------------------------------------------------------------- quantities

_YEAR: Final = r"(?:the year )?(?P<{n}>(?:1[89]|20)\d\d)(?!\d|s\b|'s\b|-minute)"
_TIME: Final = (
    rf"(?P<{{n}}>(?:{NUM}|an?|half an)(?:\s+and\s+a\s+half|\s+and\s+a\s+quarter)?[\s-]*"
    rf"(?:hours?|hrs?|h)\b(?:\s*(?:and\s+)?(?:a half|{NUM})(?:\s*-?(?:minutes?|mins?|m)\b)?)?"
    rf"|{NUM}[\s-]*(?:minutes?|mins?|min)\b|\d+h\d*)"
)


def _with_unit(facet: "Facet") -> str:
    """A pattern for numbers of a facet without a role of its own: "50 euros", "$50", "price 50"."""
    unit = re.escape((facet.unit or "").lower())
    words = {unit, unit.rstrip("s"), unit + "s"} if unit else set()
    money = (facet.unit or "").lower() in {
        "$",
        "€",
        "£",
        "dollars",
        "euros",
        "pounds",
        "usd",
        "eur",
    }
    if money:
        words |= {
            "dollars",
            "dollar",
            "euros",
            "euro",
            "pounds",
            "bucks",
            "usd",
            "eur",
            r"\$",
            "€",
            "£",
        }
        sign = r"[$€£]\s*"
        after = "|".join(sorted(words - {""}, key=len, reverse=True))
        return rf"(?P<{{n}}>{sign}\d+(?:[.,]\d+)?|{NUM}\s*(?:{after}))"
    after = "|".join(sorted(words - {""}, key=len, reverse=True))
    label = "|".join(re.escape(w) for w in {facet.label.lower(), facet.name.lower()})
    with_unit = rf"{NUM}[\s-]*(?:{after})\b|" if after else ""
    return rf"(?P<{{n}}>{with_unit}(?:{label})(?:\s+(?:of|is))?\s+{NUM}|{NUM}\s+(?:{label})\b)"


def _quantities(
    low: str,
    facet: "Facet",
    lexicon: Lexicon,
    scopes: Scopes,
    shape: str,
    parse: Callable[[str], float | None],
) -> list[Number]:
    one, two = shape.format(n="a"), shape.format(n="b")
    # "between 90 and 120 minutes": the first number of an amount may be bare
    first = one if facet.role == "date" else rf"(?:{one}|(?P<bare>{NUM}))"
    label = "|".join(sorted({re.escape(facet.label.lower()), "it", "that", "made", "released"}))
    lead = rf"(?:(?:{label})\s+(?:is\s+|was\s+)?)?"
    between = (
        rf"(?:between|from|anywhere from)?\s*{first}\s*(?:and|to|-|–|through|until|till)\s*{two}"
    )
    single = (
        rf"(?:(?P<geo>\b{_GE_OPEN})|(?P<leo>\b{_LE_OPEN})|(?P<ge>\b{_GE})|(?P<le>\b{_LE})"
        rf"|(?P<ar>\b{_AROUND})|(?P<ex>\b(?:in|of|exactly|the year)))?[\s-]*(?:the\s+)?{one}"
        rf"(?:(?P<age>{_AFTER_GE})|(?P<ale>{_AFTER_LE}))?"
    )
    out: list[Number] = []
    lowest, _, _, highest = lexicon.ranges[facet.name]
    step = 1.0
    for m in re.finditer(rf"(?<![\w]){between}", low):
        bare = m.groupdict().get("bare")
        a = parse(m.group("a")) if m.group("a") else plain(bare or "")
        b = parse(m.group("b"))
        if a is None or b is None:
            continue
        if bare is not None and facet.unit and facet.unit.startswith("minute") and a < 5 <= b:
            a *= 60
        a, b = min(a, b), max(a, b)
        two_years = facet.role == "date" and " and " in m.group()
        if two_years and not m.group().startswith(("between", "from")):
            continue  # "1999 and 2003" are not a range
        out.append(number(low, m.start(), m.end(), facet, (("ge", (a,)), ("le", (b,)))))
    taken = [(n.start, n.end) for n in out]
    for m in re.finditer(rf"(?<![\w]){lead}{single}", low):
        if any(m.start() < e and m.end() > s for s, e in taken):
            continue
        value = parse(m.group("a"))
        if value is None or (_NEVER_YEARS.match(low[m.end("a") :]) and facet.role == "date"):
            continue
        if facet.role == "date" and not lowest - 30 <= value <= highest + 30:
            continue
        start = next(
            (m.start(g) for g in ("geo", "leo", "ge", "le", "ar", "ex") if m.group(g)), m.start("a")
        )
        negated = scopes.operator(start) in ("not", "dislike")
        bounds = _bounds(m, value, step, facet, negated, low)
        if bounds:
            out.append(number(low, start, m.end(), facet, bounds))
    return out


def _bounds(
    m: re.Match[str], value: float, step: float, facet: "Facet", negated: bool, low: str
) -> Bounds:
    """Inclusive bounds for one comparison; a negated one is its complement."""
    date = facet.role == "date"
    amount = facet.role != "date"
    ge_open, le_open = m.group("geo"), m.group("leo")
    if ge_open == "older than":  # older than 1970 is before it; for other amounts it is more
        ge_open, le_open = ("", "older than") if date else ("older than", "")
    if negated and not (m.group("ge") or "").startswith("no"):
        if ge_open:
            return (("le", (value,)),)
        if le_open:
            return (("ge", (value,)),)
        if m.group("ge"):
            return (("none", (value,)),) if m.group("ge") == "from" else (("le", (value - step,)),)
        if m.group("le"):
            return (("ge", (value,)),)
        if date and not m.group("age") and not m.group("ale"):
            return (("none", (value,)),)
        return ()
    if ge_open:
        return (("ge", (value + step if date else value,)),)
    if le_open:
        return (("le", (value - step if date else value,)),)
    if m.group("le") or m.group("ale"):
        return (("le", (value,)),)
    if m.group("age") or (m.group("ge") and m.group("ge") != "from"):
        return (("ge", (value,)),)
    if m.group("ar"):
        slack = 2.0 if date else max(1.0, round(value * 0.1))
        return (("ge", (value - slack,)), ("le", (value + slack,)))
    if amount and not m.group("ex"):
        unit_only = facet.unit and facet.unit.startswith("minute")
        slack = 10.0 if unit_only else max(0.0, round(value * 0.1))
        return (("ge", (value - slack,)), ("le", (value + slack,)))
    return (("ge", (value,)), ("le", (value,)))


def _year(said: str) -> float | None:
    return float(said)


def _minutes(said: str) -> float | None:
    """ "two and a half hours" -> 150, "1h30" -> 90, "100 minutes" -> 100."""
    m = re.fullmatch(r"(\d+)h(\d*)", said)
    if m:
        return int(m.group(1)) * 60 + int(m.group(2) or 0)
    if not re.search(r"\d\s*h|\bhour|\bhr", said):
        return plain(said)
    head, _, tail = re.sub(
        r"(?<![a-z])(?:hours?|hrs?|(?<=[\d\s])h)\b", "|", said, count=1
    ).partition("|")
    half = 0.5 * ("and a half" in head or "a half" in tail) + 0.25 * ("quarter" in head)
    if head.startswith("half an"):
        return 30.0
    hours = plain(head) if re.search(NUM, head) else 1.0
    extra = plain(tail) if re.search(NUM, tail) and "half" not in tail else 0.0
    return (hours or 0.0) * 60 + half * 60 + (extra or 0.0)
