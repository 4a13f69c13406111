# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Categories, people and scale words with their operators -> clauses, wishes, retractions.

Hard clauses rest on what is known of every item (categories, people, origin, language);
tags and moods are known of some only, so wanting one is a wish and a search, not a wall,
unless the person insists ("it must be hopeful"). Excluding one is a clause: an item of
which nothing is known passes.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

from agent.reading.cues import Operator, Scopes
from agent.reading.lexicon import SOFT_ROLES, Found, Lexicon, ScaleWord, Value
from agent.reading.senses import DEGREE, INSIST, beside_category, names_itself, pick
from agent.state import Wish
from catalog.filters import Clause
from tools.find_title import Link

_BOTH: Final = re.compile(
    r"\b(?:both|as well as|mix(?:ed|ture)? (?:of|with)|cross between|combination of|blend of|combine[sd]?|at the same time|plus)\b"
)
_FAILS: Final = re.compile(
    r"^(?:\s+[\w-]+)?\s+(?:(?:really|just|usually|always|often|simply|generally|kind of)\s+)*(?:(?:don'?t|do not|doesn'?t|does not|never|aren'?t|isn'?t|are not|is not|fail to)\s+(?:\w+\s+)?(?:appeal|interest|excite|do (?:it|anything|much)|work|for me|my (?:thing|cup|style|kind)|engage|grab|thrill|move|speak)|(?:bores?|annoys?|tires?|irritates?|disappoints?|depress(?:es)?|puts? me|turns? me off|leaves? me cold|scares? me)\b)"
)
_TOLD: Final = re.compile(
    r"\b(?:it|that|this|which|he|she|they)(?:'s| is| was| were| are| has| had)\s+(?:\w+\s+){0,3}$"
)
#: "one that is waterproof" asks; "that was scary" tells.
_THAT_IS: Final = (
    r"\b(?:ones?|something|anything|@NOUN)\s+(?:that|which)(?:'s| is| are)\s+(?:\w+\s+){0,2}$"
)
_FOREIGN: Final = re.compile(
    r"\b(?:foreign(?:[- ]language)?|international|world cinema|subtitled|subtitles?)\b"
)


@dataclass
class Said:
    """What the words of one turn amount to; spans are kept so that the rest is the remainder."""

    add: list[Clause] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    retract: list[str] = field(default_factory=list)
    indifferent: list[str] = field(default_factory=list)
    hard: list[tuple[int, int]] = field(default_factory=list)  # spans used up by clauses
    soft: list[tuple[int, int]] = field(default_factory=list)  # spans that may stay in "about"


@dataclass
class _Hit:
    start: int
    end: int
    said: str
    values: tuple[str, ...]


def read_values(
    low: str,
    found: list[Found],
    links: list[Link],
    scopes: Scopes,
    lexicon: Lexicon,
    turn: int,
    anchor: str | None,
) -> Said:
    """All categories, people and scale words of a turn. ``anchor``: what "funnier" is measured by."""
    said = Said()
    wanted: dict[str, list[_Hit]] = {}
    banned: dict[str, list[_Hit]] = {}
    insisted: set[tuple[str, str]] = set()
    for n, one in enumerate(found):
        entry = pick(one, low, lexicon)
        operator = scopes.operator(one.start)
        entry = beside_category(found, n, entry, low, lexicon)
        if operator in ("retract", "indifferent") and one.said.lower() in lexicon.labels:
            continue  # "forget the language": the facet, not a theme of that name
        if _only_told(low, one, scopes.cued(one.start), isinstance(entry, Value), lexicon):
            continue
        if re.search(r"\b(?:my|our|his|her|their|your)\s+$", low[: one.start]):
            continue  # "my kids", "our family" are people, not a category
        if isinstance(entry, ScaleWord):
            _wish(said, one, entry, operator, low, turn, anchor)
            continue
        role = lexicon.facets[entry.facet].role
        hit = _Hit(one.start, one.end, one.said, entry.values)
        if operator in ("seen", "unseen"):
            said.soft.append((one.start, one.end))
        elif operator in ("retract", "indifferent"):
            said.retract.append(entry.facet)
            said.hard.append((one.start, one.end))
        elif (
            operator in ("not", "dislike")
            or _degree_negates(low, one.start)
            or _FAILS.match(low[one.end :])
        ):
            _ban(said, banned, hit, entry, role, lexicon, turn)
        elif (
            role in SOFT_ROLES
            and entry.facet not in lexicon.complete
            and not INSIST.search(low[: one.start])
        ):
            said.soft.append((one.start, one.end))
            said.wishes += _mood_wish(one, entry, lexicon, turn)
        else:
            wanted.setdefault(entry.facet, []).append(hit)
            narrower = role == "category" and not names_itself(entry, one.said, lexicon)
            (said.soft if narrower else said.hard).append((one.start, one.end))
            if role in SOFT_ROLES:
                insisted |= {(entry.facet, v) for v in entry.values}
    for link in links:
        _person(said, wanted, banned, link, scopes.operator(link.start))
    for facet, hits in banned.items():
        values = tuple(dict.fromkeys(v for h in hits for v in h.values))
        said.add.append(_clause(facet, "none", values, hits, turn))
    for facet, hits in wanted.items():
        people = lexicon.facets[facet].kind == "people"
        tastes = any(scopes.operator(h.start) in ("like", "similar") for h in hits)
        if facet in lexicon.complete:
            said.add.append(_attributes(facet, hits, low, turn))
            continue
        said.add.append(_wanted(facet, hits, low, turn, together=people and not tastes))
    _foreign(said, low, scopes, lexicon, turn)
    return said


