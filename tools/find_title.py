"""Mention -> item: titles and people of a catalogue, found in what a person wrote.

Exact forms first (``tools.names``: a dictionary look-up for every run of words), then
misspellings by rapidfuzz, word by word against the words that occur in names. Whether
a run of words *is* a mention ("It", "Her", "Up", "Home") is a logistic regression on
a dozen cues: how common its words are, capitals, "like ...", "seen ...", quotes, a
year, how much the item is talked about. Its weights were fitted on the ReDial training and
validation dialogues (half of them lower-cased) by ``training.linker`` and are numbers below.

    linker = TitleLinker(catalog); linker.link("something like Incepton by Nolan")
"""

import math
import re
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import DamerauLevenshtein

from tools.names import ARTICLES, UNSEEN_RANK, Token, rank, title_forms, tokens, words_of

if TYPE_CHECKING:
    from catalog.items import Catalog

MAX_CHARS: Final = 4_000  # of a turn that are searched for names; the rest is noise or an attack
MAX_WORDS: Final = 12  # of a name
MAX_REPAIRS: Final = 12  # misspelt words looked up in a turn

FEATURES: Final = (
    "bias", "short", "derived", "one_word", "two_words", "rarity", "all_common", "popular",
    "capital", "lower", "cue", "list", "ends", "starts", "whole", "quoted", "year", "repair",
    "article", "noun", "one*capital", "one*cue", "one*lower", "one*rarity", "short*pop",
    "full_title_case", "goes_on",
)  # fmt: skip
WEIGHTS: Final = np.array([-1.42, -1.60, 0.27, -10.48, -1.60, 0.52, -0.53, 7.52, 0.32, -2.30, 1.56, 1.24, 0.60, 0.82, 0.00, 1.50, 3.00, -0.80, 1.47, 0.30, 1.88, -0.38, -2.07, 9.44, 0.00, 1.80, -6.00])
THRESHOLD: Final = 0.65

_CUES: Final = frozenset(
    "like likes liked love loved loves enjoy enjoyed seen saw see watch watched watching watches hate "
    "hated dislike disliked recommend recommended suggest try about called titled named of "
    "favorite favourite is was than as similar to remember rewatch prefer".split()
)
_LIST: Final = frozenset({"and", "or", "also", "but", "plus", "both", "nor", "not"})
_PERSON_CUES: Final = frozenset(
    "by with starring stars featuring from director directed actor actress star without "
    "no not anything any".split()
)
_SENTENCE_END: Final = re.compile(r"[.!?\n;]")
_YEAR_AFTER: Final = re.compile(
    r"^[\s,]*(?:\(?((?:19|20)\d\d)\b\)?|(?:from|of|in)\s+((?:19|20)\d\d)\b)"
)
_YEAR_BEFORE: Final = re.compile(r"\b((?:19|20)\d\d)(?:['’]s)?\s*(?:version\s+of\s+)?(?:the\s+)?$")
_GOES_ON: Final = re.compile(r"\s?(?::\s|\s[-–—]\s)[A-Z0-9]|\s(?:Part|Chapter|Episode|\d)\b")
_QUOTES: Final = "\"“”'‘’«»*_`"


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


class _Form(NamedTuple):
    row: int
    kind: str


class _Span(NamedTuple):
    """A run of words that is the form of some name."""

    first: int  # token index
    last: int  # inclusive
    forms: list[_Form]
    words: tuple[str, ...]
    repair: float  # 0 = as written, else the share of letters repaired


