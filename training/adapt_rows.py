"""Rows that teach the slate role one catalogue, whatever it sells.

* ``requests``: one to three facts of an item (values of its facets, words of its text),
  sometimes with a similar item named, in a plain sentence of ours -> the item, and others
  that have all of those facts.
* ``histories``: what a person chose before -> what they chose next, where interactions are
  given. The prior leaves the person's own choices out of its counts.

A tenth of the items' requests and of the people, by hash, are held out for measuring.
"""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl

from catalog.errors import ParleyError
from catalog.items import Catalog, Facet
from tools.candidates import Candidates
from tools.features import Leave, Query
from training.make_slate_rows import Sample, allowed

FORMS = (
    "{}",
    "{}, please.",
    "I'm looking for {}.",
    "Do you have {}?",
    "Can you find me {}?",
    "I want {}.",
    "Show me {}.",
)
TELLING = ("category", "maker", "people", "tag", "mood", "origin", "language")
LONGEST_HISTORY = 8
MOST_TARGETS = 3


class AdaptError(ParleyError):
    """A catalogue or an interactions file that nothing can be learnt from."""


def requests(
    candidates: Candidates, count: int, rng: np.random.Generator, held: bool
) -> Iterator[Sample]:
    """Samples from facts of items, the held-out items' or the others'.

    ``AdaptError`` when no facet holds anything to ask for.
    """
    catalog = candidates.catalog
    told = _Facts(catalog)
    rows = [r for r in told.rows if (crc32(catalog.ids[r].encode()) % 10 == 0) == held]
    if not rows:
        if held:
            return
        raise AdaptError(
            f"{catalog.domain.name}: no item has a category, maker or tag to ask for; give the "
            "catalogue such a column (see docs/your-catalogue.md)."
        )
    share = np.sqrt(catalog.popularity[rows] + 0.05)
    for row in rng.choice(rows, size=count, p=share / share.sum()):
        facts, targets = told.request(int(row), rng)
        about = " ".join(facts)
        said = str(rng.choice(FORMS)).format(f"{' '.join(facts)} {catalog.domain.noun_one}")
        anchors: tuple[int, ...] = ()
        if rng.random() < 0.3:
            near = candidates.catalog.vectors @ candidates.catalog.vectors[int(row)]
            near[list(targets)] = -np.inf
            anchors = (int(rng.choice(np.argpartition(-near, 5)[:5])),)
            said = f"something like <m1>, {about}"
        query = Query(turns=(("user", said),), about=(about,), anchors=anchors)
        may = allowed(candidates, query)
        targets = tuple(t for t in targets if may[t])
        if targets:
            prior = candidates.weights(query, may)
            vector = candidates.features.vector(query.text())
            yield Sample("requests", query, vector, prior, targets, held)


class _Facts:
    """Which items hold which value of which facet."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.facets = [f for f in catalog.domain.facets if f.role in TELLING and f.kind != "number"]
        self.held: list[list[str]] = [[] for _ in range(len(catalog))]
        self.holders: dict[str, set[int]] = {}
        for facet in self.facets:
            for row, value in enumerate(catalog.df[facet.name].to_list()):
                for one in _values(value, facet):
                    self.held[row].append(one)
                    self.holders.setdefault(one, set()).add(row)
        self.rows = [row for row, held in enumerate(self.held) if held]

    def request(self, row: int, rng: np.random.Generator) -> tuple[list[str], tuple[int, ...]]:
        """Facts of an item, and the rows that have them all, the item itself first."""
        held = list(dict.fromkeys(self.held[row]))
        size = int(rng.integers(1, min(len(held), 3) + 1))
        facts = [held[int(k)] for k in rng.choice(len(held), size=size, replace=False)]
        alike = np.array(sorted(set.intersection(*(self.holders[f] for f in facts)) - {row}))
        if not len(alike):
            return facts, (row,)
        share = self.catalog.popularity[alike] + 0.05
        size = min(MOST_TARGETS - 1, len(alike))
        others = rng.choice(alike, size=size, replace=False, p=share / share.sum())
        return facts, (row, *(int(r) for r in others))


def _values(value: object, facet: Facet) -> list[str]:
    if facet.kind == "text" or value is None:
        return []
    return [str(v) for v in (value if isinstance(value, list) else [value])]


def read_histories(path: Path, catalog: Catalog) -> dict[str, list[int]]:
    """Each person's items in time order, as rows; unknown items are left out.

    CSV, TSV or Parquet with the columns ``user``, ``item`` and ``time``. ``AdaptError`` names
    a missing column, or says that nobody chose two known items.
    """
    if not path.is_file():
        raise AdaptError(f"{path} does not exist: give a file of interactions.")
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
    else:
        frame = pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    missing = [c for c in ("user", "item", "time") if c not in frame.columns]
    if missing:
        raise AdaptError(
            f"{path} has no column {missing[0]!r} (it has {', '.join(frame.columns)}): rename it."
        )
    histories: dict[str, list[int]] = {}
    for user, item in frame.sort("time").select("user", "item").iter_rows():
        if catalog.has(str(item)):
            histories.setdefault(str(user), []).append(catalog.row(str(item)))
    kept = {u: list(dict.fromkeys(rows)) for u, rows in histories.items()}
    kept = {u: rows for u, rows in kept.items() if len(rows) > 1}
    if not kept:
        raise AdaptError(
            f"{path}: nobody chose two items of this catalogue; check that its `item` column "
            "holds the catalogue's ids."
        )
    return kept


def histories(
    candidates: Candidates, chosen: dict[str, list[int]], held: bool, rng: np.random.Generator
) -> Iterator[Sample]:
    """One sample a person: the last item from those before; a random cut for training."""
    nothing = np.zeros(candidates.catalog.vectors.shape[1], np.float32)
    for user, rows in chosen.items():
        if (crc32(user.encode()) % 10 == 0) != held:
            continue
        cut = len(rows) - 1 if held else int(rng.integers(1, len(rows)))
        liked = tuple(rows[max(0, cut - LONGEST_HISTORY) : cut])
        query = Query(liked=liked)
        may = allowed(candidates, query)
        targets = tuple(r for r in rows[cut : cut + MOST_TARGETS] if may[r])
        if targets:
            prior = candidates.weights(query, may, leave=Leave(tuple(sorted(set(rows))), -1))
            yield Sample("histories", query, nothing, prior, targets[:1] if held else targets, held)
