"""Goals drawn from the catalogue itself: sets of clauses and soft wishes, never a title.

An item is drawn by popularity, a few of its facet values become clauses (with operators
and exclusions as people use them), and the item is forgotten. What counts as success is
every item that satisfies the clauses; how many there are is kept for the report only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from agent.state import Wish
from catalog.errors import ParleyError
from catalog.filters import Clause, compile
from catalog.items import Catalog, Facet
from evals.dialogues import Goal

#: How often people make a clause of a facet, by its role.
WEIGHT = {
    "category": 6.0, "date": 4.0, "tag": 2.0, "people": 1.5, "maker": 1.0, "origin": 1.0,
    "language": 1.0, "amount": 1.5, "audience": 0.7, "mood": 1.5,
}  # fmt: skip
CLAUSES = ((1, 0.25), (2, 0.45), (3, 0.25), (4, 0.05))
FEWEST = 5  # items a goal must leave, in a catalogue that has enough
WIDEST = 0.5  # share of the catalogue a goal may leave
TRIES = 200


class GoalError(ParleyError):
    """The catalogue has nothing a goal could be made of."""


class Goals:
    """Draws goals from one catalogue. Deterministic: the same ``rng`` draws the same goal."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.facets = [f for f in catalog.domain.facets if f.filterable and f.role in WEIGHT]
        if not self.facets or not len(catalog):
            raise GoalError(
                "No facet of this catalogue can be asked for: give its domain.yaml a filterable "
                f"facet with one of the roles {', '.join(WEIGHT)}."
            )
        weight = np.sqrt(np.maximum(catalog.popularity.astype(np.float64), 0.0) + 0.1)
        self._steps = np.cumsum(weight / weight.sum())
        self._popular = np.argsort(-catalog.popularity, kind="stable")
        self._fewest = min(FEWEST, max(1, len(catalog) // 8))

    def draw(self, rng: random.Random, name: str = "goal", changes_mind: float = 0.1) -> Goal:
        """One goal that at least ``FEWEST`` items satisfy (fewer in a tiny catalogue)."""
        count = rng.choices([c for c, _ in CLAUSES], [w for _, w in CLAUSES])[0]
        for attempt in range(TRIES):
            row = min(int(np.searchsorted(self._steps, rng.random())), len(self.catalog) - 1)
            values = self.catalog.item(row).values
            wanted = max(1, count - attempt // 40)  # a small catalogue cannot hold four
            clauses = self._clauses(values, wanted, rng)
            allowed = compile(self.catalog, clauses)
            matches = int(allowed.sum())
            if clauses and self._fewest <= matches <= max(WIDEST * len(self.catalog), 1):
                return Goal(
                    id=name,
                    clauses=clauses,
                    wishes=self._wishes(row, rng),
                    likes=self._likes(allowed, values, rng),
                    dropped=self._dropped(clauses, rng) if rng.random() < changes_mind else None,
                    matches=matches,
                )
        raise GoalError(
            f"In {TRIES} tries no goal left between {self._fewest} items and half of the "
            f"{len(self.catalog)}: the facets {', '.join(f.name for f in self.facets)} are too "
            "uniform to ask for."
        )

    def _clauses(
        self, values: dict[str, Any], count: int, rng: random.Random
    ) -> tuple[Clause, ...]:
        held = [f for f in self.facets if f.name in values]
        chosen: list[Facet] = []
        while held and len(chosen) < count:
            facet = rng.choices(held, [WEIGHT[f.role] for f in held])[0]
            held.remove(facet)
            chosen.append(facet)
        clauses: list[Clause] = []
        for facet in chosen:
            clauses += self._clause(facet, values[facet.name], rng)
        return tuple(clauses)

    def _clause(self, facet: Facet, value: Any, rng: random.Random) -> list[Clause]:
        if facet.kind == "number":
            return _number(facet, float(value), rng)
        held = list(value) if isinstance(value, tuple) else [value]
        if facet.role in ("category", "mood", "origin") and rng.random() < 0.18:
            common = list(self.catalog.values(facet.name))[:12]
            out = [v for v in common if v not in held]
            if out:
                return [Clause(field=facet.name, op="none", values=(rng.choice(out),))]
        known = self.catalog.values(facet.name)
        held.sort(key=lambda v: -known[v])  # people ask for what is well known
        pick = held[min(int(rng.expovariate(1.2)), len(held) - 1)]
        return [Clause(field=facet.name, op="any", values=(pick,))]

    def _wishes(self, row: int, rng: random.Random) -> tuple[Wish, ...]:
        scales = [s for s in self.catalog.domain.scales if s.name in self.catalog.scales]
        if not scales or rng.random() < 0.55:
            return ()
        scale = rng.choice(scales)
        values = self.catalog.scales[scale.name]
        up = float(values[row]) >= float(np.median(values))
        words = rng.choice(scale.more if up else scale.less)
        return (Wish(scale=scale.name, direction=1 if up else -1, said=words),)

    def _likes(
        self, allowed: np.ndarray, values: dict[str, Any], rng: random.Random
    ) -> tuple[str, ...]:
        """Up to two well-known items of a like kind that are no answer to the goal."""
        if rng.random() < 0.5:
            return ()
        kinds = [f.name for f in self.facets if f.role in ("category", "tag") and f.name in values]
        found: list[str] = []
        pool = [int(r) for r in self._popular[:600] if not allowed[r]]
        for row in rng.sample(pool, min(60, len(pool))):
            item = self.catalog.item(row)
            if any(set(item.values.get(k, ())) & set(values[k]) for k in kinds):
                found.append(item.title)
            if len(found) == 2:
                break
        return tuple(found[: rng.choice([1, 1, 2])])

    def _dropped(self, clauses: Sequence[Clause], rng: random.Random) -> Clause | None:
        """A clause on another facet that is said first and taken back later."""
        used = {c.field for c in clauses}
        free = [f for f in self.facets if f.name not in used and f.role in DROPPABLE]
        if not free:
            return None
        facet = rng.choice(free)
        if facet.kind == "number":
            number = float(rng.choice(list(self.catalog.values(facet.name))))
            return rng.choice(_number(facet, number, rng))
        values = list(self.catalog.values(facet.name))[:15]
        return Clause(field=facet.name, op="any", values=(rng.choice(values),)) if values else None


DROPPABLE = ("date", "category", "origin", "language", "amount", "maker")


def _number(facet: Facet, value: float, rng: random.Random) -> list[Clause]:
    """What a person would ask of a number like this one: a decade, a bound, rounded."""

    def one(op: Any, bound: float) -> Clause:
        return Clause(field=facet.name, op=op, values=(float(bound),))

    if facet.role == "date":
        decade = int(value // 10) * 10
        kind = rng.random()
        if kind < 0.35:
            return [one("ge", decade), one("le", decade + 9)]
        if kind < 0.8:
            return [one("ge", rng.choice([decade, decade - 10, value - rng.randint(0, 8)]))]
        return [one("le", decade + 9)]
    if facet.role == "audience":
        return [one("le", max(value, 6))]
    step = 10 ** max(0, len(str(int(abs(value)))) - 2) * 5 if value >= 10 else 1
    if rng.random() < 0.75:
        return [one("le", np.ceil(value * 1.05 / step) * step)]
    return [one("ge", np.floor(value * 0.95 / step) * step)]
