"""Mention -> item: titles and people of a catalogue, found in what a person wrote.

Exact forms first (``tools.names``: a dictionary look-up for every run of words), then
misspellings by rapidfuzz, word by word against the words that occur in names. Whether a
run of words is a mention at all is ``tools.mention``'s question; of several items with
one name, a year beside it, what was spoken of before, and popularity decide.

    linker = TitleLinker(catalog)
    linker.link("something like Incepton by Nolan")
"""

import copy
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import fuzz, process
from rapidfuzz.distance import DamerauLevenshtein

from catalog.postings import picked
from tools.forms import KEPT_FROM, KNOWN, Form, Forms, forms_of, whole_forms
from tools.mention import Candidate, Span, features, probability, year_near
from tools.names import ARTICLES, UNSEEN_RANK, Token, rank, title_forms, tokens, words_of
from tools.people import People

if TYPE_CHECKING:
    from catalog.items import Catalog

THRESHOLD: Final = 0.65  # least probability of a mention; see the linking figures in the docs
MAX_CHARS: Final = 4_000  # of a turn that are searched for names; the rest is noise or an attack
MAX_WORDS: Final = 12  # of a name
MAX_REPAIRS: Final = 12  # misspelt words looked up in a turn
_HINT: Final = 2.5  # logits in favour of an item that was spoken of before
_WRITTEN_ABOUT: Final = 8.0  # mentions an item of the editorial layer counts for at least
_NEARLY: Final = 0.7  # within this much of the best row's worth, a namesake is worth asking about
_WHOLE: Final = {"full", "compact"}  # forms of a title that leave nothing of it out
_KIND_WORTH: Final = {"full": 3.0, "compact": 2.5, "sequel": 2.0, "short": 1.0}


class Link(NamedTuple):
    """A name found at ``text[start:end]``.

    ``kind`` "item": ``row`` is the catalogue row and ``value`` its id; ``others`` are rows
    that carry the same name and are nearly as likely. "person": ``value`` is the
    catalogue's spelling, ``facet`` where the person occurs, ``row`` is -1.
    """

    start: int
    end: int
    said: str
    kind: Literal["item", "person"]
    row: int
    value: str
    facet: str
    score: float
    others: tuple[int, ...] = ()


def _talked_about(catalog: "Catalog") -> npt.NDArray[np.float64]:
    """Mention counts; items that someone has written about by hand count as known too."""
    counts = np.asarray(catalog.popularity, dtype=np.float64)
    if "editorial" not in catalog.df:
        return counts
    written = catalog.df["editorial"].list.len().fill_null(0).to_numpy() > 0
    return np.maximum(counts, np.where(written, _WRITTEN_ABOUT, 0.0))


