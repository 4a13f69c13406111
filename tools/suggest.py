"""Suggest names while a person types: titles, people and category values of one catalogue.

Every name is filed under the folded text from each of its words on ("eternal sunshine",
"sunshine"), in one sorted list: a prefix is a range of it, found by bisection, and the best
known of the range come first. Where that gives too little, names within one or two typing
slips of the prefix join. Twenty thousand items: a millisecond, some ten for a slip.

    Suggester(catalog).suggest("sunsh")
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import OSA

from catalog.items import Catalog, Facet
from tools.names import ARTICLES

LAST: Final = "\U0010ffff"  # sorts after every other character
MAX_STARTS: Final = 6  # words of a name that a prefix may begin at
MAX_PREFIX: Final = 60  # characters of what was typed that are looked at
MIN_FOR_SLIPS: Final = 4  # shorter prefixes are taken as they stand
#: How much better known a name must be to pass one that begins with what was typed.
AT_START: Final = 4.0
Scores = npt.NDArray[np.float64]
#: What a slip costs: the name counts as this much less known, a slip.
SLIP: Final = 0.02
EXACT: Final = 1e9  # what was typed is a whole name: nothing passes it


class Suggestion(NamedTuple):
    """A name to offer.

    ``facet``: the facet that holds a person or value, None for a title. ``detail``: a few
    words that tell it from its namesakes. ``item_id``: of a title.
    """

    text: str
    kind: Literal["title", "person", "value"]
    facet: str | None
    detail: str
    item_id: str | None


class Named(NamedTuple):
    """A name as it is kept: ``row`` of a title, ``facet`` of anything else."""

    text: str
    known: float
    row: int = -1
    facet: Facet | None = None


class Suggester:
    """The names of a catalogue, sorted. Immutable; safe to share between threads."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._names: list[Named] = []
        forms: list[tuple[str, int, bool]] = []
        for name, surfaces in _named(catalog):
            for surface in surfaces:
                forms += [(form, len(self._names), first) for form, first in starts(surface)]
            self._names.append(name)
        forms.sort()
        self._forms = [form for form, _, _ in forms]
        self._closed = [form.replace(" ", "") for form in self._forms]
        self._whole = [first for _, _, first in forms]
        self._of = np.array([of for _, of, _ in forms], dtype=np.int64)
        known = np.array([name.known for name in self._names])
        bonus = np.array([AT_START if first else 1.0 for _, _, first in forms])
        self._scores: Scores = known[self._of] * bonus if forms else np.zeros(0)

    def suggest(self, prefix: str, limit: int = 8) -> list[Suggestion]:
        """Up to ``limit`` names of which a word begins like ``prefix``, best known first.

        Exact names come first, then names that begin so, then those with typing slips.
        Nothing for a prefix without a letter or digit.
        """
        typed = folded(prefix)[:MAX_PREFIX]
        if not typed or limit < 1:
            return []
        at, to = self._range(typed)
        scores = self._scores[at:to].copy()
        for k in range(at, to):  # whole names stand before longer ones
            if self._forms[k] != typed:
                break
            if self._whole[k]:
                scores[k - at] += EXACT
        found = self._best(np.arange(at, to), scores, limit)
        if not found and len(typed) >= MIN_FOR_SLIPS:
            found = self._slips(typed.replace(" ", ""), limit)
        return [self._shown(self._names[n]) for n in found[:limit]]

    def _range(self, typed: str) -> tuple[int, int]:
        at = bisect_left(self._forms, typed)
        return at, bisect_left(self._forms, typed + LAST, lo=at)

    def _best(self, places: npt.NDArray[np.int64], scores: Scores, limit: int) -> list[int]:
        """The names at ``places`` of the list with the highest scores, each once."""
        few = min(len(scores), 4 * limit)  # a name may stand in a range more than once
        if few < len(scores):
            top = np.argpartition(-scores, few - 1)[:few]
            places, scores = places[top], scores[top]
        order = np.argsort(-scores, kind="stable")
        return list(dict.fromkeys(self._of[places[order]].tolist()))[:limit]

    def _slips(self, typed: str, limit: int) -> list[int]:
        """Names within one slip of what was typed (two from eight letters on), spaces aside.

        Most slips leave the first letter right: those names first, then those that begin
        with the second.
        """
        allowed = 1 if len(typed) < 8 else 2
        for letter in (typed[0], typed[1]):
            at, to = self._range(letter)
            near: dict[int, int] = {}
            for length in range(len(typed) - 1, len(typed) + 2):
                # The name's own beginning, a letter more or less, is what was meant.
                heads = [form[:length] for form in self._closed[at:to]]
                hits = process.extract(
                    typed, heads, scorer=OSA.distance, score_cutoff=allowed, limit=None
                )
                for _, distance, place in hits:
                    near[at + place] = min(near.get(at + place, 9), int(distance))
            if near:
                places = np.array(list(near), dtype=np.int64)
                slips = np.array(list(near.values()), dtype=np.float64)
                return self._best(places, self._scores[places] * SLIP**slips, limit)
        return []

    def _shown(self, name: Named) -> Suggestion:
        if name.facet is not None:
            kind: Literal["person", "value"] = "person" if name.facet.kind == "people" else "value"
            return Suggestion(name.text, kind, name.facet.name, name.facet.label, None)
        item = self.catalog.item(name.row)
        details: list[str] = []
        for role in ("date", "maker", "category"):
            facet = next((f for f in self.catalog.domain.facets if f.role == role), None)
            value = item.values.get(facet.name) if facet else None
            if value is not None and len(details) < 2:
                first = value[0] if isinstance(value, tuple) else value
                details.append(f"{first:g}" if isinstance(first, int | float) else str(first))
        return Suggestion(item.title, "title", None, ", ".join(details), item.id)