def _only_told(low: str, one: Found, operator: Operator, value: bool, lexicon: Lexicon) -> bool:
    """Told of something seen ("the action was believable", "it was a horror film"), not asked for."""
    before, after = low[: one.start], low[one.end :]
    if operator in ("none", "seen") and _TOLD.search(before):
        return not lexicon.speech.pattern(_THAT_IS).search(before)
    if not value or operator != "none" or len(low) < 60:
        return False
    noun = re.match(
        r"^[\w\s/,-]{0,25}?\b(?:" + "|".join(map(re.escape, lexicon.nouns)) + r")\b", after
    )
    asked = re.search(
        r"\b(?:an?|some|any|more|good|of|or|and|in|for|with|favou?rite)\s+(?:\w+\s+)?$|[,:]\s*$|^\W*$",
        before,
    )
    return not noun and not (
        asked and not re.search(r"\b(?:was|were|is|are|had|has)\b[^.,!?]*$", before + after[:25])
    )


def _degree_negates(low: str, start: int) -> bool:
    m = DEGREE.search(low[max(0, start - 30) : start])
    return bool(m) and m is not None and m.group("d") != "more" and m.group("d") != "so"


def _clause(
    facet: str,
    op: Literal["any", "all", "none"],
    values: tuple[str, ...],
    hits: list[_Hit],
    turn: int,
) -> Clause:
    said = ", ".join(dict.fromkeys(h.said for h in hits))
    return Clause(field=facet, op=op, values=values, said=said, turn=turn)


def _wanted(facet: str, hits: list[_Hit], low: str, turn: int, *, together: bool = False) -> Clause:
    """ "horror comedies" wants both at once, "horror or comedy" either.

    ``together``: of people, "and" means both of them.
    """
    values = tuple(dict.fromkeys(v for h in hits for v in h.values))
    if len(values) == 1:
        return _clause(facet, "any", values, hits, turn)
    gaps = [low[a.end : b.start].strip(" -/") for a, b in pairwise(hits)]
    if any(re.search(r"\bor\b|,|\bbut\b|/", g) for g in gaps):
        return _clause(facet, "any", values, hits, turn)
    if len(hits) == 1:
        return _clause(facet, "all", values, hits, turn)
    both = _BOTH.search(low[max(0, hits[0].start - 30) : hits[-1].end])
    together = (together and all(g in ("and", "&") for g in gaps)) or all(
        g in ("", "with", "with some", "with a bit of", "with a") for g in gaps
    )
    return _clause(facet, "all" if both or together else "any", values, hits, turn)


def _attributes(facet: str, hits: list[_Hit], low: str, turn: int) -> Clause:
    """ "waterproof, windproof": an item is to have all of them, unless "or" stands between."""
    values = tuple(dict.fromkeys(v for h in hits for v in h.values))
    gaps = [low[a.end : b.start] for a, b in pairwise(hits)]
    either = any(re.search(r"\bor\b|/", gap) for gap in gaps)
    return _clause(facet, "any" if either else "all", values, hits, turn)


