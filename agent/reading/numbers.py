"""Numbers with their comparisons: "nothing before 2000", "under two hours", "the 90s".

Every numeric facet is read by its role and unit: dates as years and decades, amounts in
minutes as hours and minutes, ages, and anything else (a price, a wattage) by its unit
word, its currency sign or its name. Result: clauses ``ge``/``le`` with inclusive bounds.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from agent.reading.cues import Scopes
from agent.reading.lexicon import Lexicon

if TYPE_CHECKING:
    from catalog.items import Facet

NumberOp = Literal["ge", "le", "none"]

_WORDS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90, "hundred": 100, "half": 0.5,
}  # fmt: skip
_DECADES: Final = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70,
    "eighties": 80, "nineties": 90, "noughties": 2000, "aughts": 2000, "tens": 2010,
}  # fmt: skip
_NUM: Final = r"(?:\d+(?:[.,]\d+)?|" + "|".join(w for w in _WORDS if w not in ("a", "an", "half")) + ")"
_GE_OPEN: Final = r"(?:after|newer than|later than|over|more than|longer than|above|beyond|greater than|higher than|bigger than|past|post|exceeding|older than|not up to)"  # fmt: skip
_LE_OPEN: Final = r"(?:before|older than|earlier than|under|less than|shorter than|below|prior to|pre|lower than|smaller than|cheaper than|fewer than|younger than)"  # fmt: skip
_GE: Final = r"(?:since|from|at least|no (?:older|earlier|less|shorter|lower|cheaper) than|minimum(?: of)?|min|starting (?:from|at|in)|>=)"  # fmt: skip
_LE: Final = r"(?:until|till|up to|at most|no (?:newer|later|more|longer|higher|older) than|maximum(?: of)?|max|within|not exceeding|<=)"  # fmt: skip
_AROUND: Final = r"(?:around|about|circa|roughly|approximately|close to|near)"
_AFTER_GE: Final = r"(?:\s*(?:or|and)\s+(?:newer|later|above|more|longer|up|over|after|higher|older)|\s*\+|\s+on(?:wards?)?\b|\s+upwards?|\s+(?:at least|minimum))"  # fmt: skip
_AFTER_LE: Final = r"(?:\s*(?:or|and)\s+(?:older|earlier|less|shorter|under|below|before|fewer|cheaper|lower)|\s+(?:max(?:imum)?|at most|tops|or so max))"  # fmt: skip
_NEVER_YEARS: Final = re.compile(r"^(?:\s*(?:minutes?|mins?|hours?|dollars?|euros?|pounds?|watts?)\b)")


class Number(NamedTuple):
    """A numeric constraint read from ``[start, end)``."""

    start: int
    end: int
    field: str
    bounds: tuple[tuple[NumberOp, tuple[float, ...]], ...]
    said: str


def read_numbers(low: str, lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    """All numeric constraints of a lower-case text, in order, not overlapping."""
    found: list[Number] = []
    for facet in lexicon.facets.values():
        if facet.kind != "number" or not facet.filterable or facet.name not in lexicon.ranges:
            continue
        if facet.role == "date":
            found += _decades(low, facet, lexicon, scopes)
            found += _last_years(low, facet, lexicon, scopes)
            found += _quantities(low, facet, lexicon, scopes, _YEAR, _year)
        elif facet.role == "audience":
            found += _ages(low, facet)
        elif facet.unit and facet.unit.startswith("minute"):
            found += _quantities(low, facet, lexicon, scopes, _TIME, _minutes)
        else:
            found += _quantities(low, facet, lexicon, scopes, _with_unit(facet), _plain)
    found.sort(key=lambda x: (x.start, -(x.end - x.start)))
    kept: list[Number] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


# ---------------------------------------------------------------------- quantities

_YEAR: Final = r"(?:the year )?(?P<{n}>(?:1[89]|20)\d\d)(?!\d|s\b|'s\b|-minute)"
_TIME: Final = (
    rf"(?P<{{n}}>(?:{_NUM}|an?|half an)(?:\s+and\s+a\s+half|\s+and\s+a\s+quarter)?[\s-]*"
    rf"(?:hours?|hrs?|h)\b(?:\s*(?:and\s+)?(?:a half|{_NUM})(?:\s*-?(?:minutes?|mins?|m)\b)?)?"
    rf"|{_NUM}[\s-]*(?:minutes?|mins?|min)\b|\d+h\d*)"
)


def _with_unit(facet: "Facet") -> str:
    """A pattern for numbers of a facet without a role of its own: "50 euros", "$50", "price 50"."""
    unit = re.escape((facet.unit or "").lower())
    words = {unit, unit.rstrip("s"), unit + "s"} if unit else set()
    money = (facet.unit or "").lower() in {"$", "€", "£", "dollars", "euros", "pounds", "usd", "eur"}
    if money:
        words |= {"dollars", "dollar", "euros", "euro", "pounds", "bucks", "usd", "eur", r"\$", "€", "£"}
        sign = r"[$€£]\s*"
        after = "|".join(sorted(words - {""}, key=len, reverse=True))
        return rf"(?P<{{n}}>{sign}\d+(?:[.,]\d+)?|{_NUM}\s*(?:{after}))"
    after = "|".join(sorted(words - {""}, key=len, reverse=True))
    label = "|".join(re.escape(w) for w in {facet.label.lower(), facet.name.lower()})
    with_unit = rf"{_NUM}[\s-]*(?:{after})\b|" if after else ""
    return rf"(?P<{{n}}>{with_unit}(?:{label})(?:\s+(?:of|is))?\s+{_NUM}|{_NUM}\s+(?:{label})\b)"


def _quantities(
    low: str,
    facet: "Facet",
    lexicon: Lexicon,
    scopes: Scopes,
    shape: str,
    parse: Callable[[str], float | None],
) -> list[Number]:
    one, two = shape.format(n="a"), shape.format(n="b")
    if facet.role == "date":
        first = one
    else:  # "between 90 and 120 minutes": the first number may be bare
        first = rf"(?:{one}|(?P<bare>{_NUM}))"
    label = "|".join(sorted({re.escape(facet.label.lower()), "it", "that", "made", "released"}))
    lead = rf"(?:(?:{label})\s+(?:is\s+|was\s+)?)?"
    between = rf"(?:between|from|anywhere from)?\s*{first}\s*(?:and|to|-|–|through|until|till)\s*{two}"
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
        a = parse(m.group("a")) if m.group("a") else _plain(bare or "")
        b = parse(m.group("b"))
        if a is None or b is None:
            continue
        if bare is not None and facet.unit and facet.unit.startswith("minute") and a < 5 <= b:
            a *= 60
        a, b = min(a, b), max(a, b)
        if facet.role == "date" and re.match(r"\s*to\b", low[m.end("a") :]) is None and "and" in m.group():
            if not m.group().startswith(("between", "from")):
                continue  # "1999 and 2003" are two years
        out.append(_number(low, m.start(), m.end(), facet, (("ge", (a,)), ("le", (b,)))))
    taken = [(n.start, n.end) for n in out]
    for m in re.finditer(rf"(?<![\w]){lead}{single}", low):
        if any(m.start() < e and m.end() > s for s, e in taken):
            continue
        value = parse(m.group("a"))
        if value is None or _NEVER_YEARS.match(low[m.end("a") :]) and facet.role == "date":
            continue
        if facet.role == "date" and not lowest - 30 <= value <= highest + 30:
            continue
        start = next((m.start(g) for g in ("geo", "leo", "ge", "le", "ar", "ex") if m.group(g)), m.start("a"))
        negated = scopes.operator(start) in ("not", "dislike")
        bounds = _bounds(m, value, step, facet, negated, low)
        if bounds:
            out.append(_number(low, start, m.end(), facet, bounds))
    return out


def _bounds(
    m: re.Match[str], value: float, step: float, facet: "Facet", negated: bool, low: str
) -> tuple[tuple[NumberOp, tuple[float, ...]], ...]:
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


def _number(
    low: str, start: int, end: int, facet: "Facet", bounds: tuple[tuple[NumberOp, tuple[float, ...]], ...]
) -> Number:
    return Number(start, end, facet.name, bounds, low[start:end].strip())


def _year(said: str) -> float | None:
    return float(said)


def _plain(said: str) -> float | None:
    m = re.search(_NUM, said)
    if not m:
        return None
    word = m.group()
    return float(_WORDS[word]) if word in _WORDS else float(word.replace(",", "."))


def _minutes(said: str) -> float | None:
    """ "two and a half hours" -> 150, "1h30" -> 90, "100 minutes" -> 100."""
    m = re.fullmatch(r"(\d+)h(\d*)", said)
    if m:
        return int(m.group(1)) * 60 + int(m.group(2) or 0)
    if not re.search(r"\d\s*h|hour|hr", said):
        return _plain(said)
    head, _, tail = re.sub(r"hours?|hrs?|(?<=[\d\s])h\b", "|", said, count=1).partition("|")
    half = 0.5 * ("and a half" in head or "a half" in tail) + 0.25 * ("quarter" in head)
    if head.startswith("half an"):
        return 30.0
    hours = _plain(head) if re.search(_NUM, head) else 1.0
    extra = _plain(tail) if re.search(_NUM, tail) and "half" not in tail else 0.0
    return (hours or 0.0) * 60 + half * 60 + (extra or 0.0)


# ------------------------------------------------------------------ decades and ages

_DECADE: Final = re.compile(
    r"(?P<cmp>\b(?:after|before|since|until|till|from|newer than|older than|later than|up to|not before|prior to|pre|post)[\s-]+)?"
    r"(?:the\s+)?(?:(?P<part>early|mid|middle|late)[\s-]*(?:to[\s-]late[\s-])?(?:of\s+the\s+)?)?"
    r"(?:(?P<long>(?:1[89]|20)\d0)'?s\b|(?<!\d)'?(?P<short>\d0)'?s\b|(?P<word>" + "|".join(_DECADES) + r")\b)"
    r"(?P<on>\s+(?:or|and)\s+(?:later|newer|after|on(?:wards)?|older|earlier|before)|\s+onwards?)?"
    r"(?:\s*(?:and|or|to|through|-|–)\s*(?:the\s+)?(?:(?P<long2>(?:1[89]|20)\d0)'?s|'?(?P<short2>\d0)'?s|(?P<word2>"
    + "|".join(_DECADES)
    + r"))\b)?"
)  # fmt: skip


def _decades(low: str, facet: "Facet", lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    lowest, _, _, highest = lexicon.ranges[facet.name]
    out = []
    for m in _DECADE.finditer(low):
        start = _decade(m, "")
        if start is None or start > highest + 10 or start < lowest - 40:
            continue
        first, last = start, start + 9.0
        until = _decade(m, "2") if m.group("long2") or m.group("short2") or m.group("word2") else None
        part = m.group("part")
        if part == "early":
            last = start + 3
        elif part in ("mid", "middle"):
            first, last = start + 3, start + 7
        elif part == "late":
            first = start + 6
        if until is not None:
            first, last = min(first, until), max(last, until + 9)
        place = m.start() + len(m.group()) - len(m.group().lstrip())
        negated = scopes.operator(place) in ("not", "dislike")
        compare = (m.group("cmp") or "").strip(" -")
        on = m.group("on") or ""
        bounds = _decade_bounds(compare, on, first, last, negated)
        out.append(_number(low, place, m.end(), facet, bounds))
    return out


def _decade_bounds(
    compare: str, on: str, first: float, last: float, negated: bool
) -> tuple[tuple[NumberOp, tuple[float, ...]], ...]:
    after = compare in ("after", "newer than", "later than", "post")
    before = compare in ("before", "older than", "prior to", "pre", "not before")
    if negated:
        if after:
            return (("le", (last,)),)
        if before:
            return (("ge", (first,)),)
        return (("none", tuple(first + k for k in range(int(last - first) + 1))),)
    if after:
        return (("ge", (last + 1,)),)
    if compare == "not before":
        return (("ge", (first,)),)
    if before:
        return (("le", (first - 1,)),)
    if compare == "since" or re.search(r"later|newer|after|on", on):
        return (("ge", (first,)),)
    if compare in ("until", "till", "up to") or re.search(r"older|earlier|before", on):
        return (("le", (last,)),)
    return (("ge", (first,)), ("le", (last,)))


_LAST_YEARS: Final = re.compile(
    rf"\b(?:(?:in |from |within |over )?(?:the )?(?:last|past|previous) (?P<n>{_NUM}|couple of|few) (?P<u>years?|decades?)"
    r"|(?P<this>this (?:year|decade|century)|last (?:year|decade)|the (?:new millennium|21st century|2000s onwards?)))\b"
)


def _last_years(low: str, facet: "Facet", lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    """ "the last twenty years", "this century", counted from the catalogue's newest items."""
    newest = round(lexicon.ranges[facet.name][3])
    out = []
    for m in _LAST_YEARS.finditer(low):
        this = m.group("this") or ""
        if "century" in this or "millennium" in this or "2000s" in this:
            value = 2000.0
        elif this:
            value = {"this year": newest, "last year": newest - 1, "this decade": newest // 10 * 10}.get(
                this, newest // 10 * 10 - 10
            )
        else:
            said = m.group("n")
            number = {"couple of": 2.0, "few": 4.0}.get(said) or _plain(said) or 5.0
            value = newest - number * (10 if m.group("u").startswith("decade") else 1)
        negated = scopes.operator(m.start()) in ("not", "dislike")
        bounds: tuple[tuple[NumberOp, tuple[float, ...]], ...] = (
            (("le", (value - 1,)),) if negated else (("ge", (float(value),)),)
        )
        out.append(_number(low, m.start(), m.end(), facet, bounds))
    return out


