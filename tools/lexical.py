"""Words and names: which items hold the telling words of a text, or the people it names.

Dense vectors blur rare words ("heist", "Paris"); an inverted index does not. Its words
are those of the items' categories, tags, moods, keywords and premise, never of the title
("it" is not a request for the film It). Words are folded and lightly stemmed.
"""

from __future__ import annotations

import copy
import math
from functools import lru_cache
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from catalog.items import Catalog
from catalog.postings import Postings, Triples, picked
from tools.names import WORD_PATTERN, rank, tokens

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
WORD_ROLES: Final = ("category", "tag", "mood", "premise", "origin", "language")
TAG_ROLES: Final = ("category", "tag", "mood")
DERIVED_WEIGHT: Final = 0.6  # a word of a sentence, or a keyword found by machine, says less
COMMON: Final = 150  # words more frequent than this (rank in MiniLM's vocabulary) say nothing
TALK: Final = frozenset(
    "movie movies film films book books item like good great best really think know want watch "
    "watching watched see seen look looking something anything recommend suggestion suggest love "
    "loved enjoy enjoyed hi hello thanks thank yes no okay ok please kind type sort maybe also "
    "favorite favourite any some thing things little bit lot new one ones help find".split()
)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A light stem: plurals and the commonest endings only."""
    for ending, cut in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 4 and not word.endswith("ss"):
            return word[: len(word) - len(ending)] + cut
    return word


def telling(text: str) -> list[str]:
    """The stems of a text that say what it is about, in order, without repeats."""
    words = (t.word for t in tokens(text))
    kept = (w for w in words if w not in TALK and len(w) > 2 and rank(w) > COMMON)
    return list(dict.fromkeys(stem(w) for w in kept))


class Words:
    """The inverted index. ``match(text)`` is the share of its telling words an item holds."""

    def __init__(self, catalog: Catalog) -> None:
        self.synonyms: dict[str, str] = {}
        for facet in catalog.domain.facets:
            if facet.role in ("category", "mood", "tag"):
                self.synonyms.update(facet.synonyms)
        self.postings = _words(catalog, catalog.df, {})
        self.tags = _Tags(catalog)

    def grown(self, catalog: Catalog, rows: Rows) -> Words:
        """With what ``rows`` of the changed catalogue hold."""
        out = copy.copy(self)
        out.postings = self.postings.grown(
            len(catalog), rows, lambda at, known: _words(catalog, picked(catalog.df, at), known)
        )
        out.tags = self.tags.grown(catalog, rows)
        return out

    def match(self, text: str) -> Floats:
        """Share (0..1, by rarity) of the telling words of ``text``. Shape ``(N,)``."""
        n, known = self.postings.n, self.postings.vocabulary
        out = np.zeros(n, dtype=np.float32)
        words = telling(text)
        folded = " " + " ".join(t.word for t in tokens(text)) + " "
        for surface, value in self.synonyms.items():
            if f" {surface} " in folded:
                words += [stem(t.word) for t in tokens(value)]
        columns = [known[w] for w in dict.fromkeys(words) if w in known]
        total = 0.5 * sum(w not in known for w in words) * math.log(1 + n)
        for column in columns:
            rows, weights = self.postings.held(column)
            idf = math.log(1 + n / max(len(rows), 1))
            out[rows] += np.float32(idf) * weights
            total += idf
        return out / np.float32(total) if columns else out


def _words(catalog: Catalog, df: pl.DataFrame, vocabulary: dict[str, int]) -> Postings:
    """Telling words of texts and all words of tags, held by the rows of a table."""
    triples = Triples(vocabulary)
    for facet in catalog.domain.facets:
        if facet.role not in WORD_ROLES or facet.kind not in ("categories", "text"):
            continue
        column = df[facet.name]
        told = facet.kind == "categories" and facet.filterable
        weight = 1.0 if told else DERIVED_WEIGHT
        if isinstance(column.dtype, pl.List):
            triples.add(column, _stems, weight)
        elif column.dtype == pl.String:
            triples.add(column, telling, weight, WORD_PATTERN)
    return triples.postings(len(df), add=True)


def _stems(value: str) -> set[str]:
    return {stem(t.word) for t in tokens(value)}


class _Tags:
    """Whole tags found in a text: "con artists" is not every film with a con or an artist."""

    def __init__(self, catalog: Catalog) -> None:
        self.postings = _tags(catalog, catalog.df, {})
        self._also: dict[str, str] = {}  # a synonym, as a phrase -> the tag it stands for
        for facet in catalog.domain.facets:
            if facet.role in TAG_ROLES and facet.kind == "categories":
                for surface, value in facet.synonyms.items():
                    self._also.setdefault(phrase(surface), phrase(value))
        self._measure()

    def _measure(self) -> None:
        known = (*self.postings.vocabulary, *self._also)
        self._longest = max((tag.count(" ") + 1 for tag in known), default=0)

    def grown(self, catalog: Catalog, rows: Rows) -> _Tags:
        out = copy.copy(self)
        out.postings = self.postings.grown(
            len(catalog), rows, lambda at, known: _tags(catalog, picked(catalog.df, at), known)
        )
        out._measure()
        return out

    def match(self, text: str) -> Floats:
        """Share (0..1, by rarity) of the tags that stand in ``text``. Shape ``(N,)``.

        The longest tag at a place counts ("time travel", not also "travel").
        """
        n, known = self.postings.n, self.postings.vocabulary
        out = np.zeros(n, dtype=np.float32)
        words = phrase(text).split()
        total, at = 0.0, 0
        while at < len(words):
            for size in range(min(self._longest, len(words) - at), 0, -1):
                tag = " ".join(words[at : at + size])
                column = known.get(tag, known.get(self._also.get(tag, "")))
                if column is not None and (size > 1 or words[at] not in TALK):
                    rows, held = self.postings.held(column)
                    if not len(rows):  # its last item went
                        continue
                    weight = math.log(1 + n / len(rows))
                    out[rows] += np.float32(weight) * held
                    total += weight
                    at += size - 1
                    break
            at += 1
        return out / np.float32(total) if total else out


def _tags(catalog: Catalog, df: pl.DataFrame, vocabulary: dict[str, int]) -> Postings:
    triples = Triples(vocabulary)
    for facet in catalog.domain.facets:
        if facet.role in TAG_ROLES and facet.kind == "categories":
            weight = 1.0 if facet.filterable else DERIVED_WEIGHT
            triples.add(df[facet.name], lambda value: (phrase(str(value)),), weight)
    return triples.postings(len(df))


def phrase(text: str) -> str:
    """A text as the stems of its words, articles and all."""
    return " ".join(stem(t.word) for t in tokens(text))


class People:
    """Who made what: items of a person named in a text, people two items share."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._facets = [f.name for f in catalog.domain.facets if f.kind == "people"]
        self.postings = _people(self._facets, catalog.df, {})
        self._names: dict[str, list[int]] = {}
        self._add_names(0)

    def _add_names(self, first: int) -> None:
        """File the full names of the vocabulary from column ``first`` on."""
        for name, column in islice(self.postings.vocabulary.items(), first, None):
            folded = " ".join(t.word for t in tokens(name))
            if " " in folded:
                self._names.setdefault(folded, []).append(column)

    def grown(self, catalog: Catalog, rows: Rows) -> People:
        """With the people of ``rows`` of the changed catalogue."""
        out = copy.copy(self)
        out.catalog = catalog
        out.postings = self.postings.grown(
            len(catalog),
            rows,
            lambda at, known: _people(self._facets, picked(catalog.df, at), known),
        )
        first = len(self.postings.vocabulary)
        if len(out.postings.vocabulary) > first:
            out._names = {name: list(held) for name, held in self._names.items()}
            out._add_names(first)
        return out

    def named(self, text: str) -> Floats:
        """1 for items by a person whose full name stands in ``text``. Shape ``(N,)``."""
        out = np.zeros(self.postings.n, dtype=np.float32)
        words = [t.word for t in tokens(text)]
        for size in (2, 3, 4):
            for start in range(len(words) - size + 1):
                for column in self._names.get(" ".join(words[start : start + size]), ()):
                    out[self.postings.held(column)[0]] = 1
        return out

    def shared(self, named: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Floats:
        """How many people of ``named`` each of ``rows`` has, with repeats. Shape ``(rows,)``."""
        counts = np.zeros(self.postings.n, dtype=np.float32)
        for row in named.tolist():
            cells = [self.catalog.df[facet][row] for facet in self._facets]
            names = [name for cell in cells if cell is not None for name in cell]
            for name in dict.fromkeys(names):
                counts[self.postings.held(self.postings.vocabulary[name])[0]] += 1
        return counts[rows]


def _people(facets: list[str], df: pl.DataFrame, vocabulary: dict[str, int]) -> Postings:
    triples = Triples(vocabulary)
    for facet in facets:
        triples.add(df[facet], lambda name: (name,))
    return triples.postings(len(df))
