# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Decades, stretches of years and ages: "the late 90s", "the last ten years", "for my son, 8"."""

import re
from typing import TYPE_CHECKING, Final

from agent.reading.cues import Scopes
from agent.reading.figures import NUM, WORDS, Bounds, Number, NumberOp, number, plain
from agent.reading.lexicon import Lexicon
from agent.reading.speech import Speech

if TYPE_CHECKING:
    from catalog.items import Facet

_DECADES: Final = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70,
    "eighties": 80, "nineties": 90, "noughties": 2000, "aughts": 2000, "tens": 2010,
}  # fmt: skip

_DECADE: Final = re.compile(
    r"(?P<cmp>\b(?:after|before|since|until|till|from|newer than|older than|later than|up to|not before|prior to|pre|post)[\s-]+)?"
    r"(?:the\s+)?(?:(?P<part>early|mid|middle|late)[\s-]*(?:to[\s-]late[\s-])?(?:of\s+the\s+)?)?"
    r"(?:(?P<long>(?:1[89]|20)\d0)'?s\b|(?<!\d)'?(?P<short>\d0)'?s\b|(?P<word>" + "|".join(_DECADES) + r")\b)"
    r"(?P<on>\s+(?:or|and)\s+(?:later|newer|after|on(?:wards)?|older|earlier|before)|\s+onwards?)?"
    r"(?:\s*(?:and|or|to|through|-|–)\s*(?:the\s+)?(?:(?P<long2>(?:1[89]|20)\d0)'?s|'?(?P<short2>\d0)'?s|(?P<word2>"
    + "|".join(_DECADES)
    + r"))\b)?"
)  # fmt: skip


def decades(low: str, facet: "Facet", lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    lowest, _, _, highest = lexicon.ranges[facet.name]
    out = []
    for m in _DECADE.finditer(low):
        start = _decade(m, "")
        if start is None or start > highest + 10 or start < lowest - 40:
            continue
        first, last = start, start + 9.0
        until = (
            _decade(m, "2") if m.group("long2") or m.group("short2") or m.group("word2") else None
        )
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
        out.append(number(low, place, m.end(), facet, bounds))
    return out


def _decade_bounds(compare: str, on: str, first: float, last: float, negated: bool) -> Bounds:
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
    rf"\b(?:(?:in |from |within |over )?(?:the )?(?:last|past|previous) (?P<n>{NUM}|couple of|few) (?P<u>years?|decades?)"
    r"|(?P<this>this (?:year|decade|century)|last (?:year|decade)|the (?:new millennium|21st century|2000s onwards?)))\b"
)


_YEARS_OLD: Final = re.compile(
    rf"\b(?P<neg>(?:not|no|nothing)(?: be)? |n't be )?(?P<cmp>older than|more than|over|at least|less than|under|newer than|younger than) (?:the last )?(?P<n>{NUM}) years?(?: old| ago)?(?![\s-]*olds?\b)"
)


def years_old(low: str, facet: "Facet", lexicon: Lexicon) -> list[Number]:
    """ "not older than ten years": an age of the item, counted from the newest ones."""
    newest = round(lexicon.ranges[facet.name][3])
    out = []
    for m in _YEARS_OLD.finditer(low):
        value = newest - (plain(m.group("n")) or 10.0)
        old = m.group("cmp") in ("older than", "more than", "over", "at least")
        recent = old == bool(m.group("neg"))
        bounds: Bounds = (("ge", (value,)),) if recent else (("le", (value,)),)
        out.append(number(low, m.start(), m.end(), facet, bounds))
    return out