class TitleLinker:
    """Finds a catalogue's titles and people in text. Build once, share freely."""

    def __init__(self, catalog: "Catalog") -> None:
        self._ids: list[str] = catalog.df["id"].to_list()
        self._titles: list[str] = catalog.df["title"].to_list()
        self._popularity = np.log1p(np.asarray(catalog.popularity, dtype=np.float64))
        facets = catalog.domain.facets
        dates = [f.name for f in facets if f.role == "date" and f.kind == "number"]
        nothing: list[float | None] = [None] * len(self._ids)
        self._years = catalog.df[dates[0]].to_list() if dates else nothing
        noun = " ".join([catalog.domain.noun_one, catalog.domain.noun_many, *catalog.domain.noun_also])
        self._nouns = frozenset(noun.lower().split())
        people = [f.name for f in facets if f.kind == "people"]
        self._people = {f: catalog.df[f].to_list() for f in people}
        self._forms: dict[str, list[_Form]] = defaultdict(list)
        other = catalog.df["original_title"].to_list() if "original_title" in catalog.df else nothing
        for row, title in enumerate(self._titles):
            for name in (title, other[row]) if other[row] else (title,):
                for form, kind in title_forms(str(name)).items():
                    held = self._forms[form]
                    known = kind == "full" or self._popularity[row] > 0
                    if known and all(f.row != row for f in held):
                        held.append(_Form(row, kind))
        self._add_sequels()
        self._persons, self._weight = self._index_people()
        names = [*self._forms, *self._persons]
        self._starts = {" ".join(n.split(" ")[:2]) for n in names} | {n.split(" ")[0] for n in names}
        self._known_words = {w for n in names for w in n.split(" ")}
        self._by_letter: dict[str, list[str]] = defaultdict(list)
        for w in self._known_words:
            if len(w) >= 4 and not w.isdigit():
                self._by_letter[w[0]].append(w)

    # ------------------------------------------------------------------ the index

    def _add_sequels(self) -> None:
        """ "The Matrix 2": the k-th film, by year, whose title goes on from a shorter title."""
        full = {f: r for f, r in self._forms.items() if any(x.kind == "full" for x in r)}
        series: dict[str, list[int]] = defaultdict(list)
        for form, rows in full.items():
            words = form.split(" ")
            for n in range(1, len(words)):
                base = " ".join(words[:n])
                if base in full and (n > 1 or rank(base) > 4_000):
                    series[base] += [x.row for x in rows if x.kind == "full"]
        for base, later in series.items():
            first = max(full[base], key=lambda x: (x.kind == "full", self._popularity[x.row])).row
            start = self._years[first]
            follow = sorted(
                (self._years[r], r)
                for r in set(later)
                if start is not None
                and self._years[r] is not None
                and self._years[r] > start
                and self._share_people(first, r)
            )
            for number, (_, row) in enumerate(follow[:8], start=2):
                if f"{base} {number}" not in full:
                    self._forms[f"{base} {number}"].append(_Form(row, "sequel"))
            if follow and f"{base} 1" not in full:
                self._forms[f"{base} 1"].append(_Form(first, "sequel"))

    def _share_people(self, a: int, b: int) -> bool:
        return any(set(col[a] or ()) & set(col[b] or ()) for col in self._people.values())

    def _index_people(self) -> tuple[dict[str, dict[str, str]], dict[tuple[str, str], float]]:
        """Folded name or surname -> {facet: person}, the most talked about first."""
        weight: dict[tuple[str, str], float] = defaultdict(float)
        for facet, column in self._people.items():
            for row, names in enumerate(column):
                for place, name in enumerate(names or ()):
                    if " " not in name and rank(name.lower()) < 1_000:
                        continue  # "and", "the": slips of the source, not names
                    weight[facet, name] += (0.3 + self._popularity[row]) / (1 + place / 4)
        index: dict[str, dict[str, str]] = defaultdict(dict)
        split = {name: words_of(name) for _, name in weight}
        for (facet, name), _w in sorted(weight.items(), key=lambda kv: -kv[1]):
            words = split[name]
            if len(words) > 1:
                index[" ".join(words)].setdefault(facet, name)
                short = [w for w in words if len(w) > 1]
                if len(short) > 1:
                    index[" ".join([short[0], short[-1]])].setdefault(facet, name)
        for (facet, name), w in sorted(weight.items(), key=lambda kv: -kv[1]):
            words = split[name]
            if not words:
                continue
            last = words[-2] if len(words) > 1 and words[-1] in {"jr", "sr", "3"} else words[-1]
            if w >= 3 or len(words) == 1:
                index[last].setdefault(facet, name)
            if len(words) > 2 and words[-2] in {"del", "de", "van", "von", "la", "di", "le"}:
                index[" ".join(words[-2:])].setdefault(facet, name)
        return dict(index), dict(weight)

    # ------------------------------------------------------------------- linking

    def link(
        self, text: str, *, hints: Collection[str] = (), threshold: float = THRESHOLD
    ) -> list[Link]:
        """Names in ``text``, left to right, not overlapping.

        ``hints`` are item ids spoken of before: of several items with one name, these
        win. ``threshold`` is the least probability that a run of words is a mention.
        """
        text = text[:MAX_CHARS]
        toks = tokens(text)
        found: list[Link] = []
        for span in self._spans(toks):
            title = self._as_item(text, toks, span, hints)
            if title is not None and title.score >= threshold:
                found.append(title)
        found += [p for p in self._find_people(text, toks) if p.score >= threshold]
        found.sort(key=lambda x: (-(len(tokens(x.said))), -x.score))
        kept: list[Link] = []
        for one in found:
            if all(one.end <= k.start or one.start >= k.end for k in kept):
                kept.append(one)
        return sorted(kept)

    def candidates(self, text: str) -> list[tuple[Link, np.ndarray]]:
        """Every span that is the form of a title, with its features (for fitting the weights)."""
        toks = tokens(text[:MAX_CHARS])
        out = []
        for span in self._spans(toks):
            row, _ = self._choose(text, toks, span, ())
            link = self._as_item(text, toks, span, ())
            if link is not None:
                out.append((link, self._features(text, toks, span, row)))
        return out

    def _spans(self, toks: list[Token]) -> list[_Span]:
        spans: list[_Span] = []
        streams = [([t.word for t in toks], 0.0)]
        repaired = self._repair(toks)
        if repaired:
            streams.append(([repaired.get(n, t.word) for n, t in enumerate(toks)], 1.0))
        for words, changed in streams:
            keep = [n for n, w in enumerate(words) if w not in ARTICLES]
            for i, first in enumerate(keep):
                if words[first] not in self._starts:
                    continue
                for length in range(1, min(MAX_WORDS, len(keep) - i) + 1):
                    place = keep[i : i + length]
                    if length == 2 and " ".join(words[n] for n in place) not in self._starts:
                        break
                    if place[-1] - first > length + 3:
                        break
                    form = " ".join(words[n] for n in place)
                    forms = self._forms.get(form)
                    fixed = [n for n in place if n in repaired]
                    if forms and (not changed or fixed):
                        cost = sum(_distance(toks[n].word, words[n]) for n in fixed) if changed else 0
                        share = cost / max(1, len(form))
                        spans.append(_Span(first, place[-1], forms, tuple(form.split(" ")), share))
        return spans

    def _repair(self, toks: list[Token]) -> dict[int, str]:
        """Misspelt words (no everyday word, in no name) -> the nearest word of a name."""
        out: dict[int, str] = {}
        for n, t in enumerate(toks):
            if len(out) >= MAX_REPAIRS:
                break
            if len(t.word) < 5 or t.word in self._known_words or t.word.isdigit():
                continue
            if rank(t.word) < UNSEEN_RANK:
                continue
            best = process.extractOne(
                t.word, self._by_letter.get(t.word[0], ()), scorer=fuzz.ratio, score_cutoff=78
            )
            if best and DamerauLevenshtein.distance(t.word, best[0]) <= (1 if len(t.word) < 8 else 2):
                out[n] = best[0]
        return out

    def _choose(
        self, text: str, toks: list[Token], span: _Span, hints: Collection[str]
    ) -> tuple[int, tuple[int, ...]]:
        """The likeliest row behind a span, and those nearly as likely."""
        year = _year_near(text, toks[span.first].start, toks[span.last].end)
        worth = {}
        for form in span.forms:
            score = float(self._popularity[form.row])
            score += {"full": 3.0, "compact": 2.5, "sequel": 2.0, "short": 1.0}.get(form.kind, 0.0)
            score += 4.0 * (self._ids[form.row] in hints)
            made = self._years[form.row]
            if year is not None and made is not None:
                score += 6.0 if abs(made - year) <= 1 else -3.0
            score += ((made or 1970) - 1900) / 1000  # of equals the newer
            worth[form.row] = max(score, worth.get(form.row, -9.0))
        best = max(worth, key=lambda r: worth[r])
        others = tuple(r for r, s in worth.items() if r != best and worth[best] - s < 0.7)
        return best, others

    def _features(self, text: str, toks: list[Token], span: _Span, row: int) -> np.ndarray:
        kind = next(f.kind for f in span.forms if f.row == row)
        first, last = toks[span.first], toks[span.last]
        n = len(span.words)
        rarity = max(math.log(rank(w)) for w in span.words) / math.log(UNSEEN_RANK)
        inside = [t for t in toks[span.first : span.last + 1] if t.word not in ARTICLES]
        mixed = any(t.capital for t in toks[1:]) and not all(t.capital for t in toks)
        before = text[: first.start]
        starts = not before.strip() or bool(re.search(r"[.!?\n;:]\W*$", before))
        after = text[last.end :].lstrip(_QUOTES + " ")
        ends = not after or after[0] in ".!?,;:()\n"
        capital = inside[0].capital and (not starts or all(t.capital for t in inside[1:]) and n > 1)
        lower = mixed and not inside[0].capital
        prior = [t.word for t in toks[max(0, span.first - 3) : span.first]]
        has_article = bool(prior) and prior[-1] in ARTICLES
        if has_article:
            prior.pop()
        comma = before.rstrip(_QUOTES + " ").endswith(",")
        cue = bool(prior) and prior[-1] in _CUES and not comma
        listed = comma or (bool(prior) and prior[-1] in _LIST)
        quoted = before[-1:] in _QUOTES and before != "" and text[last.end : last.end + 1] in _QUOTES
        quoted = quoted and text[last.end : last.end + 1] != ""
        follow = toks[span.last + 1].word if span.last + 1 < len(toks) else ""
        noun = follow in self._nouns or (bool(prior) and prior[-1] in self._nouns)
        title_words = words_of(self._titles[row])
        article = has_article and title_words[0] in ARTICLES
        year = _year_near(text, first.start, last.end)
        popular = self._popularity[row] / 6
        one = n == 1
        derived = kind in ("tail", "acronym", "sequel", "compact")
        made = self._years[row]
        same_year = year is not None and made is not None and abs(made - year) <= 1
        return np.array(
            [
                1.0, kind == "short", derived, one, n == 2, rarity, rarity < 0.68, popular,
                capital, lower, cue, listed, ends, starts, starts and ends, quoted,
                same_year, 10 * span.repair,
                article, noun, one and capital, one and cue, one and lower, one * rarity,
                (kind == "short") * popular, n > 1 and all(t.capital for t in inside),
                bool(_GOES_ON.match(text[last.end : last.end + 12])),
            ],
            dtype=np.float64,
        )  # fmt: skip

    def _as_item(
        self, text: str, toks: list[Token], span: _Span, hints: Collection[str]
    ) -> Link | None:
        row, others = self._choose(text, toks, span, hints)
        logit = float(WEIGHTS @ self._features(text, toks, span, row))
        if self._ids[row] in hints:
            logit += 1.5
        first = span.first
        title_words = words_of(self._titles[row])
        if first and toks[first - 1].word in ARTICLES and title_words[0] == toks[first - 1].word:
            first -= 1
        start, end = toks[first].start, toks[span.last].end
        score = 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
        return Link(start, end, text[start:end], "item", row, self._ids[row], "", score, others)

    def _find_people(self, text: str, toks: list[Token]) -> list[Link]:
        out = []
        words = [t.word for t in toks]
        mixed = any(t.capital for t in toks[1:]) and not all(t.capital for t in toks)
        repaired = self._repair(toks)
        for i in range(len(words)):
            for n in range(min(4, len(words) - i), 0, -1):
                run = [repaired.get(k, words[k]) for k in range(i, i + n)]
                who = self._persons.get(" ".join(run))
                if not who:
                    continue
                score = self._person_score(toks, i, n, who, mixed)
                score -= 0.1 * (run != words[i : i + n])
                facet, name = self._which_facet(toks, i, n, who)
                start, end = toks[i].start, toks[i + n - 1].end
                said = text[start:end]
                if said.endswith(("'s", "’s")):
                    said, end = said[:-2], end - 2
                out.append(Link(start, end, said, "person", -1, name, facet, score))
                break
        return out

    def _person_score(
        self, toks: list[Token], i: int, n: int, who: dict[str, str], mixed: bool
    ) -> float:
        """How surely words ``i .. i+n`` name a person."""
        capital = toks[i].capital
        before = toks[i - 1].word if i else ""
        after = toks[i + n].word if i + n < len(toks) else ""
        cue = before in _PERSON_CUES or after in self._nouns or before in self._nouns
        weight = max(self._weight[f, name] for f, name in who.items())
        common = min(rank(t.word) for t in toks[i : i + n])
        if n > 1:
            everyday = all(rank(t.word) < 3_000 for t in toks[i : i + n])
            if not everyday:
                return 0.95 if capital or common > 1_000 else 0.8
            return 0.9 if capital or (cue and weight > 2) else 0.3
        if len(toks[i].word) < 3 or weight < 3:
            return 0.0
        if common > 9_000:
            return 0.85 if cue or weight > 8 else 0.55
        if capital and i and (cue or weight > 12):
            return 0.75 if rank(toks[i].word) > 1_500 or cue else 0.3
        if cue and not mixed and rank(toks[i].word) > 4_000:
            return 0.6
        return 0.2

    def _which_facet(
        self, toks: list[Token], i: int, n: int, who: dict[str, str]
    ) -> tuple[str, str]:
        """A person may direct and act: the words around decide, else where they weigh most."""
        near = {t.word for t in toks[max(0, i - 3) : i]} | {t.word for t in toks[i + n : i + n + 2]}
        facets = list(self._people)
        maker, players = facets[0], facets[-1]
        if near & {"directed", "director", "directs", "by", "made", "filmmaker"} and maker in who:
            return maker, who[maker]
        if near & {"starring", "stars", "actor", "actress", "with", "featuring", "acting", "plays"}:
            if players in who:
                return players, who[players]
        full = n > 1
        best = max(who, key=lambda f: self._weight[f, who[f]] * (1.5 if f == maker and not full else 1.0))
        return best, who[best]

    # ------------------------------------------------------------------- unknown

    def unknown(self, text: str, links: list[Link]) -> list[str]:
        """Runs of words that look like a name but are none of this catalogue's.

        Quoted words, or capitalised words after a cue such as "like" or "seen".
        """
        text = text[:MAX_CHARS]
        taken = [(x.start, x.end) for x in links]
        out = []
        quoted = re.finditer(r"[\"“«]([^\"”»]{2,60})[\"”»]", text)
        named = re.finditer(
            r"\b(?:like|seen|saw|watched|loved|liked|hated|enjoyed|called|by|starring|with|directed by)"
            r"\s+((?:[A-Z][\w'’.-]*|\d+)(?:\s+(?:(?:of|the|and|in|a|to|&|for)\s+)*"
            r"(?:[A-Z][\w'’.-]*|\d+))*)",
            text,
        )
        for m in [*quoted, *named]:
            start, end = m.span(1)
            if any(s < end and e > start for s, e in taken):
                continue
            words = [t.word for t in tokens(m.group(1))]
            if not words or words[0] in {"i", "im"} or all(rank(w) < 400 for w in words):
                continue
            out.append(m.group(1).strip())
        return list(dict.fromkeys(out))


def _distance(a: str, b: str) -> int:
    return DamerauLevenshtein.distance(a, b)


def _year_near(text: str, start: int, end: int) -> int | None:
    """A year written right after (or before) a name: "It (1990)", "the 1990 It"."""
    m = _YEAR_AFTER.match(text[end : end + 30])
    if m:
        return int(m.group(1) or m.group(2))
    m = _YEAR_BEFORE.search(text[max(0, start - 30) : start])
    return int(m.group(1)) if m else None
