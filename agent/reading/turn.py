"""One turn, read by rules: its pieces, then what they say, then the intent that fits."""

import re
from collections.abc import Iterable
from typing import Final

from agent.reading import intents
from agent.reading.cues import Scopes
from agent.reading.decide import decide_intent, settle
from agent.reading.mentions import read_mentions
from agent.reading.pieces import Pieces, Reading, find_pieces, within
from agent.reading.questions import Asked, read_question
from agent.reading.refs import Ref, focus_item, read_all, read_it
from agent.reading.relative import read_relative
from agent.reading.remainder import read_about
from agent.reading.retract import read_facet_words
from agent.reading.sensed import sensed_subjects
from agent.reading.values import Said, pick, read_values
from agent.state import About, Mention, Question, StateUpdate
from catalog.filters import Clause
from tools.names import tokens

_ONE_MEANT: Final = r"\b(?:it|its|that one|this one|the @NOUN)\b"


def read(r: Reading) -> StateUpdate:
    """The state update of one turn by rules alone."""
    p = find_pieces(r)
    asked, asked_in = _question(r, p)
    it = read_it(p.masked, r.state, r.lexicon.speech)
    every = read_all(p.masked, r.state)
    counted = [(n.start, n.end) for n in p.numbers]
    relative = read_relative(r, p.masked, p.scopes, p.links, p.refs, it, counted, p.found)
    mentions = read_mentions(r, p, it, every, asked, asked_in)
    anchor = next((m.item_id for m in mentions if m.relative), None) or relative.anchor
    live = [f for f in p.found if not within(f.start, asked_in)]
    said = read_values(
        p.masked, live, [x for x in p.links if not within(x.start, asked_in)], p.scopes, r.lexicon,
        r.turn, anchor,
    )  # fmt: skip
    said.hard += [(one.start, one.end) for one in p.found if one not in live]
    _numbers(r, p, said, asked_in, relative.spans)
    for clause, span in zip(relative.clauses, relative.spans, strict=True):
        if not within(span[0], asked_in):
            said.add.append(clause)
    said.hard += relative.spans
    read_facet_words(p.masked, r.lexicon, r.state, p.scopes, said)
    if asked:
        said.hard.append(asked_in or (0, 0))
    said.hard += [(x.start, x.end) for x in p.links] + [(x.start, x.end) for x in p.refs]
    said.hard += [(x.start, x.end) for x in (it, every) if x]
    unknown = _unknown(r, p, said)
    count = intents.read_count(p.masked, r.lexicon.speech) if not p.refs else None
    avoid = _avoided(r, p, said)
    about = _about(r, p, said, bool(mentions), unknown)
    mentions = _taken_back(r, p, mentions, said)
    question = _as_question(r, asked, mentions, p, it, every)
    update = StateUpdate(
        intent="chat",
        mentions=tuple(_dedupe(mentions)),
        add=_tightest(c for c in said.add if c.field not in said.retract or c.op == "none"),
        retract=tuple(dict.fromkeys(said.retract)),
        wishes=tuple({w.scale: w for w in said.wishes}.values()),
        about=(About(text=about, turn=r.turn),) if about else (),
        avoid=tuple(About(text=words, turn=r.turn) for words in avoid),
        question=question,
        count=count,
        unknown=tuple(unknown),
        indifferent=tuple(dict.fromkeys(said.indifferent)),
    )
    update = decide_intent(r, update, bool(every or it or p.refs))
    if about and r.state.beliefs.about and _anew(r):
        update = update.model_copy(update={"retract": (*update.retract, "about")})
    return settle(r, update) if r.sensed is not None else update


def _taken_back(r: Reading, p: Pieces, mentions: list[Mention], said: Said) -> list[Mention]:
    """ "forget Arrival" takes back what was said of it; "remove the second" rejects it."""
    places = {x.value: x.start for x in p.links if x.kind == "item"}
    places |= {i: x.start for x in p.refs for i in x.item_ids}
    held = {m.item_id for m in r.state.beliefs.mentions}
    out = []
    for m in mentions:
        if p.scopes.operator(places.get(m.item_id, -1)) != "retract":
            out.append(m)
        elif m.item_id in held or m.item_id not in r.state.slate.item_ids:
            said.retract.append(m.item_id)
        else:
            out.append(m.model_copy(update={"attitude": "reject"}))
    return out


