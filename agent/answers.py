"""What is answered, and on what it rests: facts, comparisons, superlatives, "which of these?".

Everything is computed over the catalogue's columns, for the items on screen or for all there
are. What no column holds is said to be unknown.
"""

from collections.abc import Sequence
from typing import Any

from agent.asked_of_sets import of_catalogue, of_slate, of_two
from agent.phrases import listed, number, quotable, superlative, value_text
from agent.state import DialogueState, Evidence, Plan, Question, StateUpdate, Unit
from agent.verify import realise
from catalog.items import Catalog, Facet
from tools.details import compare, extreme

MAX_ITEMS = 10  # of a slate


def computed(frame: str, evidence: Sequence[Evidence]) -> Unit:
    """A sentence that is put together here: a result, or something about the conversation."""
    slots = {e.slot: e for e in evidence}
    return realise(frame, slots, item_id=None, realised_by="template")


def not_told(catalog: Catalog, plan: Plan) -> Unit | None:
    """ "I don't know that about Alien.": what was asked is no column of the catalogue."""
    names = {f.name for f in catalog.domain.facets}
    if plan.act != "unknown" or not plan.item_ids or plan.note or plan.facet in names:
        return None
    return computed("I don't know that about <i1.title>.", [_title(catalog, plan.item_ids[0])])


def link_of(catalog: Catalog, plan: Plan) -> list[Unit]:
    """Where to look up what the catalogue does not tell, if the item has a page of its own."""
    if plan.act != "unknown" or not plan.item_ids:
        return []
    item = catalog.item(plan.item_ids[0])
    if not item.link or not item.link.startswith(("https://", "http://")):
        return []
    link = Evidence(slot="<a1>", text=item.link, item_id=item.id, field="link")
    return [computed("Its page may tell: <a1>", [link])]


def _title(catalog: Catalog, item_id: str) -> Evidence:
    title = catalog.item(item_id).title
    return Evidence(slot="<i1.title>", text=title, item_id=item_id, field="title")


def asked_items(state: DialogueState, update: StateUpdate) -> tuple[str, ...]:
    question = update.question
    if question is not None and question.item_ids:
        return question.item_ids
    named = tuple(m.item_id for m in update.mentions)
    return named or state.slate.item_ids


def nothing_shown(unknown: str) -> Plan:
    return Plan(act="unknown", note=unknown) if unknown else Plan(act="help")


def answer(state: DialogueState, update: StateUpdate, catalog: Catalog) -> Plan:
    question = update.question or Question(kind="fact")
    if update.unknown and not question.item_ids and not update.mentions:
        return Plan(act="unknown", note=update.unknown[0])
    ids = tuple(i for i in asked_items(state, update) if catalog.has(i))
    if not ids:
        return nothing_shown("")
    item = catalog.item(ids[0])
    if question.kind == "about" or question.field is None:
        field = next((f.name for f in catalog.domain.facets if f.role == "premise"), None)
        if field is None or not quotable(str(item.values.get(field) or "<")):
            field = _describing(catalog, item.values)
    else:
        field = question.field
    if field in catalog.scales:
        return _scale_answer(catalog, ids[0], str(field))
    if field is None or field not in {f.name for f in catalog.domain.facets}:
        return Plan(act="unknown", item_ids=ids[:1], facet=field)
    facet = catalog.facet(field)
    if field not in item.values:
        return Plan(act="unknown", item_ids=ids[:1], facet=field)
    return Plan(act="answer", item_ids=ids[:1], facet=facet.name)


def _describing(catalog: Catalog, values: dict[str, Any]) -> str | None:
    """What to say of an item without a premise: its tags, else its category."""
    for role in ("tag", "category", "maker", "people", "date"):
        for facet in catalog.domain.facets:
            if facet.role == role and facet.filterable and values.get(facet.name):
                return facet.name
    return None


