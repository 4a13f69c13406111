# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Relative critique: "newer than that", "shorter than the second", "something older".

A comparison with an item becomes a clause with that item's own number; a bare "newer"
is measured against the slate on screen, or against the catalogue when there is none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from agent.reading.cues import Scopes
from agent.reading.lexicon import Found
from agent.reading.measures import Measure
from agent.reading.refs import Ref, focus_item
from catalog.filters import Clause, compile
from tools.find_title import Link

if TYPE_CHECKING:
    from agent.reading.pieces import Reading
    from catalog.items import Facet

from agent.reading.same_as import same_as
from agent.reading.yardsticks import (
    among_of,
    beyond,
    clause_of,
    number_of,
    quartiles,
    recent_or_old,
)

_PERMITTED: Final = re.compile(
    r"\s+(?:ones? )?(?:is|are|would be|'s) (?:also |perfectly )?(?:fine|ok|okay|all ?right)\b"
)
_THAN_BEFORE: Final = re.compile(r"\b(?:than|as)\s+(?:any of\s+|the\s+)?$")
_NOT_MORE: Final = re.compile(
    r"\b(?:nothing|no|not|none|never|isn't|aren't)\s+(?:that(?:'s| is| are)\s+)?(?:any\s+|much\s+|be\s+)?$"
)
_THAN: Final = r"^\s+(?:@NOUN |one |ones |stuff |something )?than\s+"


@dataclass
class Relative:
    clauses: list[tuple[Clause, int]] = field(default_factory=list)  # and where each stands
    spans: list[tuple[int, int]] = field(default_factory=list)
    anchor: str | None = None  # the item that "funnier than that" is measured by
    retract: list[str] = field(default_factory=list)  # facets of which the size is free now
    compared: set[int] = field(default_factory=set)  # where items stand that are only measured by


def read_relative(
    r: "Reading",
    low: str,
    scopes: Scopes,
    links: list[Link],
    refs: list[Ref],
    it: Ref | None,
    numbers: list[tuple[int, int]],
    found: list[Found],
) -> Relative:
    """Comparisons of a turn that no number states.

    ``numbers``: spans read as numbers. ``found``: catalogue words, so that "a light tent" is
    light for a tent.
    """
    out = Relative()
    among = among_of(r, found)
    dull = list(low)
    for s, e in numbers:
        dull[s:e] = "#" * (e - s)
    low = "".join(dull)
    places: list[tuple[int, int, tuple[str, ...]]] = [
        (x.start, x.end, (x.value,)) for x in links if x.kind == "item"
    ]
    places += [(x.start, x.end, x.item_ids) for x in refs]
    out.anchor = _compared_with(low, places, it)
    out.compared = {s for s, _, _ in places if _THAN_BEFORE.search(low[:s])}
    same_as(r, low, places, out)
    for facet, measure in _measured(r, places, among):
        kind = measure.kind
        for words, side in _sides(measure.more, measure.less):
            if words.replace("\\", "") in r.lexicon.scale_words:
                continue  # "lighter" is a mood where a scale says so
            for m in re.finditer(
                rf"\b(?:(?:much|a bit|a little|slightly|way|somewhat) )?{words}\b", low
            ):
                if _PERMITTED.match(low[m.end() :]):
                    continue  # "pricier is fine" allows, and asks for nothing
                if words in ("later", "earlier") and not re.match(r"\s+than\b", low[m.end() :]):
                    continue  # "see you later"
                if re.match(
                    r"\s+than\s+(?:the\s+year\s+)?(?:\d|[$€£]|#|an? hour|one hour|two|three|the\s+(?:19|20)?\d0)",
                    low[m.end() :],
                ):
                    continue  # a number follows: numbers.py reads it
                clause = _versus(
                    r,
                    among,
                    facet,
                    side,
                    m.end(),
                    low,
                    places,
                    it,
                    low[m.start() : m.end()],
                    scopes,
                )
                if clause is not None and not _taken(out, m.start(), m.end()):
                    out.clauses.append((clause, m.start()))
                    out.spans.append((m.start(), m.end()))
        for words, side in _sides(measure.much, measure.little):
            if words in r.lexicon.scale_words or words in r.lexicon.values:
                continue
            for m in re.finditer(
                rf"(?<![\w-])(?:{words})\b(?!\s+(?:york|zealand|orleans|testament|man\b|lady|age\b|to me|ones? i|here|enough|time|run|way|list))",
                low,
            ):
                if _taken(out, m.start(), m.end()) or _not_a_size(low, m):
                    continue
                if any(f.start <= m.start() < f.end for f in found):
                    continue  # "the classics" may be a category of its own
                if any(s < m.end() and e > m.start() for s, e, _ in places):
                    continue
                if scopes.operator(m.start()) == "retract":
                    out.retract.append(facet.name)  # "no need for it to be recent"
                    out.spans.append((m.start(), m.end()))
                    break
                clause = _too(r, facet, side, low, places, m) or _plain(
                    r, among, facet, kind, side, low, scopes, m
                )
                if clause is not None:
                    out.clauses.append((clause, m.start()))
                    out.spans.append((m.start(), m.end()))
    return out


