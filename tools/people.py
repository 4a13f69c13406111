"""People of a catalogue in text: full names, surnames of those who are talked about.

A person's weight is how much the items they made or appear in are talked about. A bare
surname counts when it is rare as a word ("Villeneuve") or stands where names stand
("by Hill", "a Stone film"); who of several people is meant is the one of most weight.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from catalog.postings import picked
from tools.names import Token, rank, words_of

if TYPE_CHECKING:
    from catalog.items import Catalog

_CUES: Final = frozenset(
    "by with starring stars featuring from director directed actor actress star without "
    "no not anything any".split()
)
_MAKES: Final = frozenset({"directed", "director", "directs", "by", "made", "filmmaker"})
_PLAYS: Final = frozenset(
    {"starring", "stars", "actor", "actress", "with", "featuring", "acting", "plays"}
)
_PARTICLES: Final = frozenset({"del", "de", "van", "von", "la", "di", "le"})
_KNOWN: Final = 3.0  # least weight of a person who may be called by surname alone
_MAX_WORDS: Final = 4


def _possessive(word: str, name: str) -> bool:
    return word == name + "s"


class Person(NamedTuple):
    """Tokens ``first .. first+length`` name ``name`` of ``facet``; ``score`` in 0..1."""

    first: int
    length: int
    name: str
    facet: str
    score: float


def _weights(
    df: pl.DataFrame, facets: Sequence[str], popularity: npt.NDArray[np.float64]
) -> dict[tuple[str, str], float]:
    """How much the items of each person of each facet are talked about, first names most."""
    out: dict[tuple[str, str], float] = {}
    known = pl.DataFrame({"known": 0.3 + popularity})
    for facet in facets:
        table = known.with_columns(df[facet].alias("name")).filter(pl.col("name").list.len() > 0)
        table = table.with_columns(pl.int_ranges(pl.col("name").list.len()).alias("place"))
        share = (pl.col("known") / (1 + pl.col("place") / 4)).sum().alias("weight")
        sums = (
            table.explode("name", "place")
            .drop_nulls()
            .group_by("name", maintain_order=True)
            .agg(share)
        )
        for name, weight in zip(sums["name"].to_list(), sums["weight"].to_list(), strict=True):
            if " " in name or rank(name.lower()) >= 1_000:  # "and": a slip of the source
                out[facet, name] = weight
    return out


class People:
    """The people of a catalogue, by every facet of kind "people"."""

    def __init__(
        self, catalog: "Catalog", popularity: npt.NDArray[np.float64], nouns: frozenset[str]
    ) -> None:
        """``popularity``: ``(N,)`` log1p of mention counts. ``nouns``: "film", "films"..."""
        facets = catalog.domain.facets
        self._df = catalog.df
        self._facets = [f.name for f in facets if f.kind == "people"]
        makers = [f.name for f in facets if f.kind == "people" and f.role == "maker"]
        others = [f for f in self._facets if f not in makers]
        self._maker = makers[0] if makers else ""
        self._player = others[0] if others else ""
        self._nouns = nouns
        self._weight = _weights(catalog.df, self._facets, popularity)
        self.index: dict[str, dict[str, str]] = {}
        self._file(self._weight)

    def grown(
        self, catalog: "Catalog", popularity: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]
    ) -> "People":
        """With the people of ``rows`` of the changed catalogue; nobody is forgotten."""
        out = copy.copy(self)
        out._df = catalog.df
        own = _weights(picked(catalog.df, rows), self._facets, popularity[rows])
        new = {who: weight for who, weight in own.items() if who not in self._weight}
        if new:
            out._weight = self._weight | new
            out.index = {}
            out._file(new)
            older = self.index  # who had a name first keeps it
            fresh = out.index.items()
            out.index = older | {name: held | older.get(name, {}) for name, held in fresh}
        return out

    def _file(self, weights: dict[tuple[str, str], float]) -> None:
        """Folded name or surname -> {facet: person}; those of most weight come first."""
        index: dict[str, dict[str, str]] = defaultdict(dict, self.index)
        ordered = sorted(weights.items(), key=lambda kv: -kv[1])
        split = {name: words_of(name) for _, name in weights}
        for (facet, name), _ in ordered:
            words = split[name]
            long = [w for w in words if len(w) > 1]
            if len(words) > 1:
                index[" ".join(words)].setdefault(facet, name)
            if len(long) > 1:  # "Samuel Jackson" for Samuel L. Jackson
                index[f"{long[0]} {long[-1]}"].setdefault(facet, name)
        for (facet, name), weight in ordered:
            words = split[name]
            if not words:
                continue
            junior = len(words) > 1 and words[-1] in {"jr", "sr", "3"}
            if weight >= _KNOWN or len(words) == 1:
                index[words[-2] if junior else words[-1]].setdefault(facet, name)
            if len(words) > 2 and words[-2] in _PARTICLES:
                index[" ".join(words[-2:])].setdefault(facet, name)
        self.index = dict(index)

    def share(self, a: int, b: int) -> bool:
        """Have rows ``a`` and ``b`` a person in common?"""
        for facet in self._facets:
            one, other = self._df[facet][a], self._df[facet][b]
            if one is not None and other is not None and set(one) & set(other):
                return True
        return False

    def makers(self, row: int) -> set[str]:
        """Folded surnames of who made a row; empty where nobody is known."""
        held = self._df[self._maker][row] if self._maker else None
        return {words[-1] for name in (() if held is None else held) if (words := words_of(name))}

    def find(self, toks: Sequence[Token], repaired: dict[int, str]) -> Iterator[Person]:
        """Every run of words that is a name, longest at each place, however unlikely."""
        words = [t.word for t in toks]
        for i in range(len(words)):
            for n in range(min(_MAX_WORDS, len(words) - i), 0, -1):
                run = [repaired.get(k, words[k]) for k in range(i, i + n)]
                who = self.index.get(" ".join(run))
                if who:
                    score = self._score(toks, i, n, who)
                    if run != words[i : i + n]:  # mended: a lone surname is then a guess
                        score -= 0.1 if n > 1 or _possessive(toks[i].word, run[0]) else 0.4
                    facet, name = self._which(toks, i, n, who)
                    yield Person(i, n, name, facet, score)
                    break

    def _score(self, toks: Sequence[Token], i: int, n: int, who: dict[str, str]) -> float:
        mixed = any(t.capital for t in toks[1:]) and not all(t.capital for t in toks)
        capital = toks[i].capital
        before = toks[i - 1].word if i else ""
        after = toks[i + n].word if i + n < len(toks) else ""
        cue = before in _CUES or after in self._nouns or before in self._nouns
        weight = max(self._weight.get((f, name), 0.0) for f, name in who.items())
        ranks = [rank(t.word) for t in toks[i : i + n]]
        if n > 1:
            if max(ranks) >= 3_000:
                return 0.95 if capital or min(ranks) > 1_000 else 0.8
            return 0.9 if capital or (cue and weight > 2) else 0.3  # "will smith", "james brown"
        if len(toks[i].word) < 3 or weight < _KNOWN:
            return 0.0
        if ranks[0] > 9_000:
            return 0.85 if cue or weight > 8 else 0.55
        if capital and i and (cue or weight > 12):
            return 0.75 if ranks[0] > 1_500 or cue else 0.3
        return 0.6 if cue and not mixed and ranks[0] > 4_000 else 0.2

    def _which(self, toks: Sequence[Token], i: int, n: int, who: dict[str, str]) -> tuple[str, str]:
        """A person may direct and act: the words around decide, else where they weigh most."""
        near = {t.word for t in toks[max(0, i - 3) : i]} | {t.word for t in toks[i + n : i + n + 2]}
        if near & _MAKES and self._maker in who:
            return self._maker, who[self._maker]
        if near & _PLAYS and self._player in who:
            return self._player, who[self._player]
        bias = {self._maker: 1.5 if n == 1 else 1.0}  # bare surnames are mostly makers
        best = max(who, key=lambda f: self._weight[f, who[f]] * bias.get(f, 1.0))
        return best, who[best]
