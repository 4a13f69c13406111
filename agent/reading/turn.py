"""One turn, read by rules: the pieces in the order in which they depend on each other.

Names first (they shield their words from everything else), then operators, numbers,
references, the question, values and wishes, and last what remains; the intent follows
from what was found and from what the agent did before.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from agent.reading import intents
from agent.reading.cues import Operator, Scopes
from agent.reading.lexicon import Found, Lexicon, ScaleWord, Value
from agent.reading.numbers import Number, read_numbers
from agent.reading.questions import Asked, read_question
from agent.reading.refs import Ref, focus_item, read_all, read_it, read_refs
from agent.reading.relative import read_relative
from agent.reading.remainder import read_about
from agent.reading.retract import read_facet_words
from agent.reading.values import Said, pick, read_values
from agent.state import About, Attitude, DialogueState, Intent, Mention, Question, StateUpdate
from catalog.filters import Clause
from tools.find_title import Link, TitleLinker
from tools.names import Token, tokens

if TYPE_CHECKING:
    from catalog.items import Catalog

_ATTITUDE: Final[dict[Operator, Attitude]] = {
    "like": "like", "similar": "like", "dislike": "dislike", "not": "reject", "seen": "seen",
    "unseen": "neutral", "want": "neutral", "none": "neutral", "retract": "neutral",
    "indifferent": "neutral",
}  # fmt: skip
_PRAISE: Final = re.compile(
    r"^[\s,]*(?:\([^)]*\)\s*)?(?:(?:which|that|and|but|i|we|it|,|was|is|were|are|thought|think|found|really|so|just|absolutely|'s|one of|to be|an?|the|both|all|also|pretty|quite|very|such|loved|liked|my)\s+){0,8}?"
    r"(?P<good>(?:loved|liked|enjoyed|adored|love|like) (?:it|that|them|those|both)|(?:was|is|were|are|'s|are both|was so|was really|is so|is really|is a|was a|is an|were so|is one of)\s+(?:\w+ly |so |very |pretty |quite |my |an? |the |all[- ]time |both |such a )*(?:great|good|amazing|awesome|excellent|brilliant|fantastic|perfect|wonderful|hilarious|funny|favou?rites?|best|beautiful|superb|fun|masterpiece|incredible|classic|lovely|nice|fave|top)|rocks|rules)\b"
    r"|^[\s,]*(?:(?:which|that|and|but|i|we|it|,|was|is|were|really|so|just|thought|found|'s|it's)\s+){0,6}?(?P<bad>(?:hated|disliked|didn'?t (?:really )?(?:like|enjoy|love)|wasn'?t (?:a fan|into|for me|impressed)|couldn'?t stand|did not (?:like|enjoy)|not (?:a fan|for me|my)|found (?:it|that) (?:boring|dull))|(?:was|is|were|are|'s)\s+(?:\w+ly |so |very |pretty |quite |a bit |kind of |just |too )*(?:terrible|awful|bad|boring|dull|horrible|overrated|meh|disappointing|stupid|rubbish|trash|crap|not (?:good|great|for me|my)|a letdown|too (?:\w+)|slow|weak)|sucked|sucks|bored me)\b"
)
_IT_AFTER: Final = re.compile(
    r"^[^.!?]{0,40}?\b(?:(?P<good>(?:and |i |we |really |but )*(?:loved|liked|enjoyed|adored) (?:it|that|them|both|those)|(?:it|they) (?:was|were|is|are) (?:\w+ly |so |very |pretty |quite |a )*(?:great|good|amazing|awesome|excellent|brilliant|fantastic|perfect|wonderful|hilarious|fun|lovely|superb))|(?P<bad>(?:it|they) (?:was|were|is|are) (?:\w+ly |so |very |pretty |quite |a bit |kind of |too )*(?:terrible|awful|bad|boring|dull|horrible|overrated|meh|disappointing|stupid|rubbish|not (?:good|great|for me|my))|(?:hated|disliked|didn'?t (?:really )?(?:like|enjoy)|wasn'?t (?:a fan|into)|couldn'?t stand|did not like) ?(?:it|that|them|both|of it|those)?))\b"
)


@dataclass
class Reading:
    """The materials of one turn: cleaned text and what it is read against."""

    text: str
    state: DialogueState
    catalog: "Catalog"
    linker: TitleLinker
    lexicon: Lexicon
    extra_links: list[Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.low = "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)
        self.toks: list[Token] = tokens(self.text)
        self.turn = max(0, len(self.state.turns) - 1)


@dataclass
class _Pieces:
    links: list[Link]
    found: list[Found]
    scopes: Scopes
    numbers: list[Number]
    refs: list[Ref]
    masked: str


def read(r: Reading) -> StateUpdate:
    """The state update of one turn by rules alone."""
    p = _pieces(r)
    asked, asked_in = _question(r, p)
    it = read_it(p.masked, r.state)
    every = read_all(p.masked, r.state)
    counted = [(n.start, n.end) for n in p.numbers]
    relative = read_relative(r, p.masked, p.scopes, p.links, p.refs, it, counted)
    mentions = _mentions(r, p, it, every, asked, asked_in)
    anchor = next((m.item_id for m in mentions if m.relative), None) or relative.anchor
    live = [f for f in p.found if not _within(f.start, asked_in)]
    said = read_values(
        p.masked, live, [x for x in p.links if not _within(x.start, asked_in)], p.scopes, r.lexicon,
        r.turn, anchor,
    )  # fmt: skip
    said.hard += [(f.start, f.end) for f in p.found if f not in live]
    _numbers(r, p, said, asked_in, relative.spans)
    for clause, span in zip(relative.clauses, relative.spans, strict=True):
        if not _within(span[0], asked_in):
            said.add.append(clause)
    said.hard += relative.spans
    read_facet_words(p.masked, r.lexicon, r.state, p.scopes, said)
    if asked:
        said.hard.append(asked_in or (0, 0))
    said.hard += [(x.start, x.end) for x in [*p.links, *p.refs]]
    said.hard += [(x.start, x.end) for x in (it, every) if x]
    unknown = _unknown(r, p, said)
    count = intents.read_count(p.masked, r.lexicon.nouns) if not p.refs else None
    about = _about(r, p, said, bool(mentions), unknown)
    said.retract += [m.item_id for m in mentions if _operator_of(m, p) == "retract"]
    question = _as_question(r, asked, mentions, p, it, every)
    update = StateUpdate(
        intent="chat",
        mentions=tuple(_dedupe(m for m in mentions if _operator_of(m, p) != "retract")),
        add=tuple(c for c in said.add if c.field not in said.retract or c.op == "none"),
        retract=tuple(dict.fromkeys(said.retract)),
        wishes=tuple({w.scale: w for w in said.wishes}.values()),
        about=(About(text=about, turn=r.turn),) if about else (),
        question=question,
        count=count,
        unknown=tuple(unknown),
        indifferent=tuple(dict.fromkeys(said.indifferent)),
    )
    return decide_intent(r, update, bool(every or it or p.refs))


def _within(place: int, span: tuple[int, int] | None) -> bool:
    return span is not None and span[0] <= place < span[1]


def _operator_of(m: Mention, p: _Pieces) -> Operator:
    link = next((x for x in p.links if x.value == m.item_id), None)
    return p.scopes.operator(link.start) if link else "none"


def _dedupe(mentions: "object") -> list[Mention]:
    out: dict[str, Mention] = {}
    for m in mentions:  # type: ignore[attr-defined]
        old = out.get(m.item_id)
        if old is None or old.attitude == "neutral" or m.relative:
            out[m.item_id] = m
    return list(out.values())


# -------------------------------------------------------------------------- pieces


def _pieces(r: Reading) -> _Pieces:
    hints = {*r.state.slate.item_ids, *(m.item_id for m in r.state.beliefs.mentions)}
    links = [*r.linker.link(r.text, hints=hints), *r.extra_links]
    found = list(r.lexicon.find(r.text, r.toks))
    open_scopes = Scopes(r.low)
    links = [x for x in links if _believable(r, x, found, open_scopes)]
    shields = [(x.start, x.end) for x in links if x.kind == "item"]
    masked = list(r.low)
    for s, e in shields:
        masked[s:e] = "x" * (e - s)
        year = re.match(r"[\s,]*\(?(?:19|20)\d\d\)?(?!\s*(?:or|and|to|-))", r.low[e : e + 9])
        if year and "(" in year.group():
            masked[e : e + year.end()] = "x" * year.end()
    text = "".join(masked)
    scopes = Scopes(r.low, shields)
    found = [f for f in found if not any(f.start < e and f.end > s for s, e in shields)]
    people = [(x.start, x.end) for x in links if x.kind == "person" and " " in x.said]
    found = [f for f in found if not any(f.start < e and f.end > s for s, e in people)]
    numbers = read_numbers(text, r.lexicon, scopes)
    found = [f for f in found if not any(f.start < n.end and f.end > n.start for n in numbers)]
    refs = read_refs(text, r.state)
    found, links, refs = _pointed_by_value(r, text, found, links, refs)
    return _Pieces(links, found, scopes, numbers, refs, text)


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
    plain = {*r.lexicon.nouns, "one", "1", "second", "first", "it", "these", "that", "this", "the", "a"}
    covered = set(plain)
    for f in inside:
        covered |= {t.word for t in tokens(f.said)}
    cue = scopes.operator(link.start) in ("similar", "like", "seen", "dislike", "unseen")  # fmt: skip
    if all(w in covered or w in _PLAIN_WORDS for w in words):
        if not inside:
            return capital or (cue and link.score > 0.8)
        own = any(isinstance(e, Value) and r.lexicon.facets[e.facet].role in ("language", "origin", "category") for f in inside for e in f.entries)  # fmt: skip
        multi = len(words) > 1
        return capital and (cue or multi) and (not own or multi)
    return True


_PLAIN_WORDS: Final = frozenset({"more", "less", "not", "too", "very", "new", "old", "good", "best"})


def _pointed_by_value(
    r: Reading, low: str, found: list[Found], links: list[Link], refs: list[Ref]
) -> tuple[list[Found], list[Link], list[Ref]]:
    """ "that Nolan one", "the horror one": an item of the slate named by one of its values."""
    shown = [i for i in r.state.slate.item_ids if r.catalog.has(i)]
    if not shown:
        return found, links, refs
    taken: list[object] = []
    nouns = "|".join({"one", "ones", *map(re.escape, r.lexicon.nouns)})
    tail = re.compile(rf"^(?:'s)?\s+(?:{nouns})\b")
    named: list[tuple[int, int, list[tuple[str, tuple[str, ...]]], Found | Link]] = []
    for f in found:
        pairs = [(e.facet, e.values) for e in f.entries if isinstance(e, Value)]
        named.append((f.start, f.end, pairs, f))
    for x in links:
        if x.kind == "person":
            facets = [q.name for q in r.lexicon.facets.values() if q.kind == "people"]
            named.append((x.start, x.end, [(q, (x.value,)) for q in facets], x))
    for start, end, pairs, source in named:
        if not re.search(r"\b(?:the|that)\s+$", low[:start]) or not tail.match(low[end:]):
            continue
        for facet, values in pairs:
            ids = [i for i in shown if set(values) <= set(_values(r, i, facet))]
            if ids and len(ids) < max(2, len(shown)):
                m = tail.match(low[end:])
                stop = end + (m.end() if m else 0)
                refs = [*refs, Ref(start, stop, low[start:stop], tuple(ids[:1]), "ordinal")]
                taken.append(source)
                break
    return [f for f in found if f not in taken], [x for x in links if x not in taken], refs


def _values(r: Reading, item_id: str, facet: str) -> tuple[object, ...]:
    value = r.catalog.df[facet][r.catalog.row(item_id)]
    if value is None:
        return ()
    return tuple(value) if not isinstance(value, (str, int, float)) else (value,)


# ------------------------------------------------------------------------ question


def _question(r: Reading, p: _Pieces) -> tuple[Asked | None, tuple[int, int] | None]:
    """The first question and the sentence it stands in."""
    places: list[tuple[int, int, object]] = [
        (f.start, f.end, pick(f, r.low, r.lexicon)) for f in p.found
    ]
    places += [(n.start, n.end, n.field) for n in p.numbers]
    places += [(x.start, x.end, x.facet) for x in p.links if x.kind == "person"]
    start = 0
    for m in re.finditer(r"[^.!?\n]*(?:[.!?\n]+|$)", p.masked):
        start, end = m.span()
        sentence = p.masked[start:end]
        if not sentence.strip():
            continue
        inside = [(a - start, b - start, e) for a, b, e in places if start <= a < end]
        asked = read_question(r.text[start:end], sentence, r.lexicon, inside)
        if asked and _about_items(asked, r, p, sentence):
            return asked, (start, end)
    return None, None


def _about_items(asked: Asked, r: Reading, p: _Pieces, sentence: str) -> bool:
    """A question needs something to be about: a named item or something on screen."""
    if r.state.slate.item_ids or any(x.kind == "item" for x in p.links):
        return True
    if r.state.beliefs.mentions and re.search(r"\b(?:it|that|this|they)\b", sentence):
        return True
    named = bool(re.search(r"\b(?:it|that|this|these|those)\b|[\"']", sentence))
    return asked.kind in ("about", "fact", "why") and named


def _as_question(
    r: Reading, asked: Asked | None, mentions: list[Mention], p: _Pieces, it: Ref | None, every: Ref | None
) -> Question | None:
    if asked is None:
        return None
    ids = [m.item_id for m in mentions]
    if not ids and it and not (asked.kind == "superlative" or asked.kind == "compare"):
        ids = list(it.item_ids)
    if not ids and every:
        ids = list(every.item_ids)
    if not ids and asked.kind in ("fact", "about", "why"):
        focus = focus_item(r.state)
        unknown = r.linker.unknown(r.text, p.links)
        ids = [focus] if focus and not unknown else []
    if asked.kind == "superlative" and len(ids) == 1:
        ids = []
    return Question(
        kind=asked.kind, item_ids=tuple(dict.fromkeys(ids)), field=asked.field,
        direction=asked.direction, said=asked.said.strip(),
    )  # fmt: skip


# ------------------------------------------------------------------------ mentions


def _mentions(
    r: Reading, p: _Pieces, it: Ref | None, every: Ref | None, asked: Asked | None, asked_in: tuple[int, int] | None
) -> list[Mention]:
    out: list[Mention] = []
    items = [x for x in p.links if x.kind == "item"]
    pointed: list[tuple[int, int, str, tuple[str, ...]]] = [
        (x.start, x.end, x.said, (x.value,)) for x in items
    ] + [(x.start, x.end, x.said, x.item_ids) for x in p.refs]
    listing = _only_names(r, items)
    for start, end, words, ids in sorted(pointed):
        operator = p.scopes.operator(start)
        attitude = _ATTITUDE[operator]
        relative = operator == "similar"
        push = re.search(r"\b(more|less)(?: of)?\s+$", r.low[:start])
        if push:  # "more Titanic, less Inception"
            relative = push.group(1) == "more"
            attitude = "like" if relative else "reject"
        after = r.low[end : end + 90]
        if attitude in ("neutral", "seen") and not _within(start, asked_in):
            verdict = _PRAISE.match(after) or _IT_AFTER.match(_until_name(after, end, pointed))
            if verdict:
                attitude = "like" if verdict.group("good") else "dislike"
        if attitude == "neutral" and listing and operator in ("none", "want"):
            attitude = "like"
        out += [
            Mention(item_id=i, said=words, attitude=attitude, turn=r.turn, relative=relative)
            for i in ids
        ]
    if not pointed and not asked:
        out += _pronouns(r, p, it, every)
    return out


def _until_name(after: str, end: int, pointed: list[tuple[int, int, str, tuple[str, ...]]]) -> str:
    """Text after a name up to the next name: a verdict beyond that is about the other one."""
    following = [s for s, *_ in pointed if s >= end]
    return after[: min(following) - end] if following else after


def _only_names(r: Reading, items: list[Link]) -> bool:
    """The turn is names and little else: an answer to "what do you like?"."""
    used = sum(x.end - x.start for x in items)
    return bool(items) and used >= 0.7 * len(r.text)


_SAID_OF_IT: Final[list[tuple[Attitude, bool, re.Pattern[str]]]] = [
    ("reject", True, re.compile(r"\bnone of (?:these|those|them)\b|\bdon'?t (?:like|want|fancy) any\b|\bnot (?:these|those|any of)\b|\bdidn'?t like any\b")),
    ("seen", True, re.compile(r"\b(?:seen|watched|know) (?:all (?:of )?(?:them|these|those)|them(?: all)?|these|those|both|every)\b|\bseen all\b")),
    ("seen", False, re.compile(r"\b(?:already |ve |have )?(?:seen|watched) (?:it|that|this)(?: one)?\b|\balready (?:seen|watched)\b")),
    ("dislike", False, re.compile(r"\b(?:hated|disliked|didn'?t (?:really )?like|don'?t (?:really )?like|can'?t stand) (?:it|that|this)\b")),
    ("reject", False, re.compile(r"\bnot (?:that|this)(?: one)?\b(?! (?:\w+ly |too |so |very )?[a-z]+)|\bpass on (?:it|that|this)|\bnot interested in (?:it|that|this)\b")),
    ("like", False, re.compile(r"\b(?:love|loved|like|liked|enjoyed) (?:it|that|this)(?: one| film| movie)?\W*(?:$|[.,!])")),
    ("like", True, re.compile(r"\b(?:love|loved|like|liked|enjoyed) (?:these|those|them|both|all)\b")),
]  # fmt: skip
_LIKE_THAT: Final = re.compile(r"\b(?:more like|like|similar to) (?:it|that|this)(?: one| film| movie)?(?!\s+\w)\b|\bmore (?:like|of) (?:these|those|them|that)\b|\bless like (?:it|that)\b")


def _pronouns(r: Reading, p: _Pieces, it: Ref | None, every: Ref | None) -> list[Mention]:
    """What is thought of "it", "that one", "these", "none of them"."""
    if _LIKE_THAT.search(p.masked) and (it or every):
        source = it or every
        ids = source.item_ids if source else ()
        if every:
            ids = every.item_ids
        return [
            Mention(item_id=i, said=source.said if source else "", attitude="like", turn=r.turn, relative=True)
            for i in ids
        ]  # fmt: skip
    for attitude, many, pattern in _SAID_OF_IT:
        m = pattern.search(p.masked)
        if m is None:
            continue
        if re.search(r"(?:n't|not|never|no)\s+(?:yet |even |actually )?$", p.masked[: m.start()]) and attitude in ("seen", "like"):
            continue
        focus = focus_item(r.state)
        ids = r.state.slate.item_ids if many else ((focus,) if focus else ())
        if many and "both" in m.group():
            ids = ids[:2]
        return [Mention(item_id=i, said=m.group(), attitude=attitude, turn=r.turn) for i in ids]
    return []


# ----------------------------------------------------------------- numbers and rest


def _numbers(
    r: Reading, p: _Pieces, said: Said, asked_in: tuple[int, int] | None, taken: list[tuple[int, int]]
) -> None:
    for n in p.numbers:
        if _within(n.start, asked_in) or any(n.start < e and n.end > s for s, e in taken):
            said.hard.append((n.start, n.end))
            continue
        if any(x.start < n.end and x.end > n.start for x in p.refs):
            continue
        operator = p.scopes.operator(n.start)
        said.hard.append((n.start, n.end))
        if operator in ("seen", "unseen"):
            continue
        if operator in ("retract", "indifferent"):
            said.retract.append(n.field)
            continue
        for op, values in n.bounds:
            said.add.append(
                Clause(field=n.field, op=op, values=values, said=r.text[n.start : n.end], turn=r.turn)
            )


def _unknown(r: Reading, p: _Pieces, said: Said) -> list[str]:
    names = r.linker.unknown(r.text, p.links)
    used = [r.text[s:e].lower() for s, e in said.hard + said.soft]
    values = {t.word for f in p.found for t in tokens(f.said)} | r.lexicon.nouns
    out = []
    for name in names:
        words = {t.word for t in tokens(name)}
        if words <= values or any(name.lower() in u for u in used):
            continue
        place = r.text.find(name)
        if p.scopes.operator(place) == "want" and not re.match(r'"', r.text[place - 1 :]):
            continue
        out.append(name)
    return out


def _about(r: Reading, p: _Pieces, said: Said, named: bool, unknown: list[str]) -> str:
    hard = list(said.hard)
    for name in unknown:
        place = r.text.find(name)
        hard.append((place, place + len(name)))
    answering = intents.last_act(r.state) == "ask"
    shown = bool(r.state.slate.item_ids)
    eager = answering or not shown and not (said.add or said.wishes or said.retract or named)
    long_chat = len(r.toks) > 14 and not answering
    return read_about(r.low, r.toks, hard, said.soft, p.scopes, r.lexicon.nouns, eager and not long_chat)


# -------------------------------------------------------------------------- intent


def decide_intent(r: Reading, u: StateUpdate, pointing: bool) -> StateUpdate:
    """The intent that fits what was found and what the agent did last."""
    low = r.low
    shown = bool(r.state.slate.item_ids)
    act = intents.last_act(r.state)
    content = bool(u.add or u.wishes or u.retract or u.about)
    if intents.says("undo", low) and not u.add and not u.wishes:
        return _only("undo")
    if intents.says("reset", low):
        if u.add or u.wishes:
            return u.model_copy(update={"intent": "recommend", "retract": ("all",)})
        return _only("reset", retract=("all",))
    if act == "blocked":
        relaxed = _relax(r, u)
        if relaxed is not None:
            return relaxed
    if u.question is not None:
        kinds: dict[str, Intent] = {"why": "ask_why", "compare": "compare", "superlative": "compare"}
        return u.model_copy(update={"intent": kinds.get(u.question.kind, "ask_fact")})
    if act == "ask":
        asked = r.state.beliefs.asked[-1:] or ()
        if intents.says("indifferent", low) and not u.add and not u.wishes and not u.mentions:
            indifferent = tuple(dict.fromkeys((*u.indifferent, *asked)))
            return u.model_copy(update={"intent": "answer", "indifferent": indifferent, "about": ()})
        if (content or u.mentions) and not intents.says("reset", low):
            return u.model_copy(update={"intent": "answer"})
    return u.model_copy(update=_by_words(r, u, shown, content, pointing))


def _by_words(r: Reading, u: StateUpdate, shown: bool, content: bool, pointing: bool) -> dict[str, object]:
    low = r.low
    firm = bool(u.add or u.wishes or u.retract)
    refused = any(m.attitude in ("reject", "seen", "dislike") for m in u.mentions)
    relative = any(m.relative for m in u.mentions)
    if shown and intents.says("accept", low) and not firm and not refused and not relative:
        return _accepted(r, u)
    more = intents.says("more", low) or (u.count is not None and not u.mentions)
    if shown and more and not firm and not u.about and not relative and not _named_off_slate(r, u):
        return {"intent": "more", "about": ()}
    if shown and (firm or relative):
        return {"intent": "critique"}
    if shown and (refused or intents.says("reject", low)) and not u.about:
        return {"intent": "reject", "about": ()}
    if shown and (u.about or u.indifferent):
        return {"intent": "critique"}
    wants = intents.says("recommend", low)
    if shown and len(u.mentions) == 1 and len(r.toks) <= 4 and not refused and pointing:
        return _accepted(r, u)  # "the second one", said of a list, is a choice
    if not firm and not u.mentions and not u.unknown and not wants and _off_topic(r):
        return {"intent": _small_talk(low) or "chat", "about": ()}
    if firm or u.unknown or (u.mentions and not pointing) or (u.about and (wants or len(r.toks) < 15)):
        small = _small_talk(low)
        if small and not firm and not u.mentions and not u.unknown and not wants:
            return {"intent": small, "about": ()}
        return {"intent": "recommend"}
    for name in ("help",):
        if intents.says(name, low):
            return {"intent": name, "about": ()}
    if more and u.count is not None:
        return {"intent": "more" if shown else "recommend", "about": ()}
    if wants or (intents.says("yes", low) and not shown and intents.last_act(r.state) in ("greet", "chat", "help")):  # fmt: skip
        return {"intent": "recommend"}
    small = _small_talk(low)
    if small:
        return {"intent": small, "about": ()}
    if shown and intents.says("no", low) and len(r.toks) <= 4:
        return {"intent": "reject", "about": ()}
    if intents.says("indifferent", low) and not u.about:
        return {"intent": "recommend"}
    tastes = bool(re.search(r"\b(?:i|we|my|me)\b", low)) and bool({t.word for t in r.toks} & r.lexicon.nouns)
    return {"intent": "recommend" if (u.about or tastes) and not shown else "chat"}


def _off_topic(r: Reading) -> bool:
    """A question that asks for nothing we have: "what's the weather like?"."""
    asks = re.match(r"\W*(?:what|how|who|where|when|why|is|are|do|does|can|could|will)\b", r.low)
    nouns = any(t.word in r.lexicon.nouns for t in r.toks)
    return bool(asks) and not nouns and ("?" in r.low or len(r.toks) > 3)


def _small_talk(low: str) -> Intent | None:
    names: list[Intent] = ["bye", "thanks", "greet", "help"]
    for name in names:
        if intents.says(name, low):
            return name
    return None


def _named_off_slate(r: Reading, u: StateUpdate) -> bool:
    return any(m.item_id not in r.state.slate.item_ids for m in u.mentions)


def _accepted(r: Reading, u: StateUpdate) -> dict[str, object]:
    """A choice: the item named or pointed at, else what was spoken of last."""
    chosen = list(u.mentions)
    if not chosen:
        focus = focus_item(r.state)
        chosen = [Mention(item_id=focus, said="", attitude="like", turn=r.turn)] if focus else []
    liked = tuple(m.model_copy(update={"attitude": "like"}) for m in chosen)
    return {"intent": "accept", "mentions": liked, "about": ()}


def _only(intent: Intent, retract: tuple[str, ...] = ()) -> StateUpdate:
    return StateUpdate(intent=intent, retract=retract)


def _relax(r: Reading, u: StateUpdate) -> StateUpdate | None:
    """After ``blocked``: which of the offered options is agreed to; None when it is something else."""
    options = r.state.plan.relax if r.state.plan else ()
    if not options or intents.says("no", r.low) and not u.retract:
        return None
    m = re.search(r"\b(first|second|third|fourth|1|2|3|4|one|two|three)\b", r.low)
    place = {"first": 0, "1": 0, "one": 0, "second": 1, "2": 1, "two": 1, "third": 2, "3": 2, "three": 2, "fourth": 3, "4": 3}  # fmt: skip
    fields = {c.field for option in options for c in option}
    if u.retract or u.indifferent:
        named = [f for f in (*u.retract, *u.indifferent) if f in fields]
        return u.model_copy(update={"intent": "relax" if named else "critique"})
    if u.add or u.wishes:
        return None
    chosen: tuple[Clause, ...] = ()
    by_word = [o for o in options if any(_names_field(r, c.field) or (c.said and c.said.lower() in r.low) for c in o)]
    if by_word:
        chosen = by_word[0]
    elif m and len(r.toks) <= 8 and place[m.group()] < len(options):
        chosen = options[place[m.group()]]
    elif intents.says("yes", r.low) or intents.says("indifferent", r.low):
        chosen = options[0]
    if not chosen:
        return None
    return _only("relax", tuple(dict.fromkeys(c.field for c in chosen)))


def _names_field(r: Reading, name: str) -> bool:
    words: set[str] = r.lexicon.facet_words(name)
    return any(re.search(rf"\b{re.escape(w)}\b", r.low) for w in words)


Direction = Literal[-1, 1]
__all__ = ["Direction", "Reading", "ScaleWord", "decide_intent", "read"]
