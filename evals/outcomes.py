"""Metrics over simulated dialogues: pure functions, each with its bootstrap interval.

Values are computed a dialogue (or a question, or a turn) at a time and averaged with the
goals resampled whole, so that several trials of one goal do not count as independent.

    summary = summarise(dialogues, catalog)
    summary["success"]  # Figure(mean, low, high, n)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import comb, log2
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agent.state import Turn
from catalog.filters import Clause, compile
from catalog.items import Catalog
from evals.dialogues import Dialogue

RESAMPLES = 2000
SUCCESS_TURNS = (2, 3, 5, 8)
PASS_K = (1, 2, 4, 8)
Floats = npt.NDArray[np.float64]


class Figure(NamedTuple):
    """A mean, its 95 % bootstrap interval, and over how many values."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float], groups: Sequence[str], seed: int = 0) -> Figure:
    """Mean of ``values`` with groups resampled whole. Empty: all zero, n 0."""
    if not len(values):
        return Figure(0.0, 0.0, 0.0, 0)
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    n = int(place.max()) + 1
    total = np.bincount(place, np.asarray(values, dtype=np.float64), n)
    size = np.bincount(place, minlength=n).astype(np.float64)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    means = (draws @ total) / (draws @ size)
    low, high = np.quantile(means, (0.025, 0.975))
    return Figure(float(total.sum() / size.sum()), float(low), float(high), len(values))


def paired(a: dict[str, float], b: dict[str, float], seed: int = 0) -> Figure:
    """Mean of ``b - a`` over the keys both have. Empty: all zero, n 0."""
    keys = sorted(a.keys() & b.keys())
    return interval([b[k] - a[k] for k in keys], keys, seed)


# ------------------------------------------------------------------ one dialogue each


def success_at(dialogue: Dialogue, turn: int) -> float:
    """Was an item that satisfies the goal accepted by user turn ``turn``?"""
    return float(dialogue.outcome.success and dialogue.outcome.turn <= turn)


def shown(dialogue: Dialogue) -> list[tuple[int, str]]:
    """(index among the agent's turns, item id) of every card, in order."""
    return [
        (k, item)
        for k, turn in enumerate(dialogue.agent_turns())
        for item in (turn.slate.item_ids if turn.slate else ())
    ]


def satisfaction(dialogue: Dialogue, catalog: Catalog) -> float | None:
    """Share of the cards that satisfy the whole goal; None where no card was shown."""
    rows = [catalog.row(i) for _, i in shown(dialogue) if catalog.has(i)]
    if not rows:
        return None
    return float(compile(catalog, dialogue.goal.clauses)[rows].mean())


def believed_held(dialogue: Dialogue, catalog: Catalog) -> float | None:
    """Share of the cards that satisfy what the agent had understood by then; None without cards.

    The agent's own guarantee: anything below 1 is a fault of the mask, not of understanding.
    Clauses are replayed from the log: later ones on the same facet replace earlier ones only
    where the agent said so, so only the clauses of the turn's own update are held.
    """
    held: list[float] = []
    for before, turn in zip(dialogue.turns, dialogue.turns[1:], strict=False):
        if turn.role == "agent" and turn.slate and before.update and before.update.add:
            rows = [catalog.row(i) for i in turn.slate.item_ids if catalog.has(i)]
            right = compile(catalog, _consistent(before.update.add))
            held += [float(right[r]) for r in rows]
    return float(np.mean(held)) if held else None


def _consistent(clauses: Iterable[Clause]) -> list[Clause]:
    """The last clause on each facet and side."""
    return list({(c.field, c.op): c for c in clauses}.values())


def repetition(dialogue: Dialogue) -> float | None:
    """Share of the cards that had been shown before; None without cards."""
    ids = [i for _, i in shown(dialogue)]
    return 1 - len(set(ids)) / len(ids) if ids else None


def said_again(dialogue: Dialogue) -> float | None:
    """Share of the agent's sentences that it had written before in the same dialogue."""
    texts = [u.text for t in dialogue.agent_turns() for u in t.units]
    return 1 - len(set(texts)) / len(texts) if texts else None


def question_bits(dialogue: Dialogue) -> list[float]:
    """Bits gained by each question: log2 of the items admitted before over after the answer."""
    agents = dialogue.agent_turns()
    bits = []
    for k, turn in enumerate(agents[:-1]):
        if turn.act == "ask" and k + 1 < len(dialogue.allowed):
            before, after = dialogue.allowed[k], dialogue.allowed[k + 1]
            if before and after:
                bits.append(log2(before / after))
    return bits


def valid_share(dialogue: Dialogue, catalog: Catalog) -> float | None:
    """Share of the cards that are items of the catalogue."""
    ids = [i for _, i in shown(dialogue)]
    return float(np.mean([catalog.has(i) for i in ids])) if ids else None


def novelty(dialogue: Dialogue, self_information: Floats, catalog: Catalog) -> float | None:
    """Mean self-information of the cards in bits: -log2 of the item's share of all mentions."""
    rows = [catalog.row(i) for _, i in shown(dialogue) if catalog.has(i)]
    return float(self_information[rows].mean()) if rows else None


def diversity(turn: Turn, catalog: Catalog) -> float | None:
    """Mean cosine distance between the items of one slate; None for fewer than two."""
    rows = [catalog.row(i) for i in (turn.slate.item_ids if turn.slate else ()) if catalog.has(i)]
    if len(rows) < 2:
        return None
    vectors = catalog.vectors[rows]
    likeness = vectors @ vectors.T
    pairs = len(rows) * (len(rows) - 1)
    return float(1 - (likeness.sum() - np.trace(likeness)) / pairs)


# ------------------------------------------------------------------ all of them