def _ban(
    said: Said,
    banned: dict[str, list[_Hit]],
    hit: _Hit,
    entry: Value,
    role: str,
    lexicon: Lexicon,
    turn: int,
) -> None:
    said.hard.append((hit.start, hit.end))
    if role == "mood":
        wishes = _mood_wish(Found(hit.start, hit.end, hit.said, ()), entry, lexicon, turn, -1)
        if wishes:
            said.wishes += wishes
            return
    banned.setdefault(entry.facet, []).append(hit)


def _mood_wish(
    one: Found, entry: Value, lexicon: Lexicon, turn: int, direction: Literal[-1, 1] = 1
) -> list[Wish]:
    """A mood or tag that a scale also measures ("dark", "tense") is a wish on that scale."""
    for value in entry.values:
        word = lexicon.scale_words.get(value.lower())
        if word is not None:
            sign: Literal[-1, 1] = 1 if word.direction * direction > 0 else -1
            said = one.said if direction > 0 else f"less {one.said}"
            return [Wish(scale=word.scale, direction=sign, said=said, turn=turn)]
    return []


def _wish(
    said: Said,
    one: Found,
    entry: ScaleWord,
    operator: Operator,
    low: str,
    turn: int,
    anchor: str | None,
) -> None:
    span = (one.start, one.end)
    if operator in ("retract", "indifferent"):
        said.retract.append(entry.scale)
        said.hard.append(span)
        return
    if operator in ("seen", "unseen"):
        return
    direction = entry.direction
    degree = DEGREE.search(low[max(0, one.start - 30) : one.start])
    word = degree.group("d") if degree else ""
    compares = entry.compares
    if word == "more":
        compares = True
    elif word in ("so", ""):
        word = ""
    else:
        direction = -1 if direction == 1 else 1
        compares = compares or word.startswith(("less", "not as", "not so"))
    # "not too dark" is already turned by its degree word; "no dark ones" is turned here
    told = re.match(r"not|less|more|fewer|without", one.said.lower())  # "not so dark" is one phrase
    refused = operator in ("not", "dislike") or bool(_FAILS.match(low[one.end :]))
    if refused and not word and not told:
        direction = -1 if direction == 1 else 1
    start = one.start - (len(degree.group()) if degree and word else 0)
    text = low[start : one.end].strip()
    if refused and not word and not told:
        text = f"less {text}"  # "nothing gory" must never come back as "something gory"
    relative = anchor if compares or word in ("less", "more") else None
    said.wishes.append(
        Wish(scale=entry.scale, direction=direction, said=text, relative_to=relative, turn=turn)
    )
    positive = direction == 1 and not compares
    (said.soft if positive and operator != "not" else said.hard).append((start, one.end))


def _person(
    said: Said,
    wanted: dict[str, list[_Hit]],
    banned: dict[str, list[_Hit]],
    link: Link,
    operator: Operator,
) -> None:
    if link.kind != "person":
        return
    said.hard.append((link.start, link.end))
    hit = _Hit(link.start, link.end, link.said, (link.value,))
    if operator in ("retract", "indifferent"):
        said.retract.append(link.facet)
    elif operator in ("not", "dislike"):
        banned.setdefault(link.facet, []).append(hit)
    elif operator not in ("seen", "unseen"):
        wanted.setdefault(link.facet, []).append(hit)


def _foreign(said: Said, low: str, scopes: Scopes, lexicon: Lexicon, turn: int) -> None:
    """ "foreign": any language but the one most of the catalogue is in."""
    m = _FOREIGN.search(low)
    facets = [f for f in lexicon.by_role("language") if f.filterable]
    if not m or not facets or not lexicon.commonest.get(facets[0].name):
        return
    home = lexicon.commonest[facets[0].name]
    said.hard.append(m.span())
    operator = scopes.operator(m.start())
    if operator in ("retract", "indifferent"):
        said.retract.append(facets[0].name)
        return
    if m.group().startswith("subtitle") and operator not in ("not", "dislike"):
        said.hard.pop()
        return  # "with subtitles" says nothing of the language that is spoken
    op: Literal["any", "none"] = "any" if operator in ("not", "dislike") else "none"
    said.add.append(Clause(field=facets[0].name, op=op, values=(home,), said=m.group(), turn=turn))
