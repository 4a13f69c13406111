"""One turn, read by rules: its pieces, then what they say, then the intent that fits."""

import re
from collections.abc import Iterable
from typing import Final

from agent.reading.counts import read_count
from agent.reading.cues import Scopes
from agent.reading.decide import decide_intent, settle
from agent.reading.lexicon import ScaleWord
from agent.reading.mentions import read_mentions
from agent.reading.pieces import Pieces, Reading, find_pieces, within
from agent.reading.questions import Asked, read_question
from agent.reading.refs import Ref, focus_item, read_all, read_it
from agent.reading.relative import read_relative
from agent.reading.remainder import read_about
from agent.reading.retract import read_facet_words
from agent.reading.senses import pick
from agent.reading.sets import of_a_set
from agent.reading.subjects import about_of, anew, avoided, own_request
from agent.reading.values import Said, read_values
from agent.state import About, Mention, Question, StateUpdate
from catalog.filters import Clause
from tools.names import tokens

_OF_SETS: Final = ("which", "count")
_ONE_MEANT: Final = r"\b(?:it|its|that one|this one|the @NOUN)\b"


def read(r: Reading) -> StateUpdate:
    """The state update of one turn by rules alone."""
    p = find_pieces(r)
    asked, asked_in = _question(r, p)
    it = read_it(p.masked, r.state, r.lexicon.speech)
    every = read_all(p.masked, r.state)
    counted = [(n.start, n.end) for n in p.numbers]
    relative = read_relative(r, p.masked, p.scopes, p.links, p.refs, it, counted, p.found)
    mentions = read_mentions(r, p, it, every, asked, asked_in, relative.compared)
    anchor = next((m.item_id for m in mentions if m.relative), None) or relative.anchor
    asked_of = asked_in if asked and (asked.kind in _OF_SETS or asked.over == "catalogue") else None
    if asked_of:
        asked_in = None  # its words say which items are meant, and are read as ever
    live = [f for f in p.found if not within(f.start, asked_in)]
    said = read_values(
        p.masked, live, [x for x in p.links if not within(x.start, asked_in)], p.scopes, r.lexicon,
        r.turn, anchor,
    )  # fmt: skip
    said.hard += [(one.start, one.end) for one in p.found if one not in live]
    _numbers(r, p, said, asked_in, relative.spans)
    figures = {(c.field, c.op) for c in said.add}  # "old, 1999 at the latest": the figure counts
    said.add += [
        c
        for c, place in relative.clauses
        if not within(place, asked_in) and (c.field, c.op) not in figures
    ]
    said.retract += relative.retract
    said.hard += relative.spans
    criteria = tuple(said.add) if asked_of else ()
    if asked_of:
        said = Said(hard=[*said.hard, asked_of])
    read_facet_words(p.masked, r.lexicon, r.state, p.scopes, said)
    if asked:
        said.hard.append(asked_in or (0, 0))
    said.hard += [(x.start, x.end) for x in p.links] + [(x.start, x.end) for x in p.refs]
    said.hard += [(x.start, x.end) for x in (it, every) if x]
    unknown = _unknown(r, p, said)
    count = read_count(_covered(r, p), r.lexicon.speech)
    avoid = avoided(r, p, said)
    about = about_of(r, p, said, bool(mentions), unknown)
    mentions = _taken_back(r, p, mentions, said)
    question = _as_question(r, asked, mentions, p, it, every)
    if question and asked_of:
        question = question.model_copy(update={"clauses": criteria})
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
    update = update.model_copy(update={"anew": own_request(r, update)})
    if about and r.state.beliefs.about and anew(r):
        update = update.model_copy(update={"retract": (*update.retract, "about")})
    return settle(r, update) if r.sensed is not None else update


def _covered(r: Reading, p: Pieces) -> str:
    """The turn for counting: names, references and amounts covered, categories as things."""
    covered = [(x.start, x.end, "x") for x in p.links]
    covered += [(x.start, x.end, "x") for x in p.refs] + [(n.start, n.end, "x") for n in p.numbers]
    for f in p.found:
        entry = pick(f, r.low, r.lexicon)
        if not isinstance(entry, ScaleWord) and r.lexicon.facets[entry.facet].role == "category":
            covered.append((f.start, f.end, r.lexicon.domain.noun_many))
    text, last = "", 0
    for start, end, word in sorted(covered):
        if start >= last:
            text += p.masked[last:start] + word
            last = end
    return text + p.masked[last:]


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
    masked = list(p.masked)
    for ref in p.refs:
        if ref.kind == "described":  # "how long is the newest one?" asks for no superlative
            masked[ref.start : ref.end] = "x" * (ref.end - ref.start)
    for m in re.finditer(r"[^.!?\n]*(?:[.!?\n]+|$)", "".join(masked)):
        start, end = m.span()
        sentence = m.group()
        if not sentence.strip():
            continue
        inside = [(a - start, b - start, e) for a, b, e in places if start <= a < end]
        shown = bool(r.state.slate.item_ids)
        kind = of_a_set(sentence, shown)
        if kind and inside:
            return Asked(kind, None, None, sentence), (start, end)
        asked = read_question(r.text[start:end], sentence, r.lexicon, inside, shown)
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
    if asked.over == "catalogue":
        return bool(asked.field)
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
    if (asked.kind == "superlative" and len(ids) == 1) or asked.over == "catalogue":
        ids = []
    if asked.kind in _OF_SETS and not ids:
        ids = list(r.state.slate.item_ids)
    return Question(
        kind=asked.kind, item_ids=tuple(dict.fromkeys(ids)), field=asked.field,
        direction=asked.direction, said=asked.said.strip(), over=asked.over,
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