def _sides(more: tuple[str, ...], less: tuple[str, ...]) -> Iterator[tuple[str, Literal[-1, 1]]]:
    """Patterns with the side they push to."""
    for words in more:
        yield words, 1
    for words in less:
        yield words, -1


def _measured(
    r: "Reading", places: list[tuple[int, int, tuple[str, ...]]], among: list[Clause]
) -> list[tuple["Facet", Measure]]:
    """Number facets that can be compared; those that the items meant have a value of go first.

    A shop has two facets that "bigger" may be about: of packs it is the volume, of tents the
    number of people.
    """
    ids = {i for _, _, several in places for i in several} | set(r.state.slate.item_ids)
    found = []
    for name, measure in r.lexicon.measures.items():
        facet = r.lexicon.facets[name]
        if (
            not facet.filterable
            or name not in r.lexicon.ranges
            or not (measure.more + measure.much)
        ):
            continue
        known = sum(number_of(r, i, name) is not None for i in ids)
        if not ids and among:
            rows = pl.Series(compile(r.catalog, among))
            known = int(r.catalog.df[name].filter(rows).is_not_null().sum())
        found.append((-known, facet, measure))
    found.sort(key=lambda x: x[0])
    return [(facet, measure) for _, facet, measure in found]


def _taken(out: Relative, start: int, end: int) -> bool:
    return any(start < e and end > s for s, e in out.spans)


def _not_a_size(low: str, m: re.Match[str]) -> bool:
    """ "how long", "as long as", "a long time", "what's new", "10 years old" are not wishes."""
    before, after = low[: m.start()].rstrip(), low[m.end() :]
    if before.endswith("#"):
        return True
    if re.search(
        r"\b(?:how|as|so|years?|yrs?|year-|what's|anything|something's|all)$|\d$|-$", before
    ):
        return m.group() in ("new", "old", "long", "short") and not re.search(
            r"\b(?:anything|all)$", before
        )
    return bool(
        re.match(
            r"[- ](?:as|ago|story short|day|week|shift|flight|time|fashioned|term|lived|enough|friend|\w+ ago|kid|boy|girl|son|daughter)\b",
            after,
        )
    )


def _compared_with(
    low: str, places: list[tuple[int, int, tuple[str, ...]]], it: Ref | None
) -> str | None:
    m = re.search(r"\b(?:than|as)\s+(?:in\s+)?(?:the\s+)?", low)
    if m is None:
        return None
    for start, _, ids in places:
        if m.start() < start <= m.end() + 2:
            return ids[0]
    return it.item_ids[0] if it and it.start >= m.end() - 5 else None