def _scale_answer(catalog: Catalog, item_id: str, scale: str) -> Plan:
    """ "Is it scary?": only the editorial layer's own scores may be stated as a fact."""
    item = catalog.item(item_id)
    words = next(s.label for s in catalog.domain.scales if s.name == scale)
    if "scales" not in item.editorial:
        return Plan(act="unknown", item_ids=(item_id,), note=f"how {words} it is")
    score = float(catalog.scales[scale][catalog.row(item_id)])
    degree = ("not at all", "a little", "somewhat", "quite", "very")[round(min(max(score, 0), 4))]
    text = f"{degree} {words}"
    evidence = Evidence(slot="<a1>", text=text, item_id=item_id, field=scale, source="editorial")
    return Plan(act="answer", item_ids=(item_id,), answers=(evidence,))


def comparison(state: DialogueState, update: StateUpdate, catalog: Catalog) -> Plan:
    question = update.question or Question(kind="compare")
    if question.over == "catalogue" and question.field:
        return of_catalogue(catalog, question)
    ids = tuple(i for i in asked_items(state, update) if catalog.has(i))[:MAX_ITEMS]
    if question.kind in ("which", "count"):
        shown = tuple(i for i in ids or state.slate.item_ids if catalog.has(i))
        return (
            of_slate(catalog, shown[:MAX_ITEMS], question, state.beliefs.clauses)
            if shown
            else nothing_shown("")
        )
    if len(ids) < 2 and len(state.slate.item_ids) >= 2:
        ids = state.slate.item_ids
    if len(ids) < 2:
        return nothing_shown(update.unknown[0] if update.unknown else "")
    if question.kind == "superlative" and question.field and question.direction:
        return _superlative(catalog, ids, question.field, question.direction)
    pairs: list[Evidence] = []
    first, second = catalog.item(ids[0]), catalog.item(ids[1])
    for facet, values in compare(catalog, ids[:2]):
        if values[0] in (None, ()) or values[1] in (None, ()) or facet.role in ("tag", "mood"):
            continue
        for index, (item, value) in enumerate(zip((first, second), values, strict=True), 1):
            slot = f"<i{index}.{facet.role}>"
            if any(e.slot == slot for e in pairs):
                continue
            text = value_text(facet, value, 2)
            pairs.append(Evidence(slot=slot, text=text, item_id=item.id, field=facet.name))
    return Plan(act="compare", item_ids=ids[:2], answers=tuple(pairs[:6]))


def _superlative(catalog: Catalog, ids: tuple[str, ...], name: str, direction: int) -> Plan:
    best = extreme(catalog, ids, name, direction)
    if best is None:
        return Plan(act="unknown", item_ids=ids[:1], facet=name)
    if name in catalog.scales:
        scale = next(s for s in catalog.domain.scales if s.name == name)
        words, value = f"the {'most' if direction > 0 else 'least'} {scale.label} of these", None
        if len(ids) == 2:
            words = of_two(None, scale.label, direction)
        if any("scales" not in catalog.item(i).editorial for i in ids):
            words += ", by my own estimate"
    else:
        facet = catalog.facet(name)
        words = f"{superlative(facet, direction)} of these"
        value = _superlative_value(facet, best.value)
        if len(ids) == 2 and not best.ties and not best.unknown:
            words = of_two(facet, facet.label, direction)
            other = catalog.item(next(i for i in ids if i != best.item.id)).values[name]
            value += f" against {_superlative_value(facet, float(other))}"
    if best.ties:
        words += f", together with {listed(i.title for i in best.ties)}"
    answers = [
        Evidence(
            slot="<a1>", text=best.item.title, item_id=best.item.id, field=name, source="computed"
        ),
        Evidence(slot="<a2>", text=words, item_id=best.item.id, field=name, source="computed"),
    ]
    if value is not None:
        answers.append(
            Evidence(slot="<a3>", text=value, item_id=best.item.id, field=name, source="computed")
        )
    return Plan(act="compare", item_ids=(best.item.id,), answers=tuple(answers))


def _superlative_value(facet: Facet, value: float) -> str:
    return number(value, None) if facet.role == "date" else value_text(facet, value)