def _decade(m: re.Match[str], suffix: str) -> float | None:
    if m.group("long" + suffix):
        return float(m.group("long" + suffix))
    if m.group("short" + suffix):
        year = int(m.group("short" + suffix))
        return float(1900 + year if year >= 30 else 2000 + year)
    word = _DECADES.get(m.group("word" + suffix) or "")
    if word is None:
        return None
    return float(word if word > 1000 else 1900 + word)


_AGE: Final = re.compile(
    r"(?:(?:for|with|suitable for|ok for|okay for|appropriate for|and)\s+)?(?:my|our|an?|the|his|her)?\s*"
    r"(?P<n>\d{1,2}|" + "|".join(w for w in _WORDS if w not in ("a", "an", "half", "hundred")) + r")"
    r"[\s-]*(?:years?|yrs?|yr)?[\s-]*olds?\b"
    r"|\bpg[\s-]?(?P<pg>\d\d)\b|(?:\bfsk|\brated|\bage|\bages|\baged|\bunder)\s+(?P<m>\d{1,2})\b(?!\s*(?:min|hour|dollar|euro))"
)
_GROUPS: Final = (
    (r"\b(?:for|with|suitable for|ok for|okay for|appropriate for)\s+(?:\w+\s+){0,2}?toddlers?\b|\bfor (?:the |my )?little ones\b|\bpreschool\w*", 0, "le"),
    (r"\b(?:for|with|suitable for|ok for|okay for|appropriate for|watch with)\s+(?:\w+\s+){0,2}?(?:kids?|child(?:ren)?|sons?|daughters?|family|families|grandkids|grandchildren|nephews?|nieces?)\b|\b(?:kid|child|family)[- ]friendly\b|\bkids?'?s?'? (?:movie|film|stuff)s?\b|\bthe whole family\b", 9, "le"),
    (r"\b(?:for|with|suitable for|ok for|okay for)\s+(?:\w+\s+){0,2}?(?:teens?|teenagers?)\b", 12, "le"),
    (r"\bnot? (?:too )?(?:r[- ]rated|18\+?|adult (?:content|stuff|themes))\b|\bno adult (?:content|stuff|themes)\b", 15, "le"),
    (r"\bfor (?:adults|grown[- ]?ups)(?: only)?\b|\badults only\b|\bnot for (?:kids|children)\b", 15, "ge"),
)  # fmt: skip


def _ages(low: str, facet: "Facet") -> list[Number]:
    """Who it is for: an age or a group becomes an upper bound on the advised minimum age."""
    out = []
    for m in _AGE.finditer(low):
        said = m.group("n") or m.group("pg") or m.group("m")
        value = _plain(said)
        if value is None or value > 21:
            continue
        out.append(_number(low, m.start(), m.end(), facet, (("le", (value,)),)))
    for pattern, age, op in _GROUPS:
        for m in re.finditer(pattern, low):
            side: NumberOp = "le" if op == "le" else "ge"
            if not any(m.start() < n.end and m.end() > n.start for n in out):
                out.append(_number(low, m.start(), m.end(), facet, ((side, (float(age),)),)))
    return out
