"""From a plan to briefs: which units a reply has, and which slots each may use.

One brief is one sentence or one card's reason. Nothing is offered to the talker that
the catalogue, the person or a computation does not back.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from agent.evidence import as_noun, choose, ties
from agent.phrases import asked_things, clauses_text, listed, standing, value_text
from agent.slots import field_evidence, item_slots
from agent.state import Beliefs, DialogueState, Evidence, Plan
from agent.talker import Brief
from catalog.filters import Clause, compile
from catalog.items import Catalog, Facet
from tools.tokens import SLOTS

#: Slots beside a tie's own that a reason may use, so that sentences vary.
EXTRA = ("<i1.title>", "<i1.date>", "<i1.maker>", "<i1.category>")
WORDS_FOR_COUNT = "zero one two three four five six seven eight nine ten".split()
ORDER = {slot: k for k, slot in enumerate(SLOTS)}
Unitary = tuple[Brief, dict[str, Evidence], str | None]  # brief, evidence, item id


def make(act: str, evidence: Mapping[str, Evidence], tie_names: Sequence[str] = ()) -> Brief:
    slots = tuple(sorted(evidence, key=ORDER.__getitem__))
    texts = {slot: evidence[slot].text for slot in slots}
    return Brief(act=act, ties=tuple(tie_names), slots=slots, texts=texts)


def nouns(
    catalog: Catalog, count: int | None = None, clauses: Sequence[Clause] = ()
) -> dict[str, Evidence]:
    """What the items are called: "films"; "tents" where tents were asked for."""
    domain = catalog.domain
    one, many = domain.noun_one, domain.noun_many
    if things := asked_things(domain, clauses):
        one, many, _ = things
    result = {
        "<noun>": Evidence(slot="<noun>", text=one, source="computed"),
        "<nouns>": Evidence(slot="<nouns>", text=many, source="computed"),
    }
    if count is not None:
        word = WORDS_FOR_COUNT[count] if count < len(WORDS_FOR_COUNT) else str(count)
        result["<count>"] = Evidence(slot="<count>", text=word, source="computed")
    return result


def asked_for(catalog: Catalog, beliefs: Beliefs, newest: int) -> dict[str, Evidence]:
    """What the person asked, as slots: what turn ``newest`` said first, at most five."""
    facets = {f.name: f for f in catalog.domain.facets}
    result: dict[str, Evidence] = {}
    things = asked_things(catalog.domain, beliefs.clauses)
    pairs = clauses_text(facets, [c for c in beliefs.clauses if not things or c != things[2]])
    pairs.sort(key=lambda pair: (pair[0].turn != newest, pair[0].op == "none"))
    for k, (clause, text) in enumerate(pairs[:2], 1):
        slot = f"<c{k}>"
        result[slot] = Evidence(slot=slot, text=text, field=clause.field, source="user")
    words = [(a.text, a.turn) for a in beliefs.about]
    words += [(w.said, w.turn) for w in beliefs.wishes if not any(w.said in a for a, _ in words)]
    words.sort(key=lambda pair: pair[1] != newest)
    if things:  # "boots for hiking boots" says it twice
        words = [w for w in words if not any(n in w[0].split() for n in things[1].split())]
    for k, text in enumerate(dict.fromkeys(as_noun(catalog, w) for w, _ in words[:2]), 1):
        result[f"<u{k}>"] = Evidence(slot=f"<u{k}>", text=text, source="user")
    anchors = [m for m in beliefs.mentions if m.relative] or [
        m for m in beliefs.mentions if m.attitude == "like"
    ][-2:]
    known = [m for m in anchors if catalog.has(m.item_id)]
    for k, mention in enumerate(known[:2], 1):
        title = catalog.item(mention.item_id).title
        slot = f"<m{k}>"
        result[slot] = Evidence(slot=slot, text=title, item_id=mention.item_id, source="user")
    return result


def opening(state: DialogueState, catalog: Catalog, act: str, count: int) -> Unitary:
    """The sentence above the cards."""
    evidence = nouns(catalog, count, state.beliefs.clauses)
    evidence |= asked_for(catalog, state.beliefs, len(state.turns) - 1)
    if count == 1:  # "here is a film", never "one films"
        del evidence["<count>"], evidence["<nouns>"]
    name = {"recommend": "intro"}.get(act, act)
    return make(name, evidence), evidence, None


def reason(
    catalog: Catalog,
    item_id: str,
    beliefs: Beliefs,
    about: Mapping[str, np.ndarray],
    act: str = "recommend",
    varied: int = 0,
    told: Collection[str] = (),
    used: Sequence[str] = (),
) -> Unitary:
    """The reason on one card (or for "why?"): one or two ties and a few more fields.

    ``told``: premises that stand on other cards already; ``used``: the ties they rest on.
    """
    item = catalog.item(item_id)
    found = ties(catalog, item, beliefs, about, told, short=varied % 3 != 0)
    chosen = choose(found, crc32(item_id.encode()) + varied, used)
    evidence = {e.slot: e for tie in chosen for e in tie.evidence}
    fields = item_slots(catalog, item)
    earned = {f"<i1.{tie.name}>" for tie in chosen}
    # "You asked for less slow; this one was made in 2017" would be no reason at all.
    extra = EXTRA[:1] if [tie.name for tie in chosen] == ["wish"] else EXTRA
    for slot in extra:
        # A tie earned by a shared value must not be told as if its whole field were shared.
        if slot in fields and slot not in evidence and slot not in earned:
            evidence[slot] = fields[slot]
    evidence |= nouns(catalog, clauses=beliefs.clauses)
    return make(act, evidence, [t.name for t in chosen]), evidence, item_id


def plain(state: DialogueState, catalog: Catalog, plan: Plan) -> Unitary:
    """The one sentence of every act that shows no slate."""
    beliefs = state.beliefs
    evidence: dict[str, Evidence] = {}
    if plan.item_ids:
        item = catalog.item(plan.item_ids[0])
        evidence["<i1.title>"] = item_slots(catalog, item)["<i1.title>"]
    match plan.act:
        case "ask":
            evidence = _question(catalog, plan)
        case "answer" if plan.answers:
            evidence |= {e.slot: e for e in plan.answers}
        case "answer":
            facet = catalog.facet(str(plan.facet))
            item = catalog.item(plan.item_ids[0])
            slot, text = _told(facet, item.values[facet.name])
            evidence[slot] = field_evidence(item, facet, text, slot)
        case "unknown":
            evidence |= _unknown(catalog, plan)
        case "compare":
            titles = len(plan.answers) and plan.answers[0].slot.startswith("<i")
            evidence = _both_titles(catalog, plan) if titles else {}
            evidence |= {e.slot: e for e in plan.answers}
        case "blocked":
            evidence = _blocked(catalog, beliefs, plan)
        case "greet" | "help" | "bye" | "chat" | "undo":
            evidence |= nouns(catalog)
        case _:
            pass
    brief = make(plan.act, evidence)
    if plan.act == "chat":
        brief = brief.model_copy(update={"said": state.turns[-1].text[:80]})
    return brief, evidence, None


def _told(facet: Facet, value: Any) -> tuple[str, str]:
    """The slot and words of an answer: a plain field, or a state that the item "is"."""
    text = value_text(facet, value, 8)
    if facet.phrase and not facet.phrase.startswith("that are"):
        return "<a1>", facet.phrase.format(text)
    if facet.kind == "number" and facet.role == "amount":
        if standing(facet, float(value)):
            count = f" ({value:g})" if float(value) > 1 else ""
            return "<a1>", text + count
        if facet.unit == "stars":
            return "<a1>", f"rated {text}"
    return f"<i1.{facet.role}>", text


def _question(catalog: Catalog, plan: Plan) -> dict[str, Evidence]:
    facet = catalog.facet(str(plan.facet))
    evidence = nouns(catalog)
    evidence["<q.facet>"] = Evidence(slot="<q.facet>", text=facet.label, field=facet.name)
    for k, option in enumerate(plan.options[:3], 1):
        slot = f"<q.o{k}>"
        evidence[slot] = Evidence(slot=slot, text=option, field=facet.name, source="computed")
    return evidence


def _unknown(catalog: Catalog, plan: Plan) -> dict[str, Evidence]:
    if plan.facet is not None:
        names = {f.name: f.label for f in catalog.domain.facets}
        text = names.get(plan.facet, plan.facet)
        return {"<q.facet>": Evidence(slot="<q.facet>", text=text, field=plan.facet)}
    if plan.item_ids:
        return {"<q.facet>": Evidence(slot="<q.facet>", text=plan.note, source="computed")}
    return {"<u1>": Evidence(slot="<u1>", text=plan.note, source="user")}


def _both_titles(catalog: Catalog, plan: Plan) -> dict[str, Evidence]:
    pairs = enumerate(plan.item_ids[:2], 1)
    return {
        f"<i{k}.title>": item_slots(catalog, catalog.item(i), k)[f"<i{k}.title>"] for k, i in pairs
    }


def _blocked(catalog: Catalog, beliefs: Beliefs, plan: Plan) -> dict[str, Evidence]:
    facets = {f.name: f for f in catalog.domain.facets}
    evidence = nouns(catalog, clauses=beliefs.clauses)
    things = asked_things(catalog.domain, beliefs.clauses)
    said = [c for c in beliefs.clauses if not things or c != things[2]]
    pairs = sorted(clauses_text(facets, said), key=lambda pair: pair[0].op == "none")
    phrases = [text for _, text in pairs]
    if compile(catalog, beliefs.clauses).any():  # all that fit were shown or refused
        phrases = ["new to you", *phrases]
    slots = ["<c1>", "<c2>", "<c3>"]
    if len(phrases) > 3:
        phrases = [*phrases[:2], listed(phrases[2:])]
    for slot, text in zip(slots, phrases, strict=False):
        evidence[slot] = Evidence(slot=slot, text=text, source="user")
    for k, option in enumerate(plan.options[:2], 1):
        evidence[f"<q.o{k}>"] = Evidence(slot=f"<q.o{k}>", text=option, source="computed")
    return evidence
