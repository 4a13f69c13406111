"""Requests in free words, made from the items that answer them.

"Something hopeful about grief": one to three of an item's own tags and moods, or a few words
of its premise, in a plain sentence of ours. The answers are the item itself and others that
hold the same tags. Two uses: rows for the recommender, and the yardstick on which the
request weights of the ranker are set (``python -m training.requests``): how high the item
comes back when one of its tags at a time is all that is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from catalog.embed import Embedder
from catalog.items import Catalog
from tools.candidates import Candidates
from tools.features import Query

OPENERS = (
    "{}",
    "I want {}.",
    "I'm looking for {}.",
    "Do you have {}?",
    "Can you find me {}?",
    "{}, please.",
    "I'm in the mood for {}.",
)
MOST_ALIKE = 3
PREMISE_SHARE = 0.3


class Request(NamedTuple):
    """``about``: the wish alone; ``said``: the sentence; ``targets``: rows that answer it."""

    about: str
    said: str
    targets: tuple[int, ...]

    def query(self) -> Query:
        return Query(turns=(("user", self.said),), about=(self.about,))


class _Tags:
    """Tags, moods and premises of a catalogue, and which items hold a tag."""

    def __init__(self, catalog: Catalog) -> None:
        df = catalog.df
        empty: list[list[str]] = [[] for _ in range(len(catalog))]
        self.tags, self.moods = empty, [list(held) for held in empty]
        self.premise: list[str | None] = [None] * len(catalog)
        for facet in catalog.domain.facets:
            column = df[facet.name].to_list()
            if facet.role == "tag" and facet.filterable:
                self.tags = [a + list(b or ()) for a, b in zip(self.tags, column, strict=True)]
            elif facet.role == "mood":
                self.moods = [a + list(b or ()) for a, b in zip(self.moods, column, strict=True)]
            elif facet.role == "premise":
                self.premise = column
        self.holders: dict[str, set[int]] = {}
        for row, held in enumerate(zip(self.tags, self.moods, strict=True)):
            for tag in (*held[0], *held[1]):
                self.holders.setdefault(tag, set()).add(row)


def requests(catalog: Catalog, count: int, rng: np.random.Generator) -> list[Request]:
    """``count`` requests (none for a catalogue without tags). Popular items more often."""
    tags = _Tags(catalog)
    rows = np.array([r for r in range(len(catalog)) if tags.tags[r]], dtype=np.int64)
    if not len(rows):
        return []
    written = np.array([bool(tags.premise[r]) for r in rows])
    share = np.sqrt(catalog.popularity[rows] + 0.05) * np.where(written, 4.0, 1.0)
    picks = rng.choice(rows, size=count, p=share / share.sum())
    return [_request(catalog, tags, int(row), rng) for row in picks]


def _request(catalog: Catalog, tags: _Tags, row: int, rng: np.random.Generator) -> Request:
    premise = tags.premise[row]
    if premise and rng.random() < PREMISE_SHARE:
        words = premise.rstrip(".").split()
        about = " ".join(words[: int(rng.integers(5, 10))]).strip(",;:")
        return _said(about[0].lower() + about[1:], (row,), rng)
    some = [str(t) for t in rng.permutation(tags.tags[row])[: int(rng.integers(1, 3))]]
    mood = str(rng.choice(tags.moods[row])) if tags.moods[row] and rng.random() < 0.5 else None
    about = " and ".join(some)
    about = f"{mood} about {about}" if mood else about
    holding = [tags.holders[t] for t in (*some, *([mood] if mood else []))]
    alike = np.array(sorted(set.intersection(*holding) - {row}), dtype=np.int64)
    share = catalog.popularity[alike] + 0.05
    size = min(MOST_ALIKE, len(alike))
    others = rng.choice(alike, size=size, replace=False, p=share / share.sum()) if size else []
    return _said(about, (row, *(int(r) for r in others)), rng)


def _said(about: str, targets: tuple[int, ...], rng: np.random.Generator) -> Request:
    something = "something " if about.split()[0].isalpha() and " about " in about else ""
    lead = str(rng.choice(("", "a story about ", "something about "))) if not something else ""
    return Request(about, str(rng.choice(OPENERS)).format(something + lead + about), targets)


class Found(NamedTuple):
    """Ranks of the targets, 0 first, -1 off the list; one row a request, its best target."""

    ranks: npt.NDArray[np.int64]

    def recall(self, k: int) -> float:
        return float(((self.ranks >= 0) & (self.ranks < k)).mean())


def found(candidates: Candidates, made: list[Request]) -> Found:
    """Where the first target of each request (the item it was made from) comes back."""
    ranks = []
    for request in track(made, description="requests"):
        at = np.flatnonzero(candidates.weights(request.query()).top == request.targets[0])
        ranks.append(int(at[0]) if len(at) else -1)
    return Found(np.array(ranks, dtype=np.int64))


def main(
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    ranker: Annotated[Path, typer.Option(help="ranker.npz")],
    count: Annotated[int, typer.Option(help="requests")] = 300,
    seed: Annotated[int, typer.Option(help="of the draws")] = 7,
) -> None:
    """Print how high items come back for their own tags."""
    opened = Catalog.open(catalog)
    candidates = Candidates.open(opened, Embedder(), ranker)
    result = found(candidates, requests(opened, count, np.random.default_rng(seed)))
    table = Table(*(f"R@{k}" for k in (1, 10, 50, 300)))
    table.add_row(*(f"{result.recall(k):.3f}" for k in (1, 10, 50, 300)))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
