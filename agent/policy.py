"""What to do next: one dialogue act a turn, chosen by rules a person can read.

The LLM decides *which* items and *how* to say it; *what* to do is decided here, where
it can be tested. Ask only when it pays (expected entropy of the answer over the
current candidates), at most twice in a row, never for what is known.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from agent import actions
from agent.answers import answer, asked_items, comparison, nothing_shown
from agent.phrases import clauses_text, label
from agent.reading.counts import whole_list
from agent.state import Beliefs, DialogueState, Plan, StateUpdate
from catalog.filters import Clause, compile, smallest_relaxations
from catalog.items import Catalog, Facet

MAX_QUESTIONS_IN_A_ROW = 2
#: An answer has to be worth this many bits, else recommending is the better question.
MIN_BITS = 1.0
DEFAULT_ITEMS = 5
MAX_ITEMS = 10
SAMPLE = 20_000  # allowed items that say how many of them have a value


def decide(state: DialogueState, update: StateUpdate, catalog: Catalog) -> Plan:
    """The plan for the turn just understood; ``state.beliefs`` already holds the update."""
    unknown = update.unknown[0] if update.unknown else ""
    if update.action is not None:
        return actions.plan(update.action, state)
    match update.intent:
        case "greet" | "thanks" | "chat" if _says_something(update):
            return _recommend(state, update, catalog, unknown)
        case "greet" | "reset":
            return Plan(act="greet")
        case "help" | "bye" | "undo":
            return Plan(act=update.intent)
        case "thanks" | "chat":
            return Plan(act="chat", note=unknown)
        case "accept":
            liked = next((m.item_id for m in update.mentions if m.attitude == "like"), None)
            target = liked or next(iter(state.slate.item_ids), None)
            return Plan(act="accept", item_ids=(target,)) if target else Plan(act="chat")
        case "ask_fact":
            return answer(state, update, catalog)
        case "ask_why":
            ids = asked_items(state, update)
            return Plan(act="why", item_ids=ids[:1]) if ids else nothing_shown(unknown)
        case "compare":
            return comparison(state, update, catalog)
        case _:
            return _recommend(state, update, catalog, unknown)


def _says_something(update: StateUpdate) -> bool:
    return bool(update.add or update.wishes or update.about or update.avoid or update.mentions)


def _recommend(
    state: DialogueState, update: StateUpdate, catalog: Catalog, unknown: str = ""
) -> Plan:
    wants_more = update.intent == "more" or update.count is not None
    if update.intent in ("recommend", "answer") and not wants_more and not state.slate.item_ids:
        question = _worth_asking(state, catalog)
        if question is not None:
            return question.model_copy(update={"note": unknown})
    act = "more" if update.intent == "more" else "recommend"
    if act == "more" and whole_list(state.turns[-1].text):
        act = "refine"  # "make that a list of ten": what is shown may stand in it
    if update.intent in ("critique", "reject", "relax") and state.slate.item_ids:
        act = "refine"
    return Plan(act=act, note=unknown)  # type: ignore[arg-type]


def slate_size(update: StateUpdate, default: int = DEFAULT_ITEMS) -> int:
    """How many items to show: what was asked for, within 1 and ``MAX_ITEMS``."""
    return max(1, min(update.count or default, MAX_ITEMS))


def blocked(beliefs: Beliefs, catalog: Catalog, excluded_rows: Sequence[int]) -> Plan:
    """Nothing is left: name the clauses that collide and what dropping each would admit."""
    facets = {f.name: f for f in catalog.domain.facets}
    options = smallest_relaxations(catalog, beliefs.clauses, excluded_rows)
    # Whoever asks for a jacket does not want a tent: the kind of thing is offered last.
    options.sort(key=lambda drop: any(facets[c.field].role == "category" for c in drop))
    words = tuple(_short(facets, drop) for drop in options[:4])
    return Plan(act="blocked", relax=tuple(options[:4]), options=words)


def _short(facets: dict[str, Facet], drop: Sequence[Clause]) -> str:
    """ "the price (at most 40 €) and the year (from 2000 on)"; a range is said once."""
    return " and ".join(
        f"the {facets[clause.field].label} ({words.removeprefix('that are ')})"
        for clause, words in clauses_text(facets, drop)
    )


def _knows_nothing(beliefs: Beliefs) -> bool:
    tastes = [m for m in beliefs.mentions if m.attitude in ("like", "dislike")]
    return not (beliefs.clauses or beliefs.wishes or beliefs.about or tastes)


def _questions_in_a_row(state: DialogueState) -> int:
    count = 0
    for turn in reversed(state.turns):
        if turn.role == "agent":
            if turn.act not in ("ask", "greet"):
                break
            count += 1
    return count


def _worth_asking(state: DialogueState, catalog: Catalog) -> Plan | None:
    """A question when little is known; None when recommending is better.

    Names, likes and free words say enough to recommend on. With nothing known the facet
    with the highest expected entropy over the popular part of what is allowed is asked.
    """
    beliefs = state.beliefs
    if not _knows_nothing(beliefs) or _questions_in_a_row(state) >= MAX_QUESTIONS_IN_A_ROW:
        return None
    if beliefs.indifferent:  # "anything is fine" is an answer: stop asking
        return None
    facet, bits, options = best_question(catalog, beliefs)
    if facet is None or bits < MIN_BITS:
        return None
    return Plan(act="ask", facet=facet.name, options=options)


def best_question(
    catalog: Catalog, beliefs: Beliefs, top: int = 200
) -> tuple[Facet | None, float, tuple[str, ...]]:
    """The facet whose answer is expected to shrink the candidates most.

    Bits are the entropy of the facet's values over the ``top`` most popular allowed items,
    times the share of all allowed items that have a value: an answer on a facet that few
    items carry would throw the others away. Of more than ``SAMPLE`` allowed items that share is
    taken from as many, evenly spread. Returns (facet, bits, likely answers).
    """
    everything = np.flatnonzero(compile(catalog, beliefs.clauses))
    rows = most_popular(catalog, everything, top)
    everything = everything[:: 1 + len(everything) // SAMPLE]
    known = {c.field for c in beliefs.clauses} | set(beliefs.asked) | set(beliefs.indifferent)
    best: tuple[Facet | None, float, tuple[str, ...]] = (None, 0.0, ())
    for facet in catalog.domain.facets:
        if not facet.ask or not facet.filterable or facet.name in known:
            continue
        values = catalog.df[facet.name].gather(rows).to_list()
        bits, options = _entropy(facet, values)
        column = catalog.df[facet.name].gather(everything)
        held = column.list.len() > 0 if column.dtype == pl.List else column.is_not_null()
        bits *= int(held.fill_null(False).sum()) / max(len(held), 1)
        if bits > best[1]:
            best = (facet, bits, options)
    return best


def most_popular(catalog: Catalog, rows: npt.NDArray[np.int64], top: int) -> npt.NDArray[np.int64]:
    """The ``top`` most popular of ``rows``, the first of equals first; all are never sorted."""
    known = catalog.popularity[rows]
    if len(rows) > top:
        least = np.partition(known, len(rows) - top)[len(rows) - top]
        sure, tied = np.flatnonzero(known > least), np.flatnonzero(known == least)
        chosen = np.union1d(sure, tied[: top - len(sure)])
        rows, known = rows[chosen], known[chosen]
    return rows[np.argsort(-known, kind="stable")]


def _entropy(facet: Facet, values: list[Any]) -> tuple[float, tuple[str, ...]]:
    counts: Counter[Any] = Counter()
    for value in values:
        if value in (None, [], ""):
            continue
        if isinstance(value, list):
            counts.update({v: 1 / len(value) for v in value})
        elif facet.kind == "number":
            counts[int(float(value) // 10) * 10] += 1
        else:
            counts[value] += 1
    total = sum(counts.values())
    if not total or len(counts) < 2:
        return 0.0, ()
    # A person can answer with one of a dozen things; hundreds of names carry no more bits.
    top = [c for _, c in counts.most_common(12)]
    share = sum(top) / total
    bits = -sum(c / sum(top) * math.log2(c / sum(top)) for c in top) * share
    likely = [v for v, _ in counts.most_common(3)]
    if facet.kind == "number":
        unit = f" {facet.unit}" if facet.unit else ""
        return bits, tuple(f"the {v}s" if facet.role == "date" else f"{v}{unit}" for v in likely)
    return bits, tuple(label(facet, v) for v in likely)