def _tightest(clauses: Iterable[Clause]) -> tuple[Clause, ...]:
    """Of several bounds on one side of a facet the narrowest: "something short, 80 minutes"."""
    out: dict[object, Clause] = {}
    for clause in clauses:
        key: object = (clause.field, clause.op) if clause.op in ("ge", "le") else id(clause)
        old = out.get(key)
        if old is None or (clause.values > old.values) == (clause.op == "ge"):
            out[key] = clause
    return tuple(out.values())


def _dedupe(mentions: Iterable[Mention]) -> list[Mention]:
    """One mention an item: the first that has an attitude, or that anchors the request."""
    out: dict[str, Mention] = {}
    for m in mentions:
        old = out.get(m.item_id)
        if old is None or old.attitude == "neutral" or m.relative:
            out[m.item_id] = m
    return list(out.values())


def _question(r: Reading, p: Pieces) -> tuple[Asked | None, tuple[int, int] | None]:
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
        if asked and asked.kind == "fact" and asked.field is None:
            if not _points_at_item(p, r, start, end):
                continue
            words = read_about(
                sentence,
                tokens(sentence),
                _used(p, start),
                [],
                Scopes("", r.lexicon.speech),
                r.lexicon.nouns | r.lexicon.fillers,
                True,
            )
            premise = next((f.name for f in r.lexicon.by_role("premise")), None)
            asked = asked._replace(field=" ".join(words.split()[:3]) or premise)
        if asked and _about_items(asked, r, p, sentence):
            return asked, (start, end)
    return None, None


def _used(p: Pieces, start: int) -> list[tuple[int, int]]:
    spans = [(x.start, x.end) for x in p.links] + [(x.start, x.end) for x in p.refs]
    return [(s - start, e - start) for s, e in spans]


def _points_at_item(p: Pieces, r: Reading, start: int, end: int) -> bool:
    """Is one item meant in this sentence: by name, by place on the slate, or by "it"?"""
    if any(start <= s + start < end for s, _ in _used(p, start)):
        return any(x.kind == "item" for x in p.links) or bool(p.refs)
    return bool(r.state.slate.item_ids) and bool(
        r.lexicon.speech.pattern(_ONE_MEANT).search(p.masked[start:end])
    )


def _about_items(asked: Asked, r: Reading, p: Pieces, sentence: str) -> bool:
    """A question needs something to be about: a named item or something on screen."""
    if r.state.slate.item_ids or any(x.kind == "item" for x in p.links):
        return True
    if r.state.beliefs.mentions and re.search(r"\b(?:it|that|this|they)\b", sentence):
        return True
    named = bool(re.search(r"\b(?:it|that|this|these|those)\b|[\"']", sentence))
    return asked.kind in ("about", "fact", "why") and named


def _as_question(
    r: Reading,
    asked: Asked | None,
    mentions: list[Mention],
    p: Pieces,
    it: Ref | None,
    every: Ref | None,
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


def _numbers(
    r: Reading,
    p: Pieces,
    said: Said,
    asked_in: tuple[int, int] | None,
    taken: list[tuple[int, int]],
) -> None:
    for n in p.numbers:
        if within(n.start, asked_in) or any(n.start < e and n.end > s for s, e in taken):
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
                Clause(
                    field=n.field, op=op, values=values, said=r.text[n.start : n.end], turn=r.turn
                )
            )


