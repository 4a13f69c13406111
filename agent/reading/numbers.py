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
from agent.reading.figures import NUM, WORDS, Bounds, Number, number, plain
from agent.reading.lexicon import Lexicon
from agent.reading.measures import Measure, unit_pattern

if TYPE_CHECKING:
    from catalog.items import Facet


_GE_OPEN: Final = r"(?:after|newer than|later than|over|more than|longer than|above|beyond|greater than|higher than|bigger than|larger than|heavier than|brighter than|better than|past|post|exceeding|older than|not up to)"  # fmt: skip
_LE_OPEN: Final = r"(?:before|older than|earlier than|under|less than|shorter than|below|prior to|pre|lower than|smaller than|cheaper than|lighter than|fewer than|younger than|not over)"  # fmt: skip
_GE: Final = r"(?:since|from|at least|no (?:older|earlier|less|shorter|lower|cheaper|lighter|smaller) than|minimum(?: of)?|min|starting (?:from|at|in)|>=)"  # fmt: skip
_LE: Final = r"(?:until|till|up to|at most|no (?:newer|later|more|longer|higher|older|heavier|bigger|dearer|pricier) than|maximum(?: of)?|max|within|not exceeding|(?:only )?(?:have|got)(?: only| about| just)?|(?:my )?budget(?: is| of|:)?|<=)"  # fmt: skip
_AROUND: Final = r"(?:around|about|circa|roughly|approximately|close to|near)"
_AFTER_GE: Final = r"(?:\s*(?:or|and)\s+(?:newer|later|above|more|longer|up|over|after|higher|older|better|heavier|bigger)|\s*\+|\s+on(?:wards?)?\b|\s+upwards?|\s+(?:at least|minimum))"  # fmt: skip
_AFTER_LE: Final = r"(?:\s*(?:or|and)\s+(?:older|earlier|less|shorter|under|below|before|fewer|cheaper|lower|lighter|smaller)|\s+(?:max(?:imum)?|at most|tops|or so max))"  # fmt: skip
_COMPARED: Final = re.compile(
    r"(?:between|from|over|more than|above|exceeding|under|less than|below|cheaper than|at least|"
    r"no (?:less|more) than|up to|at most|max(?:imum)?(?: of)?|within|not over|"
    r"(?:my )?budget(?: is| of|:)?|<=|>=)\s*\S*\d"
)
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
            found += ages(low, facet, lexicon.speech)
        elif facet.unit and facet.unit.startswith("minute"):
            found += _quantities(low, facet, lexicon, scopes, _TIME, _minutes)
        else:
            measure = lexicon.measures[facet.name]
            found += _set_phrases(low, facet, measure, scopes)
            found += _quantities(low, facet, lexicon, scopes, _with_unit(measure), _amount(measure))
            found += _labelled(low, facet, lexicon, scopes)
            if measure.kind == "money":
                found += _bare_money(low, facet, lexicon, scopes)
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


_MASSES: Final = ("weight", "volume", "length")  # of these "a kilo" is an amount


def _with_unit(measure: Measure) -> str:
    """A pattern for an amount with its unit or currency sign: "50 euros", "$50", "2-person"."""
    units = unit_pattern(measure)
    sign = r"[$€£¥]\s*\d+(?:[.,]\d+)?|" if measure.kind == "money" else ""
    one = rf"|an?\s+{units}" if measure.kind in _MASSES else ""
    return rf"(?P<{{n}}>{sign}{NUM}[\s-]*{units}|half an?\s+{units}{one})"


def _amount(measure: Measure) -> Callable[[str], float | None]:
    """Reads such an amount in the facet's own unit: "1.5 kg" is 1500 where it counts grams."""
    surfaces = sorted(measure.factors, key=len, reverse=True)

    def parse(said: str) -> float | None:
        value = (
            0.5 if said.startswith("half a") else 1.0 if re.match(r"an?\s", said) else plain(said)
        )
        rest = said.strip(" -")
        unit = next((u for u in surfaces if rest.endswith(u) or rest.startswith(u)), None)
        return None if value is None else value * measure.factors.get(unit or "", 1.0)

    return parse


