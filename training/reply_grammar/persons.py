"""People who could exist: what they said, so that a real item answers some of it.

The beliefs come from the item itself (its own genre, its maker, words of its tags) and from
chance (a wish along any scale, a title it is or is not talked of with). Which of them tie
the item to the person is for ``agent.evidence`` to find, as when serving.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from agent.state import About, Beliefs, Mention, Wish
from catalog.filters import Clause
from catalog.items import Catalog, Facet, Item

#: What one person says, by how often.
SAYS = {
    ("clause",): 5,
    ("clause", "clause"): 3,
    ("mention",): 6,
    ("about",): 4,
    ("wish", "mention"): 4,
    ("wish",): 2,
    ("mention", "clause"): 4,
    ("about", "mention"): 2,
    ("about", "wish"): 1,
    ("mention", "wish", "clause"): 2,
    (): 1,
}


class Persons:
    """Draws items, popular ones more often, and people for them."""

    def __init__(self, catalog: Catalog, rng: random.Random) -> None:
        self.catalog = catalog
        self.rng = rng
        self.facets = {f.name: f for f in catalog.domain.facets}
        self.weights = np.cumsum(np.sqrt(catalog.popularity.astype(np.float64) + 0.2))

    def row(self) -> int:
        """A random row."""
        point = self.rng.random() * self.weights[-1]
        return min(int(np.searchsorted(self.weights, point)), len(self.catalog) - 1)

    def someone(self, item: Item) -> tuple[Beliefs, dict[str, np.ndarray]]:
        """Someone who said things that this item answers, and some that it does not."""
        rng = self.rng
        kinds = rng.choices(list(SAYS), weights=list(SAYS.values()))[0]
        clauses: list[Clause] = []
        mentions: list[Mention] = []
        wishes: list[Wish] = []
        about: list[About] = []
        scores: dict[str, np.ndarray] = {}
        row = self.catalog.row(item.id)
        for kind in kinds:
            if kind == "clause" and (clause := self._clause(item)):
                clauses.append(clause)
            elif kind == "mention" and (other := self._neighbour(row)) is not None:
                named = self.catalog.item(other)
                mentions.append(Mention(item_id=named.id, said=named.title, attitude="like"))
            elif kind == "wish" and self.catalog.domain.scales:
                scale = rng.choice(self.catalog.domain.scales)
                up = rng.random() < 0.5
                said = rng.choice(scale.more if up else scale.less)
                wishes.append(Wish(scale=scale.name, direction=1 if up else -1, said=said))
            elif kind == "about":
                text = self._words(item)
                about.append(About(text=text))
                if rng.random() < 0.5:
                    scores[text] = self.catalog.about(self.catalog.vectors[row])
        beliefs = Beliefs(
            clauses=tuple(clauses), mentions=tuple(mentions), wishes=tuple(wishes),
            about=tuple(about),
        )  # fmt: skip
        return beliefs, scores

    def _clause(self, item: Item) -> Clause | None:
        facets = [
            f for f in self.facets.values()
            if f.filterable and f.kind in ("number", "categories", "people")
            and item.values.get(f.name) not in (None, (), "")
        ]  # fmt: skip
        if not facets:
            return None
        facet = self.rng.choice(facets)
        value = item.values[facet.name]
        if facet.kind == "number":
            steps = (0, 3) if facet.role == "audience" else (0, 5, 10, 20)
            off = self.rng.choice(steps)
            if self.rng.random() < 0.5:
                return Clause(field=facet.name, op="ge", values=(max(float(value) - off, 0.0),))
            return Clause(field=facet.name, op="le", values=(float(value) + off,))
        if self.rng.random() < 0.15 and (other := self._absent(facet, value)):
            return Clause(field=facet.name, op="none", values=(other,))
        held = value if isinstance(value, tuple) else (value,)
        count = 1 if self.rng.random() < 0.8 else 2
        return Clause(field=facet.name, op="any", values=tuple(held[:count]))

    def _absent(self, facet: Facet, value: Any) -> str | None:
        held = value if isinstance(value, tuple) else (value,)
        others = [str(v) for v in list(self.catalog.values(facet.name))[:50] if v not in held]
        return self.rng.choice(others) if others else None

    def _neighbour(self, row: int) -> int | None:
        """An item people talk of with this one, or one that shares a name, or any."""
        related = self.catalog.related
        linked = related.indices[related.indptr[row] : related.indptr[row + 1]]
        if len(linked) and self.rng.random() < 0.7:
            return int(self.rng.choice(list(linked)))
        other = self.row()
        return other if other != row else None

    def _words(self, item: Item) -> str:
        """Free words about the item, from its own tags: "something about grief"."""
        values = [
            str(v).lower() for f in self.facets.values()
            if f.role in ("tag", "mood", "category") and f.kind == "categories"
            for v in item.values.get(f.name, ())
        ]  # fmt: skip
        if not values:
            return "something else"
        picked = self.rng.sample(values, min(len(values), self.rng.choice((1, 1, 2))))
        frame = self.rng.choice(
            ("{}", "something about {}", "something with {}", "{} with a twist")
        )
        return frame.format(" and ".join(picked))
