"""Suggest names while a person types: titles, people and category values of one catalogue.

Every name is filed under the folded text from each of its words on ("eternal sunshine",
"sunshine"), in one sorted column: a prefix is a range of it, found by bisection, and the best
known of the range come first. Where that gives nothing, names within one or two typing slips of
the prefix do. Twenty thousand items: a millisecond, some ten for a slip. Made by polars over
whole columns; a change of a few rows is a small index of the same kind beside the large one.

    Suggester(catalog).suggest("sunsh")
"""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import process
from rapidfuzz.distance import OSA

from catalog.items import Catalog, Domain, Facet, Floats
from catalog.postings import picked
from tools.names import ARTICLES

LAST: Final = "\U0010ffff"  # sorts after every other character
MAX_STARTS: Final = 6  # words of a name that a prefix may begin at
MAX_PREFIX: Final = 60  # characters of what was typed that are looked at
MIN_FOR_SLIPS: Final = 4  # shorter prefixes are taken as they stand
#: How much better known a name must be to pass one that begins with what was typed.
AT_START: Final = 4.0
AFRESH: Final = 1_000  # changed rows, and their share of all, from which all is sorted anew
SHARE: Final = 0.05
Scores = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
NONE: Final[Rows] = np.zeros(0, dtype=np.int64)
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
        self._base = Index(catalog, np.flatnonzero(catalog.alive), frozenset())
        self._over: Index | None = None  # names of the rows that changed since
        self._changed: Rows = np.zeros(0, dtype=np.int64)

    def grown(self, catalog: Catalog) -> Suggester:
        """The same over a catalogue that took up a change; another one is sorted anew.

        Rows that changed are looked up beside the rest. How well known an old name is stays as it
        was.
        """
        changed = catalog.changed
        same = catalog.codebooks is self.catalog.codebooks  # shared by all that came of one opening
        if not same or len(changed) > max(AFRESH, SHARE * len(catalog)):
            return Suggester(catalog)
        out = copy.copy(self)
        out.catalog, out._changed = catalog, changed
        out._over = Index(catalog, changed[catalog.alive[changed]], self._base.others)
        return out

    def suggest(self, prefix: str, limit: int = 8) -> list[Suggestion]:
        """Up to ``limit`` names of which a word begins like ``prefix``, best known first.

        Exact names come first, then names that begin so, then those with typing slips.
        Nothing for a prefix without a letter or digit.
        """
        typed = folded(prefix)[:MAX_PREFIX]
        if not typed or limit < 1:
            return []
        found = self._found(partial(Index.beginning, typed=typed, limit=limit))
        if not found and len(typed) >= MIN_FOR_SLIPS:
            bare = typed.replace(" ", "")
            for letter in (bare[0], bare[1]):
                found = self._found(partial(Index.slips, typed=bare, letter=letter, limit=limit))
                if found:
                    break
        return [self._shown(name) for name in found[:limit]]

    def _found(self, look: Callable[..., list[tuple[float, Named]]]) -> list[Named]:
        """What both indexes have, best first; of the large one without rows that changed."""
        found = look(self._base, gone=self._changed)
        if self._over is not None:
            found = sorted([*found, *look(self._over, gone=NONE)], key=lambda pair: -pair[0])
        return [name for _, name in found]

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