def _unknown(r: Reading, p: Pieces, said: Said) -> list[str]:
    names = r.linker.unknown(r.text, p.links)
    used = [r.text[s:e].lower() for s, e in said.hard + said.soft]
    values = {t.word for f in p.found for t in tokens(f.said)} | r.lexicon.nouns
    out = []
    for name in names:
        words = {t.word for t in tokens(name)}
        if words <= values or any(name.lower() in u for u in used):
            continue
        place = r.text.find(name)
        by = re.search(r"\bby\s+$", r.low[: max(0, place)])
        if (
            p.scopes.operator(place) == "want"
            and not by
            and not re.match(r'"', r.text[place - 1 :])
        ):
            continue
        out.append(name)
    return out


_NOTHING_ABOUT: Final = (
    r"\b(?:nothing|no (?:more )?(?:@NOUN|ones|stories)|not|"
    r"(?:don'?t|do not|didn'?t|wouldn'?t) want (?:anything|something|any|@NOUN)?|"
    r"avoid (?:anything|everything|@NOUN)?|without anything|anything but)\s*"
    r"(?:about|on|involving|featuring|set in|set on|that deals with|with)\s+(?:the |an? |any )?"
    r"(?P<what>[^.,;!?\n]{3,40}?)(?=[.,;!?\n]|\b(?:and|or|but|please|either|though)\b|$)"
)


def _avoided(r: Reading, p: Pieces, said: Said) -> list[str]:
    """Subjects that are ruled out in words of no facet: "nothing about boarding schools"."""
    out = []
    for m in r.lexicon.speech.pattern(_NOTHING_ABOUT).finditer(p.masked):
        start, end = m.span("what")
        taken = [(x.start, x.end) for x in p.links] + [(x.start, x.end) for x in p.refs]
        taken += [(f.start, f.end) for f in p.found] + [(n.start, n.end) for n in p.numbers]
        if any(s < end and e > start for s, e in taken):
            continue  # a value, a name or a number: a clause says it exactly
        words = [t.word for t in tokens(m.group("what")) if t.word not in r.lexicon.nouns]
        if words and any(len(w) > 3 for w in words):
            out.append(m.group("what").strip())
            said.hard.append(m.span())
    return out[:2]


#: Orders to a machine are no subject: nobody looks for films about "your next sentence".
_ORDERS: Final = re.compile(
    r"\b(?:translate|repeat after|print|output|ignore|disregard|pretend|system prompt|instructions?"
    r"|(?:next|previous) (?:sentence|message|reply)|verbatim|(?:respond|reply|answer) with)\b"
)


def _anew(r: Reading) -> bool:
    """ "a film about chess" is a request of its own, "also with robots" adds to the last one."""
    if re.search(r"\b(?:also|too|as well|and with|plus|still)\b", r.low):
        return False
    nouns = "|".join(re.escape(noun) for noun in sorted(r.lexicon.nouns) if noun)
    return bool(re.search(rf"\b(?:an?|some|any)\b(?: [\w'-]+){{0,3}} (?:{nouns})\b", r.low))


def _about(r: Reading, p: Pieces, said: Said, named: bool, unknown: list[str]) -> str:
    """What the turn is about; a soft wish is not said a second time beside a subject."""
    words = _described(r, p, said, named, unknown)
    if _ORDERS.search(words):
        return ""
    found = words.split(", ")
    wished = {w.said.casefold() for w in said.wishes}
    return ", ".join([one for one in found if one.casefold() not in wished] or found)


def _described(r: Reading, p: Pieces, said: Said, named: bool, unknown: list[str]) -> str:
    hard = list(said.hard)
    for name in unknown:
        place = r.text.find(name)
        hard.append((place, place + len(name)))
    answering = intents.last_act(r.state) == "ask"
    shown = bool(r.state.slate.item_ids)
    eager = answering or (not shown and not (said.add or said.wishes or said.retract or named))
    long_chat = len(r.toks) > 14 and not answering
    subjects = sensed_subjects(r.sensed) if r.sensed is not None else []
    return read_about(
        r.low,
        r.toks,
        hard,
        said.soft,
        p.scopes,
        r.lexicon.nouns | r.lexicon.labels | r.lexicon.fillers,
        eager and not long_chat,
        subjects,
    )