class TitleLinker:
    """Finds a catalogue's titles and people in text. Build once (a second), share freely."""

    def __init__(self, catalog: "Catalog", kept: Path | None = None) -> None:
        """``kept``: a file where the index of a large catalogue is kept between starts."""
        domain = catalog.domain
        noun = " ".join([domain.noun_one, domain.noun_many, *domain.noun_also])
        self._nouns = frozenset(noun.lower().split())
        self._changed: frozenset[int] = frozenset()
        self._take(catalog)
        self.people = People(catalog, self._popularity, self._nouns)
        large = len(catalog) >= KEPT_FROM
        found = Forms.read(kept, catalog.built) if kept is not None and large else None
        if found is None:
            found = Forms.of([*self._titles(catalog), *self._sequels(catalog)])
            if kept is not None and large:
                found.save(kept, catalog.built)  # rows changed since are looked up anew
        elif len(catalog.changed):
            found = self._taken_up(found, catalog, catalog.changed)
        self._forms = found
        self._words_changed()

    def _take(self, catalog: "Catalog") -> None:
        """The columns that are looked at when a name was found."""
        self._catalog = catalog
        self._popularity = np.log1p(_talked_about(catalog))
        dates = [f for f in catalog.domain.facets if f.role == "date" and f.kind == "number"]
        self._years = catalog.df[dates[0].name].cast(pl.Float64) if dates else None

    def _words_changed(self) -> None:
        names = [name.split(" ") for name in self.people.index]
        self._starts = {" ".join(words[:k]) for words in names for k in (1, 2)}
        self._words = self._forms.words | {word for words in names for word in words}
        self._by_letter: dict[str, list[str]] = defaultdict(list)
        for word in sorted(self._words):
            if len(word) >= 4 and not word.isdigit():
                self._by_letter[word[0]].append(word)

    def grown(self, catalog: "Catalog", rows: npt.NDArray[np.int64]) -> "TitleLinker":
        """The same over the catalogue after a change of ``rows``; this one stays as it is."""
        out = copy.copy(self)
        out._take(catalog)
        out._forms = out._taken_up(self._forms, catalog, rows)
        out.people = self.people.grown(catalog, out._popularity, rows)
        new = {w for w in out._forms._over_words if w not in self._words}
        if new or out.people.index is not self.people.index:
            out._add_words(new, self)
        return out

    def _taken_up(self, forms: Forms, catalog: "Catalog", rows: npt.NDArray[np.int64]) -> Forms:
        """The index with the titles that all rows changed so far have now."""
        self._changed = self._changed | set(rows.tolist())
        live = np.array(
            [row for row in sorted(self._changed) if catalog.alive[row]], dtype=np.int64
        )
        now = forms_of(picked(catalog.df, live), live.tolist(), self._known)
        return forms.grown(self._changed, now)

    def _add_words(self, new: set[str], before: "TitleLinker") -> None:
        """Words that no name had; the lists of their letters are copied, others shared."""
        people = {n: None for n in self.people.index if n not in before.people.index}
        split = [name.split(" ") for name in people]
        new |= {word for words in split for word in words} - before._words
        self._starts = before._starts | {" ".join(words[:k]) for words in split for k in (1, 2)}
        self._words = before._words | new
        self._by_letter = defaultdict(list, before._by_letter)
        for word in sorted(new):
            if len(word) >= 4 and not word.isdigit():
                self._by_letter[word[0]] = sorted([*self._by_letter[word[0]], word])

    def _known(self, row: int) -> bool:
        return bool(self._popularity[row] > 0)

    def _titles(self, catalog: "Catalog") -> Iterable[tuple[str, int, str]]:
        """Forms of all titles; derived ones only of items that are talked about."""
        rows = np.flatnonzero(catalog.alive).tolist()
        known = self._known
        if len(rows) > KNOWN:
            best = np.argpartition(-self._popularity, KNOWN)[:KNOWN]
            chosen = np.sort(best[self._popularity[best] > 0])
            rest = np.setdiff1d(rows, chosen)
            known_ones = forms_of(catalog.df[chosen], chosen.tolist(), lambda row: True)
            return chain(known_ones, whole_forms(catalog.df[rest], rest))
        return forms_of(catalog.df[rows], rows, known)

    def _sequels(self, catalog: "Catalog") -> Iterable[tuple[str, int, str]]:
        """ "The Matrix 2": the k-th item, by year, whose title goes on from a shorter title."""
        rows = np.flatnonzero(catalog.alive)
        if len(rows) > KNOWN:
            rows = np.sort(rows[np.argpartition(-self._popularity[rows], KNOWN)[:KNOWN]])
        full: dict[str, list[int]] = defaultdict(list)
        for form, row, kind in forms_of(catalog.df[rows], rows.tolist(), lambda row: False):
            if kind == "full" and row not in full[form]:
                full[form].append(row)
        series: dict[str, set[int]] = defaultdict(set)
        for form, held in full.items():
            words = form.split(" ")
            for n in range(1, len(words)):
                base = " ".join(words[:n])
                if base in full and (n > 1 or rank(base) > 4_000):
                    series[base] |= set(held)
        for base, later in series.items():
            first = max(full[base], key=lambda row: self._popularity[row])
            start = self._year(first) or np.inf
            dated = sorted((self._year(r) or 0.0, r) for r in later)
            follow = [r for made, r in dated if made > start and self.people.share(first, r)]
            for number, row in enumerate([first, *follow[:8]], start=1):
                if follow and f"{base} {number}" not in full:
                    yield f"{base} {number}", row, "sequel"

    def _year(self, row: int) -> float | None:
        made: float | None = None if self._years is None else self._years[row]
        return made

    # ------------------------------------------------------------------- linking

    def link(
        self, text: str, *, hints: Collection[str] = (), threshold: float = THRESHOLD
    ) -> list[Link]:
        """Names in ``text``, left to right, not overlapping; the longest wins a place.

        ``hints`` are item ids spoken of before: of several items with one name, these
        win. ``threshold`` is the least probability that a run of words is a mention.
        """
        text = text[:MAX_CHARS]
        toks = tokens(text)
        repaired = self._repair(text, toks)
        found = [link for link, _ in self._items(text, toks, repaired, hints)]
        found += self._persons(text, toks, repaired)
        found = [x for x in found if x.score >= threshold]
        found.sort(key=lambda x: (-len(tokens(x.said)), -x.score))
        kept: list[Link] = []
        for one in found:
            if all(one.end <= k.start or one.start >= k.end for k in kept):
                kept.append(one)
        return sorted(kept)

    def knows(self, word: str) -> bool:
        """Does a folded word occur in any title or name?"""
        return word in self._words

    def candidates(self, text: str) -> list[tuple[Link, npt.NDArray[np.float64]]]:
        """Every span that is a form of a title, with its features (to fit the weights)."""
        text = text[:MAX_CHARS]
        toks = tokens(text)
        return self._items(text, toks, self._repair(text, toks), ())

    def _items(
        self, text: str, toks: list[Token], repaired: dict[int, str], hints: Collection[str]
    ) -> list[tuple[Link, npt.NDArray[np.float64]]]:
        out = []
        for span in self._spans(toks, repaired):
            forms = self._forms.get(" ".join(span.words))
            row, others = self._choose(text, toks, span, forms, hints)
            leading = words_of(self._catalog.df["title"][row])[:1]
            item = Candidate(
                kind=next(f.kind for f in forms if f.row == row),
                popularity=float(self._popularity[row]),
                has_article=bool(leading) and leading[0] in ARTICLES,
                made=self._year(row),
            )
            values = features(text, toks, span, item, self._nouns)
            score = probability(values, _HINT * (self._catalog.ids[row] in hints))
            first = span.first
            if first and [toks[first - 1].word] == leading and leading[0] in ARTICLES:
                first -= 1
            start, end = toks[first].start, toks[span.last].end
            if text[start:end].endswith(("'s", "’s")) and toks[span.last].word != span.words[-1]:
                end -= 2
            said = text[start:end]
            link = Link(start, end, said, "item", row, self._catalog.ids[row], "", score, others)
            out.append((link, values))
        return out

    def _spans(self, toks: list[Token], repaired: dict[int, str]) -> list[Span]:
        """Runs of words that are a form of a title, as written and as repaired."""
        plain = [t.word for t in toks]
        spans = self._runs(plain, plain, {})
        if repaired:
            spans += self._runs([repaired.get(n, w) for n, w in enumerate(plain)], plain, repaired)
        return spans

    def _runs(self, words: list[str], plain: list[str], repaired: dict[int, str]) -> list[Span]:
        spans = []
        keep = [n for n, w in enumerate(words) if w not in ARTICLES]
        for i, first in enumerate(keep):
            if not self._begins(words[first]):
                continue
            for length in range(1, min(MAX_WORDS, len(keep) - i) + 1):
                place = keep[i : i + length]
                form = [words[n] for n in place]
                if length == 2 and not self._begins(" ".join(form)):
                    break
                fixed = [n for n in place if n in repaired]
                if " ".join(form) in self._forms and (fixed or not repaired):
                    cost = sum(DamerauLevenshtein.distance(plain[n], words[n]) for n in fixed)
                    share = cost / max(1, len(" ".join(form)))
                    spans.append(Span(first, place[-1], tuple(form), share))
        return spans

    def _begins(self, words: str) -> bool:
        return words in self._starts or self._forms.begins(words)

    def _repair(self, text: str, toks: list[Token]) -> dict[int, str]:
        """Words in no name -> the word of a name they stand for: "Cameron's", "Incepton".

        A misspelling must be no everyday word and be near a word of a name.
        """
        out: dict[int, str] = {}
        for n, t in enumerate(toks):
            if len(out) >= MAX_REPAIRS:
                break
            if text[t.end - 2 : t.end] in ("'s", "’s") and t.word[:-1] in self._words:
                out[n] = t.word[:-1]
                continue
            if len(t.word) < 5 or t.word in self._words or t.word.isdigit():
                continue
            if rank(t.word) < UNSEEN_RANK:
                continue
            near = self._by_letter.get(t.word[0], ())
            best = process.extractOne(t.word, near, scorer=fuzz.ratio, score_cutoff=78)
            slips = 1 if len(t.word) < 8 else 2
            if best and DamerauLevenshtein.distance(t.word, best[0]) <= slips:
                out[n] = best[0]
        return out

    def _choose(
        self,
        text: str,
        toks: list[Token],
        span: Span,
        forms: list[Form],
        hints: Collection[str],
    ) -> tuple[int, tuple[int, ...]]:
        """The likeliest row behind a span, and those nearly as likely."""
        year = year_near(text, toks[span.first].start, toks[span.last].end)
        worth: dict[int, float] = {}
        for form in forms:
            made = self._year(form.row)
            score = float(self._popularity[form.row]) + _KIND_WORTH.get(form.kind, 0.0)
            score += 4.0 * (self._catalog.ids[form.row] in hints)
            if year is not None and made is not None:
                score += 6.0 if abs(made - year) <= 1 else -3.0
            worth[form.row] = score + ((made or 1970) - 1900) / 1000  # of equals the newer
        best = max(worth, key=lambda r: worth[r])
        others = tuple(r for r, s in worth.items() if r != best and worth[best] - s < _NEARLY)
        return best, others

    def _persons(self, text: str, toks: list[Token], repaired: dict[int, str]) -> list[Link]:
        out = []
        for p in self.people.find(toks, repaired):
            start, end = toks[p.first].start, toks[p.first + p.length - 1].end
            if text[start:end].endswith(("'s", "’s")):
                end -= 2
            said = text[start:end]
            out.append(Link(start, end, said, "person", -1, p.name, p.facet, p.score))
        return out

    def named(
        self, title: str, *, year: float | None = None, makers: Collection[str] = ()
    ) -> int | None:
        """The row that a list from elsewhere means by a title; None where no row is sure.

        A year more than one off, or makers of other names, rule a row out; a subtitle may
        differ only where a maker agrees.
        """
        surnames = {words_of(m)[-1] for m in makers if words_of(m)}
        best, worth = None, -np.inf
        for form, derived in title_forms(title).items():
            for row, kind in self._forms.get(form):
                made, mine = self._year(row), self.people.makers(row)
                if year is not None and made is not None and abs(made - year) > 1:
                    continue
                agrees = bool(surnames & mine)
                if surnames and mine and not agrees:
                    continue
                whole = derived in _WHOLE and kind in _WHOLE
                if not whole and not (agrees and {derived, kind} <= _WHOLE | {"short"}):
                    continue
                score = self._popularity[row] + 10 * (derived == kind == "full") + 5 * agrees
                if score > worth:
                    best, worth = row, float(score)
        return best

    # ------------------------------------------------------------------- unknown

    def unknown(self, text: str, links: list[Link]) -> list[str]:
        """Runs of words that look like a name but are none of this catalogue's.

        Quoted words, or capitalised words after a cue such as "like" or "seen".
        """
        text = text[:MAX_CHARS]
        out = []
        for m in [*_QUOTED.finditer(text), *_NAMED.finditer(text)]:
            start, end = m.span(1)
            if any(x.start < end and x.end > start for x in links):
                continue
            name = _TRAILING.sub("", m.group(1).strip())  # "Sci-Fi and I": the "I" is a new clause
            words = words_of(name)
            if not words or words[0] in {"i", "im"} or all(rank(w) < 400 for w in words):
                continue
            out.append(name)
        return list(dict.fromkeys(out))


_QUOTED: Final = re.compile(r"[\"“«]([^\"”»]{2,60})[\"”»]")
_TRAILING: Final = re.compile(r"(?:\s+(?:and|or|but))*\s+I(?:['’]\w+)?$")
_NAMED: Final = re.compile(
    r"\b(?:like|seen|saw|watched|loved|adored|liked|hated|enjoyed|called|by|starring|with"
    r"|directed by)"
    r"\s+((?:[A-Z](?:[\w'’-]|\.(?=\w))*)(?:\s+(?:(?:of|the|and|in|a|to|&|for)\s+)*"
    r"(?:[A-Z](?:[\w'’-]|\.(?=\w))*|\d+)){0,11})(?![\w'’])"
)