def _versus(
    r: "Reading",
    among: list[Clause],
    facet: "Facet",
    side: Literal[-1, 1],
    end: int,
    low: str,
    places: list[tuple[int, int, tuple[str, ...]]],
    it: Ref | None,
    said: str,
    scopes: Scopes,
) -> Clause | None:
    """ "newer than the second": strictly beyond that item's value; bare "newer": beyond the slate's median."""
    than = r.lexicon.speech.pattern(_THAN).match(low[end:])
    inclusive = bool(than) and bool(_NOT_MORE.search(low[: end - len(said)]))
    if inclusive:  # "nothing longer than the first": as long at most
        side = -1 if side > 0 else 1
    ids: tuple[str, ...] = ()
    if than:
        stop = end + than.end()
        ids = next((i for s, _e, i in places if stop - 4 <= s <= stop + 4), ())
        if not ids and it and stop - 1 <= it.start <= stop + 1:
            ids = it.item_ids
        if not ids and re.match(r"(?:these|those|them|any of)", low[stop:]):
            ids = r.state.slate.item_ids
        if not ids and not re.match(r"(?:it|that|this|usual|average|normal)", low[stop:]):
            return None
    if not ids:
        similar = [m for m in r.state.beliefs.mentions if m.relative]
        shown = bool(r.state.slate.item_ids)
        alike = ("similar",) if len(places) > 1 else ("similar", "like")
        named = [i for s, _, i in places if shown or scopes.operator(s) in alike]
        focus = focus_item(r.state) if than else None
        ids = named[0] if named else ((focus,) if focus else r.state.slate.item_ids)
        if not ids and similar:
            ids = (similar[-1].item_id,)
    known = [v for v in (number_of(r, i, facet.name) for i in ids) if v is not None]
    if not known:
        low_q, high_q = quartiles(r, facet, among)
        if facet.role == "date":
            return recent_or_old(r, facet, side, said)
        value = high_q if side > 0 else low_q
        return clause_of(r, facet, side, value, said)
    known.sort()
    if than and len(ids) > 1 and not inclusive:
        value = known[-1] if side > 0 else known[0]
    else:
        value = known[len(known) // 2] if side > 0 else known[(len(known) - 1) // 2]
    return clause_of(r, facet, side, value if inclusive else beyond(r, facet, value, side), said)


_TOO: Final = re.compile(
    r"\b(?:is|are|was|were|look|looks|seem|seems|but|both|all|'s|'re)\s+(?:a bit |a little |far |way |much |just )?too\s+$"
)


def _too(
    r: "Reading",
    facet: "Facet",
    side: Literal[-1, 1],
    low: str,
    places: list[tuple[int, int, tuple[str, ...]]],
    m: re.Match[str],
) -> Clause | None:
    """ "the last two are too dear": less than these."""
    start = max((low.rfind(c, 0, m.start()) for c in ".!?;"), default=-1)
    ids = [i for s, e, several in places if start < s and e <= m.start() for i in several]
    known = [v for i in ids if (v := number_of(r, i, facet.name)) is not None]
    if not known or not _TOO.search(low[: m.start()]):
        return None
    value = min(known) if side > 0 else max(known)
    return clause_of(r, facet, -side, beyond(r, facet, value, -side), m.group())


def _plain(
    r: "Reading",
    among: list[Clause],
    facet: "Facet",
    kind: str,
    side: Literal[-1, 1],
    low: str,
    scopes: Scopes,
    m: re.Match[str],
) -> Clause | None:
    operator = scopes.operator(m.start())
    too = bool(
        re.search(
            r"\b(?:too|not|so|no|nothing|overly)\s+(?:too |so |that |overly )?$", low[: m.start()]
        )
    )
    nouns = "|".join(["ones?", *map(re.escape, r.lexicon.nouns)])
    of_items = bool(re.match(rf"\s+(?:{nouns})\b", low[m.end() :])) or m.group().endswith("s")
    told = operator in ("like", "dislike") or (operator == "none" and len(r.toks) > 8)
    if told and not of_items and not too:
        return None  # "I loved the old Batman", "the new one was fine" ask for nothing
    if operator in ("retract", "indifferent", "seen", "unseen") and not too:
        return None
    if too or operator in ("not", "dislike"):
        side = -1 if side > 0 else 1
        if kind == "date":
            return recent_or_old(r, facet, side, m.group(), half=True)
    if kind == "date":
        return recent_or_old(r, facet, side, m.group())
    low_q, high_q = quartiles(r, facet, among)
    flipped = too or operator in ("not", "dislike")
    value = (high_q if side < 0 else low_q) if flipped else (high_q if side > 0 else low_q)
    fine = r.lexicon.measures[facet.name].kind == "stars"
    return clause_of(r, facet, side, value if fine else round(value), m.group())
