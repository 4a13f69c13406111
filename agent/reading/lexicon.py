"""A catalogue's own words: the surfaces of its values, scales and numeric facets.

Built once per catalogue from ``domain.yaml`` and the columns. Surfaces are folded and
looked up as runs of words, the longest first, so "science fiction" beats "fiction" and
a lamp's "brass" is found the way a film's "western" is.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from agent.reading.measures import measure_of
from agent.reading.speech import Speech
from agent.trades import nouns_of, verbs_of
from tools.names import Token, rank, tokens

if TYPE_CHECKING:
    from catalog.items import Catalog, Domain, Facet

SOFT_ROLES: Final = frozenset({"tag", "mood"})  # known for some items only: wishes, not walls
_MAX_WORDS: Final = 5
_MANY: Final = 500  # values of a facet that nobody can know all of: series, not genres
_EVERYDAY: Final = 8_000  # rank of a word that is hardly ever a name
#: Plain words too broad to be a wish by themselves, though their comparatives are one.
_VAGUE: Final = frozenset(
    "big small love action quick easy moving visual cold deep comedy romance blood effects jokes "
    "warm emotional quiet calm sweet easier smart clever modest grand mild tame dumb".split()
)


class Value(NamedTuple):
    """A surface stands for value(s) of a facet; several values mean all of them at once."""

    facet: str
    values: tuple[str, ...]


class ScaleWord(NamedTuple):
    """A word on a scale: direction 1 = more of it; ``compares`` for "funnier"."""

    scale: str
    direction: Literal[-1, 1]
    compares: bool


class Found(NamedTuple):
    start: int
    end: int
    said: str
    entries: tuple[Any, ...]  # Value or ScaleWord, all the readings of this surface


def plurals(word: str) -> set[str]:
    """ "comedy" -> {"comedy", "comedies"}; both ways, so that either form is known."""
    out = {word, word + "s"}
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        out.add(word[:-1] + "ies")
    if word.endswith(("s", "x", "ch", "sh")):
        out.add(word + "es")
    if word.endswith("ies"):
        out.add(word[:-3] + "y")
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        out.add(word[:-1])
    return out


class Lexicon:
    """Surface -> meaning for one catalogue."""

    def __init__(self, catalog: "Catalog") -> None:
        domain = catalog.domain
        self.domain = domain
        self.facets: dict[str, Facet] = {f.name: f for f in domain.facets}
        self.nouns: frozenset[str] = nouns_of(domain)
        self.speech = Speech.of(domain)
        self.values: dict[str, list[Value]] = defaultdict(list)
        self.scale_words: dict[str, ScaleWord] = {}
        for facet in domain.facets:
            if facet.kind == "categories" and facet.filterable:
                self._add_values(facet, catalog.values(facet.name))
        self.commonest: dict[str, str] = {}
        for facet in domain.facets:
            if facet.kind == "categories":
                self.commonest[facet.name] = next(iter(catalog.values(facet.name)), "")
        self.complete: frozenset[str] = frozenset(
            f.name for f in domain.facets if f.role in SOFT_ROLES and _known_of_all(catalog, f)
        )
        self._open = {
            f.name
            for f in domain.facets
            if f.kind == "categories"
            and f.role not in SOFT_ROLES
            and len(catalog.values(f.name)) > _MANY
        }
        self.labels = {w for f in domain.facets for w in (f.label.lower(), f.plural.lower())}
        self._add_scales()
        surfaces = [*self.values, *self.scale_words]
        self.fillers = frozenset(w for w in self.speech.words() if " " not in w)
        self.spoken = _spoken(domain)
        self.words = frozenset(w for s in surfaces for w in s.split(" ") if len(w) >= 5)
        self.scale_labels = {s.name: s.label for s in domain.scales}
        self.measures = {f.name: measure_of(f) for f in domain.facets if f.kind == "number"}
        said = {w for m in self.measures.values() for w in (*m.more, *m.less, *m.much, *m.little)}
        self.words |= {w for w in said if w.isalpha() and len(w) >= 5}
        self.ranges: dict[str, tuple[float, float, float, float]] = {}
        for facet in domain.facets:
            if facet.kind == "number":
                column = catalog.df[facet.name].drop_nulls()
                if len(column):
                    self.ranges[facet.name] = tuple(  # type: ignore[assignment]
                        float(column.quantile(q) or 0.0) for q in (0.0, 0.25, 0.75, 0.998)
                    )

    # ------------------------------------------------------------------ building

    def _add_values(self, facet: "Facet", counts: dict[Any, int]) -> None:
        known = {str(v) for v in counts}
        for value in known:
            self._put(value, Value(facet.name, (value,)))
        for surface, value in facet.synonyms.items():
            if value in known:
                self._put(surface, Value(facet.name, (value,)))
        for surface, several in facet.aliases_multi.items():
            present = tuple(v for v in several if v in known)
            if present:
                self._put(surface, Value(facet.name, present))

    def _put(self, surface: str, entry: Value) -> None:
        words = [t.word for t in tokens(surface)]
        if not words or " ".join(words) in self.nouns:
            return  # "books" is what books are called, whatever theme has that name
        for last in plurals(words[-1]):
            key = " ".join([*words[:-1], last])
            held = self.values[key]
            if entry not in held and not any(h.facet == entry.facet for h in held):
                held.append(entry)

    def _add_scales(self) -> None:
        """Comparatives as listed, and the plain words behind them ("darker" -> "dark")."""
        for scale in self.domain.scales:
            listed: list[tuple[str, Literal[-1, 1]]] = [(w, 1) for w in scale.more]
            listed += [(w, -1) for w in scale.less]
            for words, direction in listed:
                self._scale(words, ScaleWord(scale.name, direction, True))
            for words, direction in listed:
                for base, sign in _bases(words):
                    if base in _VAGUE:
                        continue
                    plain: Literal[-1, 1] = 1 if direction * sign > 0 else -1
                    self._scale(base, ScaleWord(scale.name, plain, False))
            for label in (scale.label, scale.name):
                self._scale(label, ScaleWord(scale.name, 1, False))

    def _scale(self, words: str, entry: ScaleWord) -> None:
        key = " ".join(t.word for t in tokens(words))
        if key and (entry.compares or len(key) > 2):
            self.scale_words.setdefault(key, entry)

    # ------------------------------------------------------------------- looking

    def find(self, text: str, toks: list[Token]) -> Iterator[Found]:
        """Values and scale words in a text, longest first at each place, not overlapping."""
        words = [t.word for t in toks]
        n = 0
        while n < len(words):
            for length in range(min(_MAX_WORDS, len(words) - n), 0, -1):
                key = " ".join(words[n : n + length])
                entries: list[Any] = []
                if key in self.scale_words:
                    entries.append(self.scale_words[key])
                start, end = toks[n].start, toks[n + length - 1].end
                named = text[start].isupper() and n > 0
                entries += [v for v in self.values.get(key, []) if named or self._common(key, v)]
                if entries and self._plausible(key, words, n, text[start:end]):
                    yield Found(start, end, text[start:end], tuple(entries))
                    n += length - 1
                    break
            n += 1

    def _common(self, key: str, value: Value) -> bool:
        """An everyday word is no name: of thousands of series one is called "Time"."""
        return value.facet not in self._open or " " in key or rank(key) > _EVERYDAY

    def _plausible(self, key: str, words: list[str], n: int, said: str) -> bool:
        """A short or plain word counts only where it is led in: "size M", "in L"."""
        if len(key) > 1 and (" " in key or len(key) > 3 or rank(key) > 150):
            return True
        before = words[n - 1] if n else ""
        led = before in ("in", "size", "sizes", "or", "and")
        return before in self.labels or (led and said.isupper())

    def by_role(self, role: str, kind: str | None = None) -> list["Facet"]:
        found = [f for f in self.facets.values() if f.role == role]
        return [f for f in found if kind is None or f.kind == kind]

    def facet_words(self, name: str) -> set[str]:
        """Folded words that name a facet: label, plural, name, and those of its role."""
        facet = self.facets[name]
        words = {facet.label.lower(), facet.plural.lower(), name.replace("_", " ").lower()}
        words |= {word.lower() for word in facet.also}
        if facet.kind == "number" and self.measures[name].kind == "money":
            words |= {"budget", "cost", "costs", "money"}
        if facet.kind == "number" and self.measures[name].kind == "time":
            words |= {"length", "duration"}
        return words | _ROLE_WORDS.get(facet.role, set())


_ROLE_WORDS: Final[dict[str, set[str]]] = {
    "date": {
        "year",
        "years",
        "date",
        "decade",
        "era",
        "time period",
    },
    "maker": {"maker", "brand", "creator"},
    "category": {"genre", "genres", "type", "category", "kind", "sort"},
    "tag": {"theme", "themes", "topic", "topics", "subject"},
    "mood": {"mood", "moods", "vibe", "tone"},
    "origin": {"country", "countries", "origin", "place"},
    "language": {"language", "languages"},
    "audience": {"age", "age limit", "age rating", "rating"},
}


def _spoken(domain: "Domain") -> tuple[str, ...]:
    """Longer words of the trade and of the facets' names, which a slip may have hit."""
    verbs, done = verbs_of(domain)
    said = {*verbs, *done, *nouns_of(domain)}
    said |= {w for f in domain.facets for w in (f.label, f.plural, *f.also)}
    return tuple(sorted(w.lower() for w in said if len(w) >= 5 and " " not in w))


def _known_of_all(catalog: "Catalog", facet: "Facet") -> bool:
    """Does (nearly) every item have a value? Then wanting one may be a wall, not a wish."""
    if facet.kind != "categories" or not facet.filterable:
        return False
    lengths = catalog.df[facet.name].list.len().fill_null(0)
    return bool(len(lengths)) and int((lengths > 0).sum()) >= 0.95 * len(lengths)


def _bases(words: str) -> list[tuple[str, int]]:
    """Plain words behind a comparative: "more tense" -> tense +, "less slow" -> slow -."""
    m = re.fullmatch(r"(more|less|not so|not as|not too) (.+)", words)
    if m:
        return [(m.group(2), 1 if m.group(1) == "more" else -1)]
    if " " in words or "-" in words or not words.endswith("er") or len(words) < 5:
        return []
    stem = words[:-2]
    out = [stem]
    if stem.endswith("i"):
        out = [stem[:-1] + "y"]
    elif len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "sl":
        out = [stem[:-1]]
    elif rank(stem) > 30_000 or rank(stem + "e") < rank(stem):
        out = [stem + "e"]
    return [(w, 1) for w in out]
