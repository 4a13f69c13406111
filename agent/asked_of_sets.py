"""Which of these, how many of them, and the most of all there are: computed over the columns.

The sentence is put together here, not by a model: it is a result, and every name and number in it
keeps its evidence.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from agent.phrases import (
    asked_things,
    clauses_text,
    number,
    standing,
    superlative,
    value_text,
    wanted_text,
)
from agent.state import Evidence, Plan, Question
from catalog.filters import Clause, compile, compile_one
from catalog.items import Catalog, Facet

COMPARATIVES = {
    "most": "more", "least": "less", "best": "better", "worst": "worse", "highest": "higher",
    "lowest": "lower",
}  # fmt: skip
WORDS = "none one two three four five six seven eight nine ten".split()


def of_slate(
    catalog: Catalog, ids: Sequence[str], question: Question, held: Sequence[Clause] = ()
) -> Plan:
    """Which of the items meet the question's clauses, or how many do.

    ``held``: what was asked for before, so that tents are called tents.
    """
    rows = [catalog.row(i) for i in ids]
    meets = compile(catalog, question.clauses)
    hits = [i for i, row in zip(ids, rows, strict=True) if meets[row]]
    unknown = [i for i in ids if i not in hits and not _known(catalog, i, question.clauses)]
    evidence: list[Evidence] = []
    names = [_named(catalog, i, k, question.clauses, evidence) for k, i in enumerate(hits, 1)]
    one, many = _wanted(catalog, _kind(catalog, question.clauses, held))
    said = _state(catalog, question.clauses) or (one if len(hits) < 2 else many)
    evidence.append(Evidence(slot="<c1>", text=said, source="user"))
    if not hits:
        frame = "None of these is <c1>."
    elif question.kind == "count":
        count = "all" if len(hits) == len(ids) > 1 else WORDS[len(hits)]
        verb = "is" if len(hits) == 1 else "are"
        evidence.append(Evidence(slot="<count>", text=count, source="computed"))
        frame = f"<count> of these {verb} <c1>: {_joined(names)}."
    else:
        frame = f"Of these, {_joined(names)} {'is' if len(hits) == 1 else 'are'} <c1>."
    if unknown:
        k = len(hits)
        known = [_named(catalog, i, k + n, (), evidence) for n, i in enumerate(unknown, 1)]
        frame += f" Of {_joined(known)} I don't know it."
    return Plan(act="compare", item_ids=tuple(hits[:1]), frame=frame, answers=tuple(evidence))


def of_catalogue(catalog: Catalog, question: Question) -> Plan:
    """The item that has the most or least of something, of all that meet the clauses."""
    name, sign = str(question.field), question.direction or 1
    allowed = compile(catalog, question.clauses) & catalog.alive
    facet = next((f for f in catalog.domain.facets if f.name == name), None)
    if facet is None:  # a scale: only what the editorial layer scored may be stated
        figures = np.asarray(catalog.scales[name], dtype=np.float64)
        scored = catalog.df["editorial"].list.contains("scales").fill_null(False).to_numpy()
        known = allowed & scored
    else:
        figures = catalog.df[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        known = allowed & ~np.isnan(figures)
    rows = np.flatnonzero(known)
    if not len(rows):
        one, _ = _wanted(catalog, question.clauses)
        said = Evidence(slot="<c1>", text=one, source="user")
        return Plan(act="unknown", frame="I don't know that of <c1>.", answers=(said,))
    best = int(rows[np.lexsort((catalog.popularity[rows], sign * figures[rows]))[-1]])
    value = float(figures[best])
    item = catalog.item(catalog.ids[best])
    _, many = _wanted(catalog, question.clauses)
    if facet is None:
        label = next(s.label for s in catalog.domain.scales if s.name == name)
        top = f"the {'most' if sign > 0 else 'least'} {label}"
    else:
        top = superlative(facet, sign)
    words = f"{top} of the {len(rows):,} {many} of which I know it"
    if facet is None or len(rows) == int(allowed.sum()):
        words = f"{top} of my {many}" if facet else f"{top} of the {many} I have scored"
    evidence = [_title(item.title, item.id, 1), _computed("<a2>", words, item.id, name)]
    frame = "<i1.title> is <a2>."
    if facet is not None:
        text = number(value, None) if facet.role == "date" else value_text(facet, value)
        evidence.append(_computed("<a3>", text, item.id, name))
        frame = "<i1.title> is <a2>: <a3>."
    return Plan(act="compare", item_ids=(item.id,), frame=frame, answers=tuple(evidence))


def of_two(facet: Facet | None, label: str, direction: int) -> str:
    """ "the cheaper of the two", "the more romantic of the two"."""
    if facet is None:
        return f"the {'more' if direction > 0 else 'less'} {label} of the two"
    words = superlative(facet, direction)
    for top, plain in COMPARATIVES.items():
        if f" {top} " in words:
            return f"{words.replace(top, plain, 1)} of the two"
    plain = f"{words.removesuffix('est')}er" if words.endswith("est") else words
    return f"{plain} of the two"


def _wanted(catalog: Catalog, clauses: Sequence[Clause]) -> tuple[str, str]:
    """What is asked for, as one thing and as many: "a film from 1996", "films from 1996"."""
    domain = catalog.domain
    facets = {f.name: f for f in domain.facets}
    things = asked_things(domain, clauses)
    rest = [c for c in clauses if not things or c != things[2]]
    after = [words for _, words in clauses_text(facets, rest)]
    many = " ".join([things[1] if things else domain.noun_many, *after])
    positive = [c for c in clauses if c.op != "none"]
    one = wanted_text(domain, positive, limit=3) if len(positive) == len(clauses) else ""
    if not one:
        one = " ".join(["one of the", many])
    return one, many


def _kind(catalog: Catalog, clauses: Sequence[Clause], held: Sequence[Clause]) -> Sequence[Clause]:
    """The clauses with the kind of thing that was asked for, if they name none."""
    things = asked_things(catalog.domain, held)
    return (
        [things[2], *clauses] if things and not asked_things(catalog.domain, clauses) else clauses
    )


def _state(catalog: Catalog, clauses: Sequence[Clause]) -> str:
    """What can be said right after "is" or "are": "waterproof", "in stock", "from 1996"."""
    facets = {f.name: f for f in catalog.domain.facets}
    pairs = clauses_text(facets, clauses)
    if len(pairs) != 1 or facets[pairs[0][0].field].role == "category":
        sized = len(pairs) == 1 and facets[pairs[0][0].field].phrase
        if not sized:
            return ""
    words = pairs[0][1].removeprefix("that are ")
    plain = words != pairs[0][1] or words.startswith(
        ("in ", "from ", "by ", "with ", "not ", "out ")
    )
    return words if plain and not words.startswith("with at ") else ""


def _known(catalog: Catalog, item_id: str, clauses: Sequence[Clause]) -> bool:
    """Does the catalogue say of this item what the clauses are about, where it fails them?"""
    item, row = catalog.item(item_id), catalog.row(item_id)
    failed = [c for c in clauses if not compile_one(catalog, c)[row]]
    return any(item.values.get(c.field) not in (None, (), "") for c in failed)


def _named(
    catalog: Catalog, item_id: str, k: int, clauses: Sequence[Clause], out: list[Evidence]
) -> str:
    """The item's title slot, with the number that was asked about behind it."""
    item = catalog.item(item_id)
    out.append(_title(item.title, item_id, k))
    field = next((c.field for c in clauses if c.op in ("ge", "le")), None)
    facet = next((f for f in catalog.domain.facets if f.name == field), None)
    value = item.values.get(field) if field else None
    if facet is None or value is None:
        return f"<i{k}.title>"
    text = number(float(value), None) if facet.role == "date" else value_text(facet, value)
    if standing(facet, float(value)):
        return f"<i{k}.title>"
    out.append(_computed(f"<a{k}>", text, item_id, facet.name))
    return f"<i{k}.title> (<a{k}>)"


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _title(title: str, item_id: str, k: int) -> Evidence:
    return Evidence(slot=f"<i{k}.title>", text=title, item_id=item_id, field="title")


def _computed(slot: str, text: str, item_id: str, field: str) -> Evidence:
    return Evidence(slot=slot, text=text, item_id=item_id, field=field, source="computed")
