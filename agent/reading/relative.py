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
from agent.reading.lexicon import Found, Value
from agent.reading.measures import Measure
from agent.reading.refs import Ref, focus_item
from catalog.filters import Clause, compile
from tools.find_title import Link

if TYPE_CHECKING:
    from agent.reading.pieces import Reading
    from catalog.items import Facet

_RECENT_YEARS: Final = 6
FEW: Final = 8  # items of a category below which all items are the measure
_THAN: Final = r"^\s+(?:@NOUN |one |ones |stuff |something )?than\s+"


@dataclass
class Relative:
    clauses: list[Clause] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    anchor: str | None = None  # the item that "funnier than that" is measured by


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
    among = _among(r, found)
    dull = list(low)
    for s, e in numbers:
        dull[s:e] = "#" * (e - s)
    low = "".join(dull)
    places: list[tuple[int, int, tuple[str, ...]]] = [
        (x.start, x.end, (x.value,)) for x in links if x.kind == "item"
    ]
    places += [(x.start, x.end, x.item_ids) for x in refs]
    out.anchor = _compared_with(low, places, it)
    _same(r, low, places, out)
    for facet, measure in _measured(r, places, among):
        kind = measure.kind
        for words, side in _sides(measure.more, measure.less):
            if words.replace("\\", "") in r.lexicon.scale_words:
                continue  # "lighter" is a mood where a scale says so
            for m in re.finditer(
                rf"\b(?:(?:much|a bit|a little|slightly|way|somewhat) )?{words}\b", low
            ):
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
                    out.clauses.append(clause)
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
                if any(s < m.end() and e > m.start() for s, e, _ in places):
                    continue
                clause = _plain(r, among, facet, kind, side, low, scopes, m)
                if clause is not None:
                    out.clauses.append(clause)
                    out.spans.append((m.start(), m.end()))
    return out


_SAME: Final = re.compile(
    r"\b(?:(?:the )?same|(?:from|by|with|of|another from) (?:that|this|its|his|her)) ((?:main |lead )?[a-z]+(?: [a-z]+)?)\b"
)


_OF_ITEM: Final = re.compile(
    r"\b(?:by|from|with|of) the ((?:main |lead )?[a-z]+(?: [a-z]+)?) (?:of|from|behind|in)\b"
)


def _same(
    r: "Reading", low: str, places: list[tuple[int, int, tuple[str, ...]]], out: Relative
) -> None:
    """ "by the same director": the value that the item spoken of has on that facet."""
    m = _SAME.search(low) or _OF_ITEM.search(low)
    if m is None:
        return
    near = [p for p in places if m.end() <= p[0] <= m.end() + 5]
    if m.re is _OF_ITEM and not near:
        return
    places = near or places
    words = m.group(1).split(" ")
    focus = focus_item(r.state)
    ids = places[0][2] if places else ((focus,) if focus else ())
    for facet in r.lexicon.facets.values():
        names = r.lexicon.facet_words(facet.name)
        if facet.kind not in ("people", "categories") or not facet.filterable:
            continue
        if not ({m.group(1), words[0], words[-1]} & names) or not ids or not r.catalog.has(ids[0]):
            continue
        value = r.catalog.df[facet.name][r.catalog.row(ids[0])]
        several = [value] if isinstance(value, str) else list(value if value is not None else [])
        if several:
            keep = tuple(several[:3] if facet.kind == "categories" else several[:2])
            out.clauses.append(
                Clause(field=facet.name, op="any", values=keep, said=m.group(), turn=r.turn)
            )
            out.spans.append(m.span())
        return


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
        known = sum(_number_of(r, i, name) is not None for i in ids)
        if not ids and among:
            rows = pl.Series(compile(r.catalog, among))
            known = int(r.catalog.df[name].filter(rows).is_not_null().sum())
        found.append((-known, facet, measure))
    found.sort(key=lambda x: x[0])
    return [(facet, measure) for _, facet, measure in found]


def _among(r: "Reading", found: list[Found]) -> list[Clause]:
    """The categories spoken of, in this turn or before: what "light" and "cheap" are held against."""
    for f in found:
        for e in f.entries:
            if isinstance(e, Value) and r.lexicon.facets[e.facet].role == "category":
                return [Clause(field=e.facet, op="any", values=e.values)]
    held = r.state.beliefs.clauses
    return [c for c in held if c.op == "any" and r.lexicon.facets[c.field].role == "category"]


def _quartiles(r: "Reading", facet: "Facet", among: list[Clause]) -> tuple[float, float]:
    """The first and third quartile of a facet among items of the category spoken of."""
    low, high = r.lexicon.ranges[facet.name][1:3]
    if not among or facet.role == "date":
        return low, high
    column = r.catalog.df[facet.name].filter(pl.Series(compile(r.catalog, among))).drop_nulls()
    if len(column) < FEW:
        return low, high
    return float(column.quantile(0.25) or low), float(column.quantile(0.75) or high)


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
    known = [v for v in (_number_of(r, i, facet.name) for i in ids) if v is not None]
    if not known:
        low_q, high_q = _quartiles(r, facet, among)
        if facet.role == "date":
            return _recent_or_old(r, facet, side, said)
        value = high_q if side > 0 else low_q
        return _clause(r, facet, side, value, said)
    known.sort()
    if than and len(ids) > 1:
        value = known[-1] if side > 0 else known[0]
    else:
        value = known[len(known) // 2] if side > 0 else known[(len(known) - 1) // 2]
    return _clause(r, facet, side, _beyond(r, facet, value, side), said)


def _beyond(r: "Reading", facet: "Facet", value: float, side: int) -> float:
    """The next value past this one: 2016 -> 2017 or 2015; of 4.3 stars 4.31 or 4.29."""
    whole = r.catalog.df[facet.name].dtype.is_integer() or facet.role == "date"
    small = r.lexicon.measures[facet.name].kind == "stars" or value < 10
    return round(value + side * (0.01 if small and not whole else 1), 2)


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
            return _recent_or_old(r, facet, side, m.group(), half=True)
    if kind == "date":
        return _recent_or_old(r, facet, side, m.group())
    low_q, high_q = _quartiles(r, facet, among)
    flipped = too or operator in ("not", "dislike")
    value = (high_q if side < 0 else low_q) if flipped else (high_q if side > 0 else low_q)
    fine = r.lexicon.measures[facet.name].kind == "stars"
    return _clause(r, facet, side, value if fine else round(value), m.group())


def _recent_or_old(
    r: "Reading", facet: "Facet", side: Literal[-1, 1], said: str, half: bool = False
) -> Clause:
    _, quarter, upper, newest = r.lexicon.ranges[facet.name]
    if side > 0:
        value = round((quarter + newest) / 2) if half else newest - _RECENT_YEARS
    else:
        value = upper if half else quarter
    return _clause(r, facet, side, float(round(value)), said)


def _clause(r: "Reading", facet: "Facet", side: int, value: float, said: str) -> Clause:
    op: Literal["ge", "le"] = "ge" if side > 0 else "le"
    return Clause(field=facet.name, op=op, values=(float(value),), said=said, turn=r.turn)


def _number_of(r: "Reading", item_id: str, name: str) -> float | None:
    if not r.catalog.has(item_id):
        return None
    value = r.catalog.df[name][r.catalog.row(item_id)]
    return None if value is None else float(value)