class Index:
    """The names of some rows, sorted by each of their first words on.

    ``others``: people and values, by facet and text; those in ``known`` are left out. Names are
    numbered: the rows' titles first, then the others.
    """

    def __init__(self, catalog: Catalog, rows: Rows, known: frozenset[tuple[str, str]]) -> None:
        df, popularity = picked(catalog.df, rows), catalog.popularity[rows]
        self._titles, self._rows = df["title"], rows
        surfaces: list[str] = []
        of: list[int] = []
        self._names: list[Named] = []
        scores = 1.0 + popularity.astype(np.float64)
        for name, written in _named(catalog.domain, df, popularity):
            assert name.facet is not None
            if (name.facet.name, name.text) in known:
                continue
            surfaces += written
            of += [len(rows) + len(self._names)] * len(written)
            self._names.append(name)
        self.others = frozenset((n.facet.name, n.text) for n in self._names if n.facet)
        table = pl.concat(
            [
                _starts(self._titles, np.arange(len(rows))),
                _starts(pl.Series(surfaces), np.array(of, dtype=np.int64)),
            ]
        ).sort("form", "of")
        self._forms = table["form"]
        self._whole = table["whole"].to_numpy()
        self._of: Rows = table["of"].to_numpy()
        scores = np.concatenate([scores, [name.known for name in self._names]])
        self._scores: Scores = scores[self._of] * np.where(self._whole, AT_START, 1.0)

    def beginning(self, typed: str, limit: int, gone: Rows) -> list[tuple[float, Named]]:
        """Names of which a word begins with ``typed``, none of a row in ``gone``."""
        at, to = self._range(typed)
        scores = self._scores[at:to].copy()
        same = int(self._forms.search_sorted(typed, side="right")) - at
        scores[:same][self._whole[at : at + same]] += EXACT  # before longer ones
        return self._best(np.arange(at, to), scores, limit, gone)

    def slips(self, typed: str, letter: str, limit: int, gone: Rows) -> list[tuple[float, Named]]:
        """Names within one slip of what was typed (two from eight letters on), spaces aside.

        Most slips leave the first letter right: those names are asked for first, then those
        that begin with the second.
        """
        allowed = 1 if len(typed) < 8 else 2
        at, to = self._range(letter)
        closed = self._forms.slice(at, to - at).str.replace_all(" ", "", literal=True)
        far = allowed + 1
        near = np.full(to - at, far, dtype=np.int64)
        for length in range(len(typed) - 1, len(typed) + 2):
            # The name's own beginning, a letter more or less, is what was meant.
            heads = closed.str.slice(0, length)
            said = heads.unique().to_list()
            hits = process.extract(
                typed, said, scorer=OSA.distance, score_cutoff=allowed, limit=None
            )
            if hits:
                told = {head: int(distance) for head, distance, _ in hits}
                apart = heads.replace_strict(told, default=far, return_dtype=pl.Int64)
                near = np.minimum(near, apart.to_numpy())
        places = np.flatnonzero(near < far)
        scores = self._scores[at + places] * SLIP ** near[places].astype(np.float64)
        return self._best(at + places, scores, limit, gone)

    def _range(self, typed: str) -> tuple[int, int]:
        at = int(self._forms.search_sorted(typed))
        return at, int(self._forms.search_sorted(typed + LAST))

    def _best(
        self, places: Rows, scores: Scores, limit: int, gone: Rows
    ) -> list[tuple[float, Named]]:
        """The names at ``places`` of the list with the highest scores, each once."""
        if len(gone):
            of = self._of[places]
            titles = of < len(self._rows)
            left = np.zeros(len(of), dtype=np.bool_)
            left[titles] = np.isin(self._rows[of[titles]], gone)
            places, scores = places[~left], scores[~left]
        few = min(len(scores), MAX_STARTS * limit)  # a name may stand in a range more than once
        if few < len(scores):
            top = np.sort(np.argpartition(-scores, few - 1)[:few])
            places, scores = places[top], scores[top]
        best: dict[int, float] = {}
        for k in np.argsort(-scores, kind="stable"):
            best.setdefault(int(self._of[places[k]]), float(scores[k]))
        return [(score, self._name(of)) for of, score in list(best.items())[:limit]]

    def _name(self, of: int) -> Named:
        if of >= len(self._rows):
            return self._names[of - len(self._rows)]
        return Named(self._titles[of], 0.0, row=int(self._rows[of]))


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


def _starts(names: pl.Series, of: Rows) -> pl.DataFrame:
    """``starts`` of many names, ``of`` their numbers: columns form, of, whole."""
    names = names.cast(pl.String)
    plain = names.str.to_lowercase().str.replace_all("['’]", "")
    plain = plain.str.replace_all("[^0-9a-z]+", " ").str.strip_chars()
    odd = names.str.contains("[^\x00-\x7f]").fill_null(True).arg_true()
    if len(odd):
        folds = [folded(name or "") for name in names.gather(odd).to_list()]
        plain = plain.scatter(odd, folds)
    words = plain.str.split(" ")
    tables = []
    for k in range(MAX_STARTS):
        some = words.list.len() > k
        form = words.filter(some).list.slice(k).list.join(" ")
        table = pl.DataFrame({"form": form, "of": of[some.to_numpy()]})
        tables.append(table.with_columns(whole=pl.lit(k == 0)))
    return pl.concat(tables).filter(pl.col("form") != "")


def _named(
    domain: Domain, df: pl.DataFrame, popularity: Floats
) -> Iterator[tuple[Named, tuple[str, ...]]]:
    """People and values of a table, how well known each is, and what it may be written as."""
    people: dict[str, tuple[float, float, Facet]] = {}
    for facet in domain.facets:
        if not facet.filterable or facet.kind not in ("people", "categories"):
            continue
        known = _known(df, popularity, facet)
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


def _known(df: pl.DataFrame, popularity: Floats, facet: Facet) -> dict[str, float]:
    """Each value of a facet: how well known its items are together."""
    column = df.select(pl.col(facet.name).alias("value"), pl.Series("known", 1.0 + popularity))
    if isinstance(column["value"].dtype, pl.List):
        column = column.explode("value")
    sums = column.drop_nulls().group_by("value", maintain_order=True).agg(pl.col("known").sum())
    pairs: list[tuple[Any, float]] = list(zip(sums["value"], sums["known"], strict=True))
    return {str(value): float(known) for value, known in pairs}
