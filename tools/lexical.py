"""Words and names: which items hold the telling words of a text, or the people it names.

Dense vectors blur rare words ("heist", "Paris"); an inverted index does not. Its words
are those of the items' categories, tags, moods, keywords and premise, never of the title
("it" is not a request for the film It). Words are folded and lightly stemmed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from catalog.items import Catalog
from tools.names import rank, tokens

Floats = npt.NDArray[np.float32]
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
        self.n = len(catalog)
        self.vocabulary: dict[str, int] = {}
        self.synonyms: dict[str, str] = {}
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for facet in catalog.domain.facets:
            if facet.role not in WORD_ROLES or facet.kind not in ("categories", "text"):
                continue
            if facet.role in ("category", "mood", "tag"):
                self.synonyms.update(facet.synonyms)
            told = facet.kind == "categories" and facet.filterable
            weight = 1.0 if told else DERIVED_WEIGHT
            for row, held in enumerate(catalog.df[facet.name].to_list()):
                for word in self._held(held):
                    rows.append(row)
                    columns.append(self.vocabulary.setdefault(word, len(self.vocabulary)))
                    values.append(weight)
        shape = (self.n, max(1, len(self.vocabulary)))
        self.tags = _Tags(catalog)
        held_by = sp.csc_matrix((values, (rows, columns)), shape=shape, dtype=np.float32)
        held_by.data = np.minimum(held_by.data, 1.0)  # a word in two facets counts once
        self.matrix = held_by
        spread = np.diff(held_by.indptr)
        self.idf = np.log(1 + self.n / np.maximum(spread, 1)).astype(np.float32)

    def _held(self, value: object) -> Iterable[str]:
        if isinstance(value, str):
            return telling(value)
        if isinstance(value, list):
            return {stem(t.word) for v in value for t in tokens(str(v))}
        return ()

    def match(self, text: str) -> Floats:
        """Share (0..1, by rarity) of the telling words of ``text``. Shape ``(N,)``."""
        out = np.zeros(self.n, dtype=np.float32)
        words = telling(text)
        folded = " " + " ".join(t.word for t in tokens(text)) + " "
        for surface, value in self.synonyms.items():
            if f" {surface} " in folded:
                words += [stem(t.word) for t in tokens(value)]
        columns = [self.vocabulary[w] for w in dict.fromkeys(words) if w in self.vocabulary]
        unknown = sum(w not in self.vocabulary for w in words)
        if not columns:
            return out
        idf = self.idf[columns]
        total = float(idf.sum()) + 0.5 * unknown * math.log(1 + self.n)
        for column, weight in zip(columns, idf, strict=True):
            lo, hi = self.matrix.indptr[column : column + 2]
            out[self.matrix.indices[lo:hi]] += weight * self.matrix.data[lo:hi]
        return out / total


class _Tags:
    """Whole tags found in a text: "con artists" is not every film with a con or an artist."""

    def __init__(self, catalog: Catalog) -> None:
        self.n = len(catalog)
        held_by: dict[str, dict[int, float]] = {}
        for facet in catalog.domain.facets:
            if facet.role not in TAG_ROLES or facet.kind != "categories":
                continue
            for row, held in enumerate(catalog.df[facet.name].to_list()):
                for value in {phrase(str(v)) for v in held or ()}:
                    rows = held_by.setdefault(value, {})
                    rows[row] = max(rows.get(row, 0.0), 1.0 if facet.filterable else DERIVED_WEIGHT)
            for surface, value in facet.synonyms.items():
                if phrase(value) in held_by:
                    held_by.setdefault(phrase(surface), held_by[phrase(value)])
        self._tags = {
            tag: (np.array(list(held), dtype=np.int64), np.array(list(held.values()), np.float32))
            for tag, held in held_by.items()
        }
        self._longest = max((p.count(" ") + 1 for p in self._tags), default=0)

    def match(self, text: str) -> Floats:
        """Share (0..1, by rarity) of the tags that stand in ``text``. Shape ``(N,)``.

        The longest tag at a place counts ("time travel", not also "travel").
        """
        out = np.zeros(self.n, dtype=np.float32)
        words = phrase(text).split()
        total, at = 0.0, 0
        while at < len(words):
            for size in range(min(self._longest, len(words) - at), 0, -1):
                found = self._tags.get(" ".join(words[at : at + size]))
                if found is not None and (size > 1 or words[at] not in TALK):
                    rows, held = found
                    weight = math.log(1 + self.n / len(rows))
                    out[rows] += weight * held
                    total += weight
                    at += size - 1
                    break
            at += 1
        return out / total if total else out


def phrase(text: str) -> str:
    """A text as the stems of its words, articles and all."""
    return " ".join(stem(t.word) for t in tokens(text))


class People:
    """Who made what: items of a person named in a text, people two items share."""

    def __init__(self, catalog: Catalog) -> None:
        self.n = len(catalog)
        self._index: dict[str, int] = {}
        rows: list[int] = []
        columns: list[int] = []
        for facet in catalog.domain.facets:
            if facet.kind != "people":
                continue
            for row, held in enumerate(catalog.df[facet.name].to_list()):
                for name in held or ():
                    rows.append(row)
                    columns.append(self._index.setdefault(name, len(self._index)))
        shape = (self.n, max(1, len(self._index)))
        ones = np.ones(len(rows), dtype=np.float32)
        self.matrix = sp.csr_matrix((ones, (rows, columns)), shape=shape)
        self.matrix.data = np.minimum(self.matrix.data, 1.0)
        self._by_person = self.matrix.tocsc()
        self._names: dict[str, list[int]] = {}
        for name, column in self._index.items():
            folded = " ".join(t.word for t in tokens(name))
            if " " in folded:
                self._names.setdefault(folded, []).append(column)

    def named(self, text: str) -> Floats:
        """1 for items by a person whose full name stands in ``text``. Shape ``(N,)``."""
        out = np.zeros(self.n, dtype=np.float32)
        words = [t.word for t in tokens(text)]
        for size in (2, 3, 4):
            for start in range(len(words) - size + 1):
                for column in self._names.get(" ".join(words[start : start + size]), ()):
                    lo, hi = self._by_person.indptr[column : column + 2]
                    out[self._by_person.indices[lo:hi]] = 1
        return out

    def shared(self, named: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Floats:
        """How many people of ``named`` each of ``rows`` has, with repeats. Shape ``(rows,)``."""
        counts = np.zeros(self.n, dtype=np.float32)
        for row in named:
            lo, hi = self.matrix.indptr[row : row + 2]
            for column in self.matrix.indices[lo:hi]:
                start, end = self._by_person.indptr[column : column + 2]
                counts[self._by_person.indices[start:end]] += 1
        return counts[rows]