def folded(text: str) -> str:
    """Lower case, no accents, single spaces for whatever is neither letter nor digit."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.sub(r"[^\w]|_", " ", re.sub(r"['’]", "", plain)).split())


def starts(name: str) -> Iterator[tuple[str, bool]]:
    """The folded name from each of its first words on, and whether that is its beginning."""
    words = folded(name).split()
    for k in range(min(len(words), MAX_STARTS)):
        yield " ".join(words[k:]), k == 0


def _named(catalog: Catalog) -> Iterator[tuple[Named, tuple[str, ...]]]:
    """Every name with how well known it is, and what it may be written as."""
    for row, title in enumerate(catalog.df["title"].to_list()):
        yield Named(title, 1.0 + float(catalog.popularity[row]), row=row), (title,)
    people: dict[str, tuple[float, float, Facet]] = {}
    for facet in catalog.domain.facets:
        if not facet.filterable or facet.kind not in ("people", "categories"):
            continue
        known = _known(catalog, facet)
        if facet.kind == "people":
            for name, score in known.items():
                total, most, best = people.get(name, (0.0, 0.0, facet))
                best = facet if score > most else best
                people[name] = (total + score, max(most, score), best)
            continue
        also: dict[str, list[str]] = {}
        for surface, value in facet.synonyms.items():
            if surface.split()[0] not in ARTICLES:  # "the" shall not lead to a country
                also.setdefault(value, []).append(surface)
        for value, score in known.items():
            yield Named(value, score, facet=facet), (value, *also.get(value, ()))
    for name, (total, _, facet) in people.items():
        yield Named(name, total, facet=facet), (name,)


def _known(catalog: Catalog, facet: Facet) -> dict[str, float]:
    """Each value of a facet: how well known its items are together."""
    column = catalog.df.select(
        pl.col(facet.name).alias("value"), pl.Series("known", 1.0 + catalog.popularity)
    )
    if isinstance(column["value"].dtype, pl.List):
        column = column.explode("value")
    sums = column.drop_nulls().group_by("value", maintain_order=True).agg(pl.col("known").sum())
    pairs: list[tuple[Any, float]] = list(zip(sums["value"], sums["known"], strict=True))
    return {str(value): float(known) for value, known in pairs}
