"""What a column's heading says about it: words in five languages, and the unit in brackets.

``Preis (€)``, ``weight_g``, ``publicationYear``, ``img_url``: a heading is folded to words and
looked up; the whole heading beats its last word, its last word beats one in the middle. The
values have the last word (``catalog.guess``): a column "number" full of names is no number.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from catalog.cells import Unit, unit_of

TABLE: Final = Path(__file__).parent / "data" / "headings.yaml"
#: Units that are the thing itself: a column "pages" is about pages.
THINGS: Final = ("pages", "players", "people", "stars", "pieces", "years", "money €", "money $")
MEASURES: Final = frozenset(
    "time duration runtime length weight width height depth diameter volume power age".split()
)
_BRACKETS: Final = re.compile(r"[(\[{]\s*(?:in\s+)?([^)\]}]{1,12})\s*[)\]}]")


class Heading(NamedTuple):
    """A column's heading taken apart. ``uses``: what it may be, likeliest first, with its weight:
    3 for the whole heading, 2 for its last word, 1 for a word in it."""

    words: str  #: folded words without the unit: "list price"
    label: str  #: to stand in an English sentence: "list price"
    unit: Unit | None
    unit_said: str
    uses: tuple[tuple[str, int], ...]

    def weight(self, use: str) -> int:
        return next((w for u, w in self.uses if u == use), 0)


def fold(text: str) -> str:
    """Lower-case words without accents, ``camelCase`` and ``snake_case`` taken apart."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.replace("ß", "ss"))
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c)).lower()
    return " ".join(re.findall(r"[^\W_]+", plain))


class Words(NamedTuple):
    """``data/headings.yaml``: heading -> uses, heading -> English label, file name -> noun,
    language code -> name."""

    uses: dict[str, list[str]]
    labels: dict[str, str]
    nouns: dict[str, str]
    languages: dict[str, str]


@cache
def words() -> Words:
    """The table of headings, read once, when first asked."""
    data = yaml.safe_load(TABLE.read_text("utf-8"))
    index: dict[str, list[str]] = {}
    for use, phrases in data["uses"].items():
        for phrase in phrases.split("|"):
            index.setdefault(phrase.strip(), []).append(use)
    return Words(index, data["labels"], data["nouns"], data["languages"])


def heading(name: str) -> Heading:
    """What the heading of a column says."""
    unit, said = None, ""
    bracket = _BRACKETS.search(name)
    if bracket and unit_of(bracket[1]):
        unit, said = unit_of(bracket[1]), bracket[1].strip()
        name = name[: bracket.start()] + " " + name[bracket.end() :]
    elif bracket:
        name = name[: bracket.start()] + " " + name[bracket.end() :]
    signs = [c for c in name if c in "€$£¥%"]
    if unit is None and signs:
        unit, said = unit_of(signs[0]), signs[0]
    folded = fold(name).split()
    if unit is None and folded:
        unit, said, folded = _unit_word(folded)
    plain = " ".join(folded) or fold(name) or "column"
    as_written = " ".join(re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))).lower()
    label = _english(plain) or (as_written if fold(as_written) == plain else plain)
    return Heading(plain, label, unit, said, _uses(plain))


def _english(plain: str) -> str | None:
    """The English label of a heading in another language, by its whole or its first word."""
    known = words().labels
    if plain in known:
        return known[plain]
    first, last = plain.split()[0], plain.split()[-1]
    return known.get(first) if first != last else None


def _unit_word(parts: list[str]) -> tuple[Unit | None, str, list[str]]:
    """A unit at the end of a heading: "weight g", "length in cm", "runtime minutes"; and words
    that are unit and thing at once stay: "pages", "min players"."""
    last = parts[-1]
    unit = unit_of(last)
    if unit is None:
        return None, "", parts
    if len(parts) > 2 and parts[-2] == "in":
        return unit, last, parts[:-2]
    if unit.family in THINGS or len(parts) == 1:
        return (unit, last, parts) if len(last) > 3 else (None, "", parts)
    if len(last) == 1 and last not in "gwvlm":
        return None, "", parts
    if len(last) > 3 and parts[-2] not in MEASURES:  # "weekly hours" is the name of it
        return unit, last, parts
    return unit, last, parts[:-1]


def _uses(plain: str) -> tuple[tuple[str, int], ...]:
    known = words().uses
    found: dict[str, int] = dict.fromkeys(known.get(plain, ()), 3)
    parts = plain.split()
    if not found and len(parts) > 1 and parts[-1] in ("name", "names", "code", "list"):
        inner = _uses(" ".join(parts[:-1]))  # "author name" is about authors
        if inner and inner[0][1] > 1:
            return tuple((use, 2) for use, _ in inner)
    for size in range(1, len(parts)):
        for use in known.get(" ".join(parts[-size:]), ()):
            found[use] = max(found.get(use, 0), 2)
        for start in range(len(parts) - size + 1):
            for use in known.get(" ".join(parts[start : start + size]), ()):
                found.setdefault(use, 1)
    if not found and len(parts) == 1 and len(plain) > 7:  # German compounds: "nettoverkaufspreis"
        for phrase, uses in known.items():
            if len(phrase) > 4 and plain.endswith(phrase):
                found |= dict.fromkeys(uses, 2)
    return tuple(sorted(found.items(), key=lambda pair: -pair[1]))


def singular(word: str) -> str:
    """ "dishes" -> "dish", "wines" -> "wine"; the last word of a phrase is changed."""
    head, _, last = word.rpartition(" ")
    if len(last) > 3:
        if last.endswith("ies") and last not in ("movies", "series", "cookies", "species"):
            last = last[:-3] + "y"
        elif last.endswith(("sses", "ches", "shes", "xes", "zzes")):
            last = last[:-2]
        elif last.endswith("s") and not last.endswith(("ss", "us", "is")) and last not in (
            "series", "species", "news"):  # fmt: skip
            last = last[:-1]
    return f"{head} {last}".strip()


def plural(word: str) -> str:
    """ "dish" -> "dishes"; a word that looks plural stays."""
    if word.endswith("s") and not word.endswith(("ss", "us")):
        return word
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("ss", "us", "x", "ch", "sh", "z")):
        return word + "es"
    return word + "s"