def _labelled(low: str, facet: "Facet", lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    """Bare numbers after the facet's own name: "price under 50", "a rating above 4.2"."""
    said = {re.escape(w) for w in lexicon.facet_words(facet.name)}
    said |= {"rated", "scored"} if lexicon.measures[facet.name].kind == "stars" else set()
    names = "|".join(sorted(said, key=len, reverse=True))
    lead = rf"\b(?:{names})s?\s+(?:(?:is|of|was|to be|must be|should be|has to be)\s+)?"
    unit = unit_pattern(lexicon.measures[facet.name])
    shape = rf"(?P<{{n}}>{NUM}(?!\w)(?:\s*{unit})?)"
    return _quantities(low, facet, lexicon, scopes, shape, plain, lead=lead)


def _bare_money(low: str, facet: "Facet", lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    """ "under 100", "between 50 and 120": in a shop a compared number without a unit is a price."""
    others = [m for name, m in lexicon.measures.items() if name != facet.name]
    units = "|".join(unit_pattern(m) for m in others if m.factors) or r"(?!)"
    shape = rf"(?P<{{n}}>{NUM})(?![\d.,]*\d)(?!\s*-?(?:{units}|years?|items?|more\b|ones?\b|%))"
    found = _quantities(low, facet, lexicon, scopes, shape, plain)
    dated = bool(lexicon.by_role("date", "number"))
    return [
        n
        for n in found
        if _COMPARED.match(low[n.start : n.end])
        and not (dated and any(1500 <= v[0] <= 2100 for _, v in n.bounds))
    ]


def _set_phrases(low: str, facet: "Facet", measure: Measure, scopes: Scopes) -> list[Number]:
    """Phrases that stand for a bound: "in stock", "for two"; "not in stock" for its opposite."""
    out: list[Number] = []
    tail = rf"(?:[\s-]*{unit_pattern(measure)})?" if measure.kind != "other" else ""
    for surface in sorted(measure.bounds, key=len, reverse=True):
        words = [rf"(?:{w}|{WORDS[w]})" if w in WORDS and w not in ("a", "an") else re.escape(w) for w in surface.lower().split()]  # fmt: skip
        for m in re.finditer(r"(?<![\w-])" + r"[\s-]+".join(words) + tail + r"(?![\w-])", low):
            if any(m.start() < n.end and m.end() > n.start for n in out):
                continue
            sides = measure.bounds[surface]
            if scopes.operator(m.start()) in ("not", "dislike"):
                if len(sides) != 1:
                    continue
                ((op, value),) = sides
                sides = (("le", value - 1),) if op == "ge" else (("ge", value + 1),)
            bounds: Bounds = tuple(("ge" if op == "ge" else "le", (v,)) for op, v in sides)
            out.append(number(low, m.start(), m.end(), facet, bounds))
    return out


def _quantities(
    low: str,
    facet: "Facet",
    lexicon: Lexicon,
    scopes: Scopes,
    shape: str,
    parse: Callable[[str], float | None],
    lead: str | None = None,
) -> list[Number]:
    one, two = shape.replace("{n}", "a"), shape.replace("{n}", "b")
    # "between 90 and 120 minutes": the first number of an amount may be bare
    first = one if facet.role == "date" else rf"(?:{one}|(?P<bare>{NUM}))"
    label = "|".join(sorted({re.escape(facet.label.lower()), "it", "that", "made", "released"}))
    must = lead or ""
    lead = lead or rf"(?:(?:{label})\s+(?:is\s+|was\s+)?)?"
    between = rf"{must}(?:between|from|anywhere from)?\s*{first}\s*(?:and|to|-|–|through|until|till)\s*{two}"
    single = (
        rf"(?:(?P<geo>\b{_GE_OPEN})|(?P<leo>\b{_LE_OPEN})|(?P<ge>\b{_GE})|(?P<le>\b{_LE})"
        rf"|(?P<ar>\b{_AROUND})|(?P<ex>\b(?:in|of|exactly|the year)))?[\s-]*(?:the\s+)?{one}"
        rf"(?:(?P<age>{_AFTER_GE})|(?P<ale>{_AFTER_LE}))?"
    )
    out: list[Number] = []
    lowest, _, _, highest = lexicon.ranges[facet.name]
    measure = lexicon.measures[facet.name]
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
        start = m.start() if must else start
        bounds = _bounds(m, value, step, facet, measure, negated)
        if bounds:
            out.append(number(low, start, m.end(), facet, bounds))
    return out


def _bounds(
    m: re.Match[str], value: float, step: float, facet: "Facet", measure: Measure, negated: bool
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
        slack = 2.0 if date else max(0.5 if measure.kind == "stars" else 1.0, round(value * 0.1))
        return (("ge", (value - slack,)), ("le", (value + slack,)))
    if measure.kind == "stars":  # "four stars" are at least four
        return (("ge", (value,)),)
    if amount and not measure.exact and not m.group("ex"):
        slack = 10.0 if measure.kind == "time" else max(0.0, round(value * 0.1))
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