def last_years(low: str, facet: "Facet", lexicon: Lexicon, scopes: Scopes) -> list[Number]:
    """ "the last twenty years", "this century", counted from the catalogue's newest items."""
    newest = round(lexicon.ranges[facet.name][3])
    out = []
    for m in _LAST_YEARS.finditer(low):
        this = m.group("this") or ""
        if "century" in this or "millennium" in this or "2000s" in this:
            value = 2000.0
        elif this:
            value = {
                "this year": newest,
                "last year": newest - 1,
                "this decade": newest // 10 * 10,
            }.get(this, newest // 10 * 10 - 10)
        else:
            said = m.group("n")
            count = {"couple of": 2.0, "few": 4.0}.get(said) or plain(said) or 5.0
            value = newest - count * (10 if m.group("u").startswith("decade") else 1)
        negated = scopes.operator(m.start()) in ("not", "dislike")
        bounds: Bounds = (("le", (value - 1,)),) if negated else (("ge", (float(value),)),)
        out.append(number(low, m.start(), m.end(), facet, bounds))
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


_SMALL: Final = "|".join(w for w, n in WORDS.items() if 2 < n < 18)
_AGE: Final = (
    r"(?:(?:for|with|suitable for|ok for|okay for|appropriate for|and)\s+)?(?:my|our|an?|the|his|her)?\s*"
    r"(?P<n>\d{1,2}|" + "|".join(w for w in WORDS if w not in ("a", "an", "half", "hundred")) + r")"
    r"[\s-]*(?:years?|yrs?|yr)?[\s-]*olds?\b"
    r"|\b(?:daughter|son|kids?|child|children|boy|girl|nephew|niece|grand\w+|he|she|they|oldest|youngest)(?:'s|'re| is| are|,| who is)?\s(?:only |just |about |now |aged? )?(?P<k>\d{1,2}|(?:"
    + _SMALL
    + r")(?=\s*(?:$|[.,;!?)]|and\b|years)))(?![\w])(?!\s*(?:min|hour|@NOUN))"
    r"|\bpg[\s-]?(?P<pg>\d\d)\b|(?:\bfsk|\brated|\bage|\bages|\baged|\bunder)\s+(?P<m>\d{1,2})\b(?!\s*(?:min|hour|dollar|euro))"
)
_GROUPS: Final = (
    (r"\b(?:for|with|suitable for|ok for|okay for|appropriate for)\s+(?:\w+\s+){0,2}?toddlers?\b|\bfor (?:the |my )?little ones\b|\bpreschool\w*", 0, "le"),
    (r"\b(?:for|with|suitable for|ok for|okay for|appropriate for|@VERB with)\s+(?:\w+\s+){0,2}?(?:kids?|child(?:ren)?|sons?|daughters?|family|families|grandkids|grandchildren|nephews?|nieces?)\b(?! in\b)|\b(?:kid|child|family)[- ]friendly\b|\bkids?'?s?'? (?:@NOUN|stuff)\b|\bthe whole family\b", 9, "le"),
    (r"\b(?:for|with|suitable for|ok for|okay for)\s+(?:\w+\s+){0,2}?(?:teens?|teenagers?)\b(?! in\b)", 12, "le"),
    (r"\bnot? (?:too )?(?:r[- ]rated|18\+?|adult (?:content|stuff|themes))\b|\bno adult (?:content|stuff|themes)\b", 15, "le"),
    (r"\bfor (?:adults|grown[- ]?ups)(?: only)?\b|\badults only\b|\bnot for (?:kids|children)\b", 15, "ge"),
)  # fmt: skip


def ages(low: str, facet: "Facet", speech: Speech) -> list[Number]:
    """Who it is for: an age or a group becomes an upper bound on the advised minimum age."""
    out = []
    for m in speech.pattern(_AGE).finditer(low):
        said = m.group("n") or m.group("k") or m.group("pg") or m.group("m")
        value = plain(said)
        if value is None or value > 21:
            continue
        out.append(number(low, m.start(), m.end(), facet, (("le", (value,)),)))
    for pattern, age, op in _GROUPS:
        for m in speech.pattern(pattern).finditer(low):
            side: NumberOp = "le" if op == "le" else "ge"
            if not any(m.start() < n.end and m.end() > n.start for n in out):
                out.append(number(low, m.start(), m.end(), facet, ((side, (float(age),)),)))
    return out