def pass_k(dialogues: Sequence[Dialogue], k: int) -> Figure | None:
    """Chance that ``k`` dialogues on one goal all succeed (tau-bench); None below ``k`` trials.

    Unbiased for each goal with n trials and c successes: C(c, k) / C(n, k).
    """
    trials: dict[str, list[bool]] = defaultdict(list)
    for dialogue in dialogues:
        trials[dialogue.goal.id].append(dialogue.outcome.success)
    enough = {g: s for g, s in trials.items() if len(s) >= k}
    if not enough:
        return None
    values = [comb(sum(s), k) / comb(len(s), k) for s in enough.values()]
    return interval(values, list(enough))


def coverage(dialogues: Sequence[Dialogue], catalog: Catalog) -> float:
    """Share of the catalogue that was shown at least once."""
    return len({i for d in dialogues for _, i in shown(d)}) / max(len(catalog), 1)


def distinct(texts: Iterable[str], n: int = 2) -> float:
    """Share of different word n-grams among all of them (Li et al. 2016)."""
    grams: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = text.lower().split()
        grams.update(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
    return len(grams) / grams.total() if grams else 0.0


BLOCKS = 20  # of goals, each left out once


def jackknife(dialogues: Sequence[Dialogue], of: Callable[[Sequence[Dialogue]], float]) -> Figure:
    """A figure of the whole file with a 95 % interval, a twentieth of the goals left out at a time.

    For figures that count different things (coverage, distinct-n): a bootstrap draws goals twice
    and so counts too few. Interval: 1.96 block jackknife standard errors (Künsch 1989).
    """
    whole = of(dialogues)
    goals = sorted({d.goal.id for d in dialogues})
    block = {g: k % BLOCKS for k, g in enumerate(goals)}
    blocks = min(BLOCKS, len(goals))
    if blocks < 2:
        return Figure(whole, whole, whole, len(dialogues))
    left = np.array([of([d for d in dialogues if block[d.goal.id] != b]) for b in range(blocks)])
    error = float(np.sqrt((blocks - 1) * left.var()))
    return Figure(whole, max(0.0, whole - 1.96 * error), whole + 1.96 * error, len(dialogues))


def seconds(dialogues: Sequence[Dialogue]) -> list[float]:
    """Whole-turn seconds of every agent turn that was timed."""
    turns = [t for d in dialogues for t in d.agent_turns()]
    return [t.trace.total_s for t in turns if t.trace and t.trace.total_s is not None]


def by_dialogue(dialogues: Sequence[Dialogue], catalog: Catalog) -> dict[str, dict[str, float]]:
    """Metric -> dialogue id -> value; dialogues a metric does not apply to are left out."""
    information = -np.log2(
        (catalog.popularity.astype(np.float64) + 1) / (catalog.popularity.sum() + len(catalog))
    )
    table: dict[str, dict[str, float]] = defaultdict(dict)
    for d in dialogues:
        slates = [x for t in d.agent_turns() if (x := diversity(t, catalog)) is not None]
        bits = question_bits(d)
        values: dict[str, float | None] = {
            "success": float(d.outcome.success),
            "expectations kept": d.outcome.kept,
            **{f"success@{t}": success_at(d, t) for t in SUCCESS_TURNS},
            "hit": float(d.outcome.first_hit is not None),
            "constraint satisfaction": satisfaction(d, catalog),
            "understood clauses held": believed_held(d, catalog),
            "turns": float(d.outcome.turn),
            "frustrated": float(d.outcome.frustrated),
            "gave up": float(d.outcome.end == "gave_up"),
            "crashed": float(d.outcome.end == "crashed"),
            "questions": float(sum(t.act == "ask" for t in d.agent_turns())),
            "bits a question": float(np.mean(bits)) if bits else None,
            "repeated items": repetition(d),
            "repeated sentences": said_again(d),
            "catalogue-valid": valid_share(d, catalog),
            "diversity": float(np.mean(slates)) if slates else None,
            "novelty (bits)": novelty(d, information, catalog),
        }
        for name, value in values.items():
            if value is not None:
                table[name][d.id] = value
    return dict(table)


#: Higher is better (+1) or worse (-1); others are described, not judged.
BETTER = {
    "success": 1, "expectations kept": 1, **{f"success@{t}": 1 for t in SUCCESS_TURNS}, "hit": 1,
    "constraint satisfaction": 1, "understood clauses held": 1, "turns": -1, "frustrated": -1,
    "gave up": -1, "crashed": -1, "repeated items": -1, "repeated sentences": -1,
    "catalogue-valid": 1,
}  # fmt: skip


def summarise(dialogues: Sequence[Dialogue], catalog: Catalog) -> dict[str, Figure]:
    """Every metric with its interval; goals are resampled whole."""
    goal = {d.id: d.goal.id for d in dialogues}
    result = {
        name: interval(list(values.values()), [goal[i] for i in values])
        for name, values in by_dialogue(dialogues, catalog).items()
    }
    for k in PASS_K[1:]:
        figure = pass_k(dialogues, k)
        if figure is not None:
            result[f"pass^{k}"] = figure
    times = seconds(dialogues)
    if times:
        result["turn seconds p50"] = _quantile(times, 0.5)
        result["turn seconds p95"] = _quantile(times, 0.95)
    result["coverage"] = jackknife(dialogues, lambda held: coverage(held, catalog))
    result["distinct-2 of replies"] = jackknife(
        dialogues, lambda held: distinct(t.text for d in held for t in d.agent_turns())
    )
    return result


def _quantile(values: Sequence[float], q: float, seed: int = 0) -> Figure:
    data = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    draws = np.quantile(rng.choice(data, (500, len(data))), q, axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return Figure(float(np.quantile(data, q)), float(low), float(high), len(data))
