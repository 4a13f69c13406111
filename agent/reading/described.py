# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""Items of the slate named by what they are: "the one with the robots", "the Coen brothers one".

Three ways of pointing, each resolved against what is on screen alone: words of an item's own
columns, a superlative ("the oldest one", "the cheaper of the two"), and one rare word of a title
("the Pinetrek"). Where nothing on screen fits, nothing is pointed at.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from agent.reading.figures import Number
from agent.reading.questions import SUPERLATIVE, scale_of, side_of, superlatives
from agent.reading.refs import Ref
from agent.reading.remainder import STOP
from tools.names import UNSEEN_RANK, fold, rank, tokens

if TYPE_CHECKING:
    from agent.reading.lexicon import Lexicon
    from agent.reading.pieces import Reading

_LEAD: Final = (
    r"\b(?P<many>(?:both|all|two|three|the two)(?: of)? )?(?:the|that|this|your|those|these)\s+"
)
_ONE: Final = rf"{_LEAD}(?P<desc>[\w.'-]+(?: [\w.'-]+){{0,2}}?)(?:'s)?\s+(?P<end>ones?|@NOUN)\b"
_OF: Final = (
    rf"{_LEAD}(?P<end>ones?|@NOUN)\s+(?:with|about|from|by|of|in|that has|that have|where|set in|on|for|starring|directed by|written by|called|made by|featuring)\s+(?:the |an? |some )?"
    r"(?P<desc>[\w.'-]+(?: (?!(?:sounds?|looks?|seems?|is|are|was|please|then|one|i|and|but|which|who|what|how|when|about)\b)[\w.'-]+){0,3})"
)
_BEST: Final = re.compile(
    r"\bthe (?P<words>(?:most|least|best|worst|highest|lowest|better|more|less|higher) [\w-]+|[a-z]{3,}(?:est|er))(?P<end> ones?| of (?:these|those|them|the (?:two|three|lot)))?\b"
)
_ASKED: Final = re.compile(
    r"\b(?:which|what|who)(?:'s| is| are| would be| one is| ones are)?(?: of [\w ]{3,12}?)?(?: is| are)?\s*$|\b(?:is|are|was|were)\s+$"
)
_BARE: Final = re.compile(r"\W*(?:(?:and|ok|so|now),? )*the [\w -]+\?\W*")  # "the cheapest?"
_RARE: Final = 20_000  # a word of this rank or beyond stands in few sentences


def described(
    r: "Reading", low: str, numbers: list[Number], refs: list[Ref], taken: list[tuple[int, int]]
) -> list[Ref]:
    """References by description in ``low``. ``taken``: item titles and what else is settled."""
    shown = [i for i in r.state.slate.item_ids if r.catalog.has(i)]
    if not shown:
        return []
    out: list[Ref] = []
    used = [*taken, *((x.start, x.end) for x in refs)]

    def add(start: int, end: int, ids: Iterable[str]) -> None:
        ids = tuple(ids)
        if ids and not any(start < e and end > s for s, e in used):
            out.append(Ref(start, end, low[start:end], ids, "described"))
            used.append((start, end))

    for m in _BEST.finditer(low) if not _BARE.fullmatch(low) else ():
        if not _ASKED.search(low[: m.start()]):
            add(m.start(), m.end(), _extreme(r, m.group("words"), bool(m.group("end")), shown))
    for template in (_OF, _ONE):
        for m in r.lexicon.speech.pattern(template).finditer(low):
            ids = _fitting(r, m, numbers, shown)
            several = bool(m.group("many"))
            if m.group("end") != "one" and m.group("end").endswith("s") and not several:
                continue  # "not the blue ones": a wish about all items, not a finger pointing
            if len(ids) < max(2, len(shown)) or several:
                add(m.start(), m.end(), ids if several else ids[:1])
    for m in re.finditer(r"(?:\bthe )?\b([^\W\d_]{5,})\b", low):
        ids = [i for i in shown if m.group(1) in _words(str(r.catalog.item(i).title))]
        if len(ids) == 1 and rank(m.group(1)) >= min(_RARE, UNSEEN_RANK):
            add(m.start(), m.end(), ids)
    return out


def _extreme(r: "Reading", words: str, led: bool, shown: list[str]) -> tuple[str, ...]:
    """The item that has the most or least of what a superlative is about."""
    compares = words.endswith("er") or words.startswith(("better", "more", "less", "higher"))
    if compares and not led:
        return ()
    found = [(name, sign) for form, name, sign in superlatives(r.lexicon) if form == words]
    side = side_of(words, r.lexicon) if compares else _of_scale(words, r.lexicon)
    for name, sign in [*found, *([side] if side else [])]:
        known = [(v * sign, i) for i in shown if (v := _value(r, i, name)) is not None]
        if known:
            return (max(known, key=lambda x: x[0])[1],)
    return ()


def _of_scale(words: str, lexicon: "Lexicon") -> tuple[str, int] | None:
    """ "funniest" -> the scale it is about, 1 for the most of it."""
    m = SUPERLATIVE.search(words)
    entry = scale_of(m, lexicon) if m else None
    if entry is None or m is None:
        return None
    return entry.scale, entry.direction * (-1 if m.group(1) == "least" else 1)


def _value(r: "Reading", item_id: str, name: str) -> float | None:
    row = r.catalog.row(item_id)
    value = r.catalog.scales[name][row] if name in r.catalog.scales else r.catalog.df[name][row]
    return None if value is None else float(value)


def _fitting(r: "Reading", m: re.Match[str], numbers: list[Number], shown: list[str]) -> list[str]:
    """The items that fit best, if they fit at all: at least half of the words are theirs."""
    start, end = m.span("desc")
    inside = [n for n in numbers if n.start < end and n.end > start]
    words = [
        t.word
        for t in tokens(m.group("desc"))
        if t.word not in STOP
        and t.word not in r.lexicon.nouns
        and not any(n.start - start <= t.start < n.end - start for n in inside)
    ]
    if not words and not inside:
        return []
    scores = {}
    for item_id in shown:
        own = _own_words(r, item_id)
        score = sum(_stem(w) in own for w in words)
        score += sum(_meets(r, item_id, n) for n in inside)
        scores[item_id] = score
    best = max(scores.values())
    if best == 0 or 2 * best < len(words) + len(inside):
        return []
    return [i for i in shown if scores[i] == best]


def _own_words(r: "Reading", item_id: str) -> set[str]:
    """Stems of everything the catalogue says of an item in words."""
    item = r.catalog.item(item_id)
    out = {_stem(w) for w in _words(str(item.title))}
    for facet in r.catalog.domain.facets:
        value = item.values.get(facet.name)
        several = value if isinstance(value, list | tuple) else [value]
        for one in several:
            if isinstance(one, str):
                surfaces = [one, *(s for s, v in facet.synonyms.items() if v == one)]
                out |= {_stem(w) for s in surfaces for w in _words(s)}
    return out


def _words(text: str) -> list[str]:
    return [t.word for t in tokens(text) if t.word not in STOP]


def _stem(word: str) -> str:
    word = fold(word).removesuffix("'s")
    return word[:-1] if word.endswith("s") and len(word) > 3 and not word.endswith("ss") else word


def _meets(r: "Reading", item_id: str, n: Number) -> bool:
    """Does the item's number lie within what was said: "the 40 litre one"?"""
    value = r.catalog.df[n.field][r.catalog.row(item_id)]
    if value is None:
        return False
    sides = {op: values for op, values in n.bounds}
    low, high = sides.get("ge", (value,))[0], sides.get("le", (value,))[0]
    return bool(low <= value <= high)
