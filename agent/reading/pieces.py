"""The pieces of one turn: names, catalogue words, operators, numbers, references.

They depend on one another in this order: names shield their words from everything else
("Blade Runner 2049" holds no year), operators are read around them, and what a number or
a reference has used is nothing else.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent.reading import intents
from agent.reading.cues import Scopes
from agent.reading.described import described
from agent.reading.figures import Number
from agent.reading.lexicon import Found, Lexicon, Value
from agent.reading.numbers import read_numbers
from agent.reading.refs import Ref, read_refs
from agent.reading.sensed import sensed_links, sensed_operators, sensed_values
from agent.state import DialogueState
from tools.find_title import Link, TitleLinker
from tools.names import Token, tokens

if TYPE_CHECKING:
    from agent.encoder import EncoderReading
    from catalog.items import Catalog


@dataclass
class Reading:
    """The materials of one turn: cleaned text and what it is read against."""

    text: str
    state: DialogueState
    catalog: "Catalog"
    linker: TitleLinker
    lexicon: Lexicon
    sensed: "EncoderReading | None" = None  # what the encoder saw, when it is asked
    by_rules: bool = True  # False: only what the encoder saw counts

    def __post_init__(self) -> None:
        self.low = "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)
        self.toks: list[Token] = tokens(self.text)
        self.turn = max(0, len(self.state.turns) - 1)

    def says(self, name: str) -> bool:
        """Does the turn match one of the fixed patterns of ``intents``?"""
        return intents.says(name, self.low, self.lexicon.speech)


@dataclass
class Pieces:
    links: list[Link]
    found: list[Found]
    scopes: Scopes
    numbers: list[Number]
    refs: list[Ref]
    masked: str


def find_pieces(r: Reading) -> Pieces:
    """The pieces of a turn; with an encoder, also those that only it saw."""
    links, found = _names_and_values(r)
    shields = [(x.start, x.end) for x in links if x.kind == "item"]
    masked = list(r.low)
    for s, e in shields:
        masked[s:e] = "x" * (e - s)
        year = re.match(r"[\s,]*\(?(?:19|20)\d\d\)?(?!\s*(?:or|and|to|-))", r.low[e : e + 9])
        if year and "(" in year.group():
            masked[e : e + year.end()] = "x" * year.end()
    text = "".join(masked)
    senses = sensed_operators(r.sensed) if r.sensed else []
    scopes = Scopes(r.low, r.lexicon.speech, shields, senses, cues=r.by_rules)
    found = [f for f in found if not any(f.start < e and f.end > s for s, e in shields)]
    people = [(x.start, x.end) for x in links if x.kind == "person" and " " in x.said]
    found = [f for f in found if not any(f.start < e and f.end > s for s, e in people)]
    numbers = [n for n in read_numbers(text, r.lexicon, scopes) if _seen(r, n, "number")]
    found = [f for f in found if not any(f.start < n.end and f.end > n.start for n in numbers)]
    scopes.forget([(n.start, n.end) for n in numbers if _NO_MORE.match(text[n.start :])])
    refs = [x for x in read_refs(text, r.state, r.lexicon.speech) if _seen(r, x, "ref")]
    return _pointed(r, text, Pieces(links, found, scopes, numbers, refs, text))


def _names_and_values(r: Reading) -> tuple[list[Link], list[Found]]:
    links: list[Link] = []
    found: list[Found] = []
    if r.by_rules:
        hints = {*r.state.slate.item_ids, *(m.item_id for m in r.state.beliefs.mentions)}
        found = [f for f in r.lexicon.find(r.text, r.toks) if not _COUNTED.match(r.low[f.start :])]
        scopes = Scopes(r.low, r.lexicon.speech)
        links = [x for x in r.linker.link(r.text, hints=hints) if _believable(r, x, found, scopes)]
    if r.sensed is not None:
        taken = [(x.start, x.end) for x in links] + [(f.start, f.end) for f in found]
        links += sensed_links(r.text, r.sensed, r.linker, taken)
        taken += [(x.start, x.end) for x in links]
        found = sorted([*found, *sensed_values(r.text, r.sensed, r.lexicon, taken)])
    return links, found


def _seen(r: Reading, piece: Number | Ref, slot: str) -> bool:
    """Without rules, a number or reference counts only where the encoder saw one."""
    if r.by_rules or r.sensed is None:
        return True
    spans = [s for s in r.sensed.spans if s.slot == slot]
    return any(s.start < piece.end and s.end > piece.start for s in spans)


_NO_MORE: Final = re.compile(r"no \w+ than\b")
_COUNTED: Final = re.compile(r"couple (?:of|more)\b")  # a number, not a theme
_PLACED: Final = re.compile(r"\b(?:at|on|for|in|around|during|this|near|from)\s+$")
_NAMED_ROLES: Final = frozenset({"language", "origin", "category"})
_POINTING: Final = frozenset("one 1 second first it these that this the a".split())
_PLAIN_WORDS: Final = frozenset(
    {"more", "less", "not", "too", "very", "new", "old", "good", "best"}
)


def _believable(r: Reading, link: Link, found: list[Found], scopes: Scopes) -> bool:
    """Is this really a name, or the catalogue's own vocabulary ("western", "short film")?"""
    words = [t.word for t in tokens(link.said)]
    quoted = r.text[link.start - 1 : link.start] in ('"', "'") and link.start > 0
    if quoted:
        return True
    middle = link.start > 0 and not re.search(r"[.!?\n]\s*$", r.text[: link.start])
    capital = link.said[0].isupper() and middle and r.text != r.text.upper()
    inside = [f for f in found if f.start < link.end and f.end > link.start]
    if link.kind == "person":
        return not any(f.start <= link.start and f.end >= link.end for f in inside)
    covered = {*r.lexicon.nouns, *_POINTING}
    for f in inside:
        covered |= {t.word for t in tokens(f.said)}
    if len(words) == 1 and not link.said[0].isupper() and _PLACED.search(r.low[: link.start]):
        return False  # "at halloween", "in brazil"
    on_screen = link.kind == "item" and link.value in r.state.slate.item_ids
    if on_screen and link.said[0].isupper():
        title = r.catalog.df["title"][link.row]
        if [t.word for t in tokens(title)] == words:
            return True  # the very title of something on screen
    cue = scopes.operator(link.start) in ("similar", "like", "seen", "dislike", "unseen")
    cue = cue or bool(re.search(r"\bthan\s+$", r.low[: link.start]))  # "older than Alien"
    if all(w in covered or w in _PLAIN_WORDS for w in words):
        if not inside:
            return capital or (cue and link.score > 0.8)
        entries = [e for f in inside for e in f.entries if isinstance(e, Value)]
        own = any(r.lexicon.facets[e.facet].role in _NAMED_ROLES for e in entries)
        multi = len(words) > 1
        return capital and (cue or multi) and (not own or multi)
    return True


def _pointed(r: Reading, low: str, p: Pieces) -> Pieces:
    """What describes an item of the slate is no wish: "that Nolan one", "the one from 1985"."""
    titles = [(x.start, x.end) for x in p.links if x.kind == "item"]
    new = described(r, low, p.numbers, p.refs, titles)
    if not new:
        return p

    def free(start: int, end: int) -> bool:
        return not any(start < x.end and end > x.start for x in new)

    p.links = [x for x in p.links if free(x.start, x.end)]
    p.found = [f for f in p.found if free(f.start, f.end)]
    p.numbers = [n for n in p.numbers if free(n.start, n.end)]
    p.refs = sorted([*p.refs, *new])
    return p


def within(place: int, span: tuple[int, int] | None) -> bool:
    return span is not None and span[0] <= place < span[1]
